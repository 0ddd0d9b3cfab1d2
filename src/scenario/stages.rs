//! Load stages: `ramp`, `hold`, `step`, `spike`, `stairs`, `sine`, `repeat`.
//!
//! `load` calls it for users and for rates, which differ in how a level is read.
//! Invariant: a compiled curve rises above zero, ends, and has a bounded number of pieces.

use std::time::Duration;

use super::diagnostics::{Diagnostics, SourceSpan};
use super::fields::{self, Fields, wrong};
use super::load::bounded;
use super::node::{Node, NodeKey};
use crate::curve::Curve;
use crate::plan::load::OPEN_END;

const STAGE: &str = "`{ ramp: 500, over: 30s }`, `{ hold: 2m }`, `{ step: 500, over: 1m }`, \
                     `{ spike: 1000, over: 5s }`, `stairs`, `sine` or `repeat`";

const LISTED: &str = "a list of stages such as `- { ramp: 500, over: 30s }`";

/// Maximum straight pieces of a load, and maximum stages including repeats.
const MAX_PIECES: usize = 100_000;

/// Maximum stairs of a stage, and maximum repeats of a list.
const MAX_TIMES: u64 = 1_000;

/// Reads a level: users, or a rate in units of `Rate`.
pub(super) trait LevelReader: Fn(&mut Diagnostics, &Node) -> Option<u64> {}

impl<F: Fn(&mut Diagnostics, &Node) -> Option<u64>> LevelReader for F {}

/// Compiles a list of stages; `level` reads the levels.
pub(super) fn stages(
    review: &mut Diagnostics,
    node: &Node,
    what: &str,
    level: impl LevelReader,
) -> Option<Curve> {
    let before = review.count();
    let mut stages = Stages { curve: Curve::default(), made: 0, level };
    stages.list(review, node)?;
    if review.count() > before {
        return None;
    }
    if stages.curve.peak() == 0 {
        let mistake = review.mistake(node.span, format!("{what} never rise above zero"));
        mistake.expected("a `ramp` to some level before the first `hold`");
        return None;
    }
    Some(stages.curve)
}

/// A curve under construction.
struct Stages<L> {
    curve: Curve,
    made: usize,
    level: L,
}

impl<L: LevelReader> Stages<L> {
    /// Adds a list of stages; `None` if compilation should stop.
    fn list(&mut self, review: &mut Diagnostics, node: &Node) -> Option<()> {
        let items = fields::list(review, node, LISTED)?;
        if items.is_empty() {
            return wrong(review, node, LISTED);
        }
        for item in items {
            self.made += 1;
            self.stage(review, item)?;
            if self.curve.end_ns() >= OPEN_END {
                review.mistake(item.span, "these stages last longer than 31 years");
                return None;
            }
            if self.curve.pieces().max(self.made) > MAX_PIECES {
                let message = format!("these stages have more than {MAX_PIECES} pieces");
                review.mistake(item.span, message);
                return None;
            }
        }
        Some(())
    }

    fn stage(&mut self, review: &mut Diagnostics, item: &Node) -> Option<()> {
        let Some(mut fields) = Fields::like(review, item, "a stage", STAGE) else {
            return Some(());
        };
        let kinds = ["ramp", "hold", "step", "spike", "stairs", "sine", "repeat"];
        let given: Vec<_> =
            kinds.into_iter().filter_map(|kind| Some((kind, fields.take(kind)?))).collect();
        let over = fields.entry("over");
        let before = review.count();
        let span = fields.span();
        fields.finish(review);
        match given.as_slice() {
            [(kind, node)] => return self.one(review, kind, node, over, span),
            _ if review.count() > before => {}
            _ => {
                let kinds = fields::list_names(&kinds).replace(" or ", " and ");
                review.mistake(span, format!("a stage is one of {kinds}")).expected(STAGE);
            }
        }
        Some(())
    }

