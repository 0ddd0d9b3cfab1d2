//! Load stages: `ramp`, `hold`, `step`, `spike`, `stairs`, `sine`, `repeat`.
//!
//! `load` calls it for users and for rates, which differ in how a level is read.
//! Invariant: a compiled curve rises above zero, ends, and has a bounded number of pieces.

use std::time::Duration;

use crate::curve::Curve;
use crate::plan::load::OPEN_END;
use crate::scenario::load::bounds::bounded;
use crate::scenario::nouns::stages::{KINDS, MAX_TIMES, StageTables};
use crate::scenario::syntax::diagnostics::{Diagnostics, SourceSpan};
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKey};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

const LISTED: &str = "a list of stages such as `- { ramp: 500, over: 30s }`";

/// Maximum straight pieces of a load, and maximum stages including repeats.
const MAX_PIECES: usize = 100_000;

/// Reads a level: users, or a rate in units of `Rate`.
pub(crate) trait LevelReader: Fn(&mut Diagnostics, &Node) -> Option<u64> {}

impl<F: Fn(&mut Diagnostics, &Node) -> Option<u64>> LevelReader for F {}

/// Compiles a list of stages; `level` reads the levels.
pub(crate) fn stages(
    diagnostics: &mut Diagnostics,
    node: &Node,
    tables: &'static StageTables,
    level: impl LevelReader,
) -> Option<Curve> {
    let before = diagnostics.count();
    let mut stages = Stages { curve: Curve::default(), stage_count: 0, tables, level };
    stages.list(diagnostics, node)?;
    if diagnostics.count() > before {
        return None;
    }
    if stages.curve.peak() == 0 {
        let mistake =
            diagnostics.mistake(node.span, format!("{} never exceed zero", tables.levels));
        mistake.expected("a `ramp` above zero before the first `hold`");
        return None;
    }
    Some(stages.curve)
}

/// A curve under construction.
struct Stages<L> {
    curve: Curve,
    stage_count: usize,
    tables: &'static StageTables,
    level: L,
}

