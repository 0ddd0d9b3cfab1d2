//! `users` and `arrivals`: the amount of load, its model and its time.
//!
//! `workload` calls it for each workload.
//! Invariant: a compiled load has an end, by time or by count, and rises above zero.

use std::time::Duration;

use crate::curve::Curve;
use crate::plan::load::{ArrivalProcess, Arrivals, Load, LoadBound, OPEN_END, Users};
use crate::scenario::load::bounds::{DEFAULT_MAX_USERS, positive_bounded};
use crate::scenario::load::k6;
use crate::scenario::load::stages::stages;
use crate::scenario::nouns::load::{ARRIVALS, CONNECTIONS, PROCESSES};
use crate::scenario::nouns::stages::{MAX_USERS, RATE_STAGES, USER_STAGES};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::units::Rate;

const MODEL: &str = "`users:` (concurrent users) or `arrivals:` (starts per second)";

/// Compiles the load of a workload from its fields; the caller finishes them.
pub(crate) fn load(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> Option<Load> {
    if fields.has("executor") {
        return k6::load(diagnostics, fields);
    }
    let users = fields.entry("users");
    let arrivals = fields.entry("arrivals");
    let duration = fields.entry("duration");
    let count = fields.has("iterations").then(|| fields.value(diagnostics, "iterations"));
    let end = LoadEnd {
        duration: duration.map(|(key, node)| (key, positive_bounded(diagnostics, node))),
        iterations: match count {
            Some(count) => Some(count?),
            None => None,
        },
    };
    match (users, arrivals) {
        (Some((_, node)), None) => closed(diagnostics, node, &end).map(Load::Closed),
        (None, Some((_, node))) => open(diagnostics, node, &end).map(Load::Open),
        (Some(_), Some((key, _))) => {
            diagnostics
                .mistake(
                    key.span,
                    "a workload is either closed-model (`users`) or open-model (`arrivals`)",
                )
                .help("split it into two workloads");
            None
        }
        (None, None) => {
            diagnostics
                .mistake(fields.span(), "this workload has no load")
                .expected(MODEL)
                .help("for example `users: 10` with `duration: 30s`");
            None
        }
    }
}

/// The end of a workload without stages.
#[derive(Debug)]
struct LoadEnd<'n> {
    duration: Option<(&'n NodeKey, Option<Duration>)>,
    iterations: Option<u64>,
}

impl LoadEnd<'_> {
    /// Returns the duration, or the longest possible one; `None` if it has a mistake.
    fn length(&self) -> Option<Duration> {
        match self.duration {
            Some((_, duration)) => duration,
            None => Some(Duration::from_nanos(OPEN_END)),
        }
    }

    fn reject_with_stages(&self, diagnostics: &mut Diagnostics) {
        if let Some((key, _)) = self.duration {
            diagnostics
                .mistake(key.span, "a list of stages has its own duration")
                .help("remove `duration`, or replace the list with one level");
        }
    }
}

fn closed(diagnostics: &mut Diagnostics, node: &Node, end: &LoadEnd<'_>) -> Option<Users> {
    if matches!(node.kind, NodeKind::List(_)) {
        end.reject_with_stages(diagnostics);
        let level = |diagnostics: &mut Diagnostics, node: &Node| {
            values::count(diagnostics, node, 0, MAX_USERS)
        };
        let curve = stages(diagnostics, node, &USER_STAGES, level)?;
        let bound = end.iterations.map_or(LoadBound::Time, LoadBound::Iterations);
        return Some(Users { curve, bound });
    }
    if !matches!(node.kind, NodeKind::Number(..)) {
        return report_wrong(
            diagnostics,
            node,
            "a number of users, or a list of stages such as `- { ramp: 500, over: 30s }`",
        );
    }
    let level = values::count(diagnostics, node, 1, MAX_USERS)?;
    let bound = match (end.iterations, &end.duration) {
        (Some(count), _) => LoadBound::Iterations(count),
        (None, Some(_)) => LoadBound::Time,
        (None, None) => LoadBound::Once,
    };
    Some(Users { curve: Curve::constant(level, end.length()?), bound })
}

fn open(diagnostics: &mut Diagnostics, node: &Node, end: &LoadEnd<'_>) -> Option<Arrivals> {
    let mut fields = Fields::read(diagnostics, node, &ARRIVALS)?;
    let process = fields.word(diagnostics, "process", &PROCESSES);
    let rate = fields.take("rate");
    let max_users = fields.value(diagnostics, "max_users");
    let fresh = fields.word(diagnostics, "connections", &CONNECTIONS);
    fields.finish(diagnostics);
    let curve = rate.and_then(|node| rate_curve(diagnostics, node, end));
    Some(Arrivals {
        process: process.unwrap_or(ArrivalProcess::Constant),
        curve: curve?,
        iterations: end.iterations,
        max_users: max_users.unwrap_or(DEFAULT_MAX_USERS),
        fresh_connections: fresh.unwrap_or(false),
    })
}

fn rate_curve(diagnostics: &mut Diagnostics, node: &Node, end: &LoadEnd<'_>) -> Option<Curve> {
    if matches!(node.kind, NodeKind::List(_)) {
        end.reject_with_stages(diagnostics);
        let level = |diagnostics: &mut Diagnostics, node: &Node| {
            values::rate(diagnostics, node).map(Rate::units)
        };
        return stages(diagnostics, node, &RATE_STAGES, level);
    }
    let rate = values::rate(diagnostics, node)?;
    if rate.units() == 0 {
        return report_wrong(diagnostics, node, "a rate above zero, such as 100/s");
    }
    if end.duration.is_none() && end.iterations.is_none() {
        diagnostics
            .mistake(node.span, "this workload never ends")
            .expected("`duration: 1m` or `iterations: 1000` in the workload");
        return None;
    }
    Some(Curve::constant(rate.units(), end.length()?))
}