    fn one(
        &mut self,
        review: &mut Diagnostics,
        kind: &str,
        node: &Node,
        over: Option<(&NodeKey, &Node)>,
        span: SourceSpan,
    ) -> Option<()> {
        if let ("hold" | "stairs" | "sine" | "repeat", Some((key, _))) = (kind, over) {
            not_here(review, kind, key);
            return Some(());
        }
        match kind {
            "hold" => {
                if let Some(length) = bounded(review, node) {
                    self.curve.hold(length);
                }
            }
            "stairs" => drop(self.stairs(review, node)),
            "sine" => drop(self.sine(review, node)),
            "repeat" => return self.repeat(review, node),
            _ => {
                let to = (self.level)(review, node);
                let length = match over {
                    Some((_, over)) => bounded(review, over),
                    None if kind == "step" => Some(Duration::ZERO),
                    None => {
                        review.mistake(span, format!("this {kind} has no length")).expected(
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
    fn stairs(&mut self, review: &mut Diagnostics, node: &Node) -> Option<()> {
        let example = "`{ to: 500, steps: 5, over: 5m }`";
        let mut fields = Fields::like(review, node, "`stairs`", example)?;
        let from = fields.take("from").map(|node| (self.level)(review, node));
        let to = fields.need("to", "the level of the last stair");
        let steps = fields.need("steps", "how many stairs");
        let over = fields.need("over", "the length of all of them");
        fields.finish(review);
        let to = to.and_then(|node| (self.level)(review, node));
        let steps = steps.and_then(|node| fields::count(review, node, 1, MAX_TIMES));
        let over = over.and_then(|node| bounded(review, node));
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

    fn sine(&mut self, review: &mut Diagnostics, node: &Node) -> Option<()> {
        let example = "`{ base: 100, amplitude: 50, period: 1m, over: 10m }`";
        let mut fields = Fields::like(review, node, "`sine`", example)?;
        let mean = fields.take("mean");
        let base = match mean {
            Some(node) => Some(node),
            None => fields.need("base", "the level it swings around"),
        };
        let amplitude = fields.need("amplitude", "how far it swings up and down");
        let period = fields.need("period", "the length of one wave");
        let over = fields.need("over", "the length of all of them");
        fields.finish(review);
        let base = base.and_then(|node| (self.level)(review, node));
        let height = amplitude.and_then(|node| (self.level)(review, node));
        let period_span = period.map(|node| node.span);
        let period = period.and_then(|node| fields::some_duration(review, node));
        let over = over.and_then(|node| bounded(review, node));
        let (base, height, period, over) = (base?, height?, period?, over?);
        if height > base {
            return wrong(review, amplitude?, "an amplitude that is not above the base");
        }
        if over.as_nanos() > period.as_nanos() * u128::from(MAX_TIMES) {
            let message = format!("more than {MAX_TIMES} waves");
            review.mistake(period_span?, message).expected("a longer `period`");
            return None;
        }
        self.curve.sine(base, height, period, over);
        Some(())
    }

    fn repeat(&mut self, review: &mut Diagnostics, node: &Node) -> Option<()> {
        let example = "`{ times: 3, do: [ { spike: 500, over: 5s }, { hold: 1m } ] }`";
        let mut fields = Fields::like(review, node, "`repeat`", example)?;
        let times = fields.need("times", "how often");
        let list = fields.need("do", "a list of stages");
        fields.finish(review);
        let times = fields::count(review, times?, 1, MAX_TIMES)?;
        let before = review.count();
        for _ in 0..times {
            self.list(review, list?)?;
            if review.count() > before {
                return None;
            }
        }
        Some(())
    }
}

fn not_here(review: &mut Diagnostics, kind: &str, key: &NodeKey) {
    let cure = match kind {
        "hold" => "`{ hold: 2m }`, which holds the level for two minutes".to_owned(),
        "repeat" => "`{ repeat: { times: 3, do: [ … ] } }`".to_owned(),
        _ => format!("`over` inside: `{{ {kind}: {{ …, over: 5m }} }}`"),
    };
    let message = if kind == "hold" {
        "`over` belongs to a `ramp`, `step` or `spike`".to_owned()
    } else {
        format!("`over` does not stand beside `{kind}`")
    };
    review.mistake(key.span, message).expected(cure);
}