impl<L: LevelReader> Stages<L> {
    /// Adds a list of stages; `None` if compilation should stop.
    fn list(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> Option<()> {
        let items = values::list(diagnostics, node, LISTED)?;
        if items.is_empty() {
            return report_wrong(diagnostics, node, LISTED);
        }
        for item in items {
            self.stage_count += 1;
            self.stage(diagnostics, item)?;
            if self.curve.end_ns() >= OPEN_END {
                diagnostics.mistake(item.span, "these stages exceed 31 years");
                return None;
            }
            if self.curve.pieces().max(self.stage_count) > MAX_PIECES {
                let message = format!("these stages have more than {MAX_PIECES} pieces");
                diagnostics.mistake(item.span, message);
                return None;
            }
        }
        Some(())
    }

    fn stage(&mut self, diagnostics: &mut Diagnostics, item: &Node) -> Option<()> {
        let Some(mut fields) = Fields::read(diagnostics, item, &self.tables.stage) else {
            return Some(());
        };
        let given: Vec<_> =
            KINDS.into_iter().filter_map(|kind| Some((kind, fields.take(kind)?))).collect();
        let over = fields.entry("over");
        let before = diagnostics.count();
        let span = fields.span();
        fields.finish(diagnostics);
        match given.as_slice() {
            [(kind, node)] => return self.one(diagnostics, kind, node, over, span),
            _ if diagnostics.count() > before => {}
            _ => {
                let kinds = values::list_names(&KINDS).replace(" or ", " and ");
                diagnostics
                    .mistake(span, format!("a stage is one of {kinds}"))
                    .expected(self.tables.stage.form);
            }
        }
        Some(())
    }

    fn one(
        &mut self,
        diagnostics: &mut Diagnostics,
        kind: &str,
        node: &Node,
        over: Option<(&NodeKey, &Node)>,
        span: SourceSpan,
    ) -> Option<()> {
        if let ("hold" | "stairs" | "sine" | "repeat", Some((key, _))) = (kind, over) {
            report_misplaced_over(diagnostics, kind, key);
            return Some(());
        }
        match kind {
            "hold" => {
                if let Some(length) = bounded(diagnostics, node) {
                    self.curve.hold(length);
                }
            }
            "stairs" => drop(self.stairs(diagnostics, node)),
            "sine" => drop(self.sine(diagnostics, node)),
            "repeat" => return self.repeat(diagnostics, node),
            _ => {
                let to = (self.level)(diagnostics, node);
                let length = match over {
                    Some((_, over)) => bounded(diagnostics, over),
                    None if kind == "step" => Some(Duration::ZERO),
                    None => {
                        diagnostics.mistake(span, format!("this {kind} has no duration")).expected(
                            format!(
                                "`over:` with a duration, such as `{{ {kind}: 500, over: 30s }}`"
                            ),
                        );
                        None
                    }
                };
                if let (Some(to), Some(length)) = (to, length) {
                    self.level(kind, to, length);
                }
            }
        }
        Some(())
    }

    fn level(&mut self, kind: &str, to: u64, length: Duration) {
        let before = self.curve.last_level();
        if kind == "ramp" {
            self.curve.ramp(to, length);
            return;
        }
        self.curve.jump(to);
        if !length.is_zero() {
            self.curve.hold(length);
        }
        if kind == "spike" {
            self.curve.jump(before);
        }
    }

    /// Adds levels of equal length, from one stair above (or below) `from` to `to`.
    fn stairs(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> Option<()> {
        let mut fields = Fields::read(diagnostics, node, &self.tables.stairs)?;
        let from = fields.take("from").map(|node| (self.level)(diagnostics, node));
        let (to, over) = (fields.take("to"), fields.take("over"));
        let steps: Option<u64> = fields.value(diagnostics, "steps");
        fields.finish(diagnostics);
        let to = to.and_then(|node| (self.level)(diagnostics, node));
        let over = over.and_then(|node| bounded(diagnostics, node));
        let from = from.unwrap_or(Some(self.curve.last_level()))?;
        let (to, steps, over) = (to?, u128::from(steps?), over?);
        let part = |of: u128, k: u128| of * k / steps;
        for k in 1..=steps {
            let moved = part(u128::from(from.abs_diff(to)), k) as u64;
            self.curve.jump(if to >= from { from + moved } else { from - moved });
            let length = part(over.as_nanos(), k) - part(over.as_nanos(), k - 1);
            self.curve.hold(Duration::from_nanos(length as u64));
        }
        Some(())
    }

    fn sine(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> Option<()> {
        let mut fields = Fields::read(diagnostics, node, &self.tables.sine)?;
        let mean = fields.take("mean");
        let base = match mean {
            Some(node) => Some(node),
            None => fields.require("base", "the mean level"),
        };
        let (amplitude, over) = (fields.take("amplitude"), fields.take("over"));
        let period = fields.placed::<Duration>(diagnostics, "period");
        fields.finish(diagnostics);
        let base = base.and_then(|node| (self.level)(diagnostics, node));
        let height = amplitude.and_then(|node| (self.level)(diagnostics, node));
        let over = over.and_then(|node| bounded(diagnostics, node));
        let (base, height, (period_span, period), over) = (base?, height?, period?, over?);
        if height > base {
            return report_wrong(diagnostics, amplitude?, "an amplitude of at most `base`");
        }
        if over.as_nanos() > period.as_nanos() * u128::from(MAX_TIMES) {
            let message = format!("more than {MAX_TIMES} waves");
            diagnostics.mistake(period_span, message).expected("a longer `period`");
            return None;
        }
        self.curve.sine(base, height, period, over);
        Some(())
    }

    fn repeat(&mut self, diagnostics: &mut Diagnostics, node: &Node) -> Option<()> {
        let mut fields = Fields::read(diagnostics, node, &self.tables.repeat)?;
        let times: Option<u64> = fields.value(diagnostics, "times");
        let list = fields.take("do");
        fields.finish(diagnostics);
        let before = diagnostics.count();
        for _ in 0..times? {
            self.list(diagnostics, list?)?;
            if diagnostics.count() > before {
                return None;
            }
        }
        Some(())
    }
}

fn report_misplaced_over(diagnostics: &mut Diagnostics, kind: &str, key: &NodeKey) {
    let cure = match kind {
        "hold" => "`{ hold: 2m }`, which holds the level for two minutes".to_owned(),
        "repeat" => "`{ repeat: { times: 3, do: [ … ] } }`".to_owned(),
        _ => format!("`over` inside: `{{ {kind}: {{ …, over: 5m }} }}`"),
    };
    let message = if kind == "hold" {
        "`over` belongs to a `ramp`, `step` or `spike`".to_owned()
    } else {
        format!("`over` is not allowed with `{kind}`")
    };
    diagnostics.mistake(key.span, message).expected(cure);
}
