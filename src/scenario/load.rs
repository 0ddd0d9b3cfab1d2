//! `users` and `arrivals`: the amount of load, its model and its time.
//!
//! `workload` calls it for each workload.
//! Invariant: a compiled load has an end, by time or by count, and rises above zero.

use std::time::Duration;

use super::diagnostics::Diagnostics;
use super::fields::{self, Fields, wrong};
use super::k6;
use super::node::{Node, NodeKey, NodeKind};
use super::stages::stages;
use crate::curve::Curve;
use crate::plan::load::{ArrivalProcess, Arrivals, Load, LoadBound, OPEN_END, Users};
use crate::units::Rate;

/// Maximum users of a workload.
pub(super) const MAX_USERS: u64 = 10_000_000;

/// Default maximum of concurrent users of an open workload.
pub(super) const DEFAULT_MAX_USERS: u64 = 10_000;

const MODEL: &str = "`users:` (so many at once) or `arrivals:` (so many starts per second)";

/// Compiles the load of a workload from its fields; the caller finishes them.
pub(super) fn load(review: &mut Diagnostics, fields: &mut Fields<'_>) -> Option<Load> {
    if fields.has("executor") {
        return k6::load(review, fields);
    }
    let users = fields.entry("users");
    let arrivals = fields.entry("arrivals");
    let duration = fields.entry("duration");
    let iterations = fields.take("iterations");
    let count = iterations.map(|node| fields::count(review, node, 1, u64::MAX / 2));
    let end = LoadEnd {
        duration: duration.map(|(key, node)| (key, some_bounded(review, node))),
        iterations: match count {
            Some(count) => Some(count?),
            None => None,
        },
    };
    match (users, arrivals) {
        (Some((_, node)), None) => closed(review, node, &end).map(Load::Closed),
        (None, Some((_, node))) => open(review, node, &end).map(Load::Open),
        (Some(_), Some((key, _))) => {
            review
                .mistake(key.span, "a workload is either closed (`users`) or open (`arrivals`)")
                .help("make it two workloads");
            None
        }
        (None, None) => {
            review
                .mistake(fields.span(), "this workload makes no load")
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

    fn refuse_beside_stages(&self, review: &mut Diagnostics) {
        if let Some((key, _)) = self.duration {
            review
                .mistake(key.span, "a list of stages has its own length")
                .help("remove `duration`, or give one level instead of the list");
        }
    }
}

fn closed(review: &mut Diagnostics, node: &Node, end: &LoadEnd<'_>) -> Option<Users> {
    if matches!(node.kind, NodeKind::List(_)) {
        end.refuse_beside_stages(review);
        let level =
            |review: &mut Diagnostics, node: &Node| fields::count(review, node, 0, MAX_USERS);
        let curve = stages(review, node, "users", level)?;
        let bound = end.iterations.map_or(LoadBound::Time, LoadBound::Iterations);
        return Some(Users { curve, bound });
    }
    if !matches!(node.kind, NodeKind::Number(..)) {
        return wrong(
            review,
            node,
            "a number of users, or a list of stages such as `- { ramp: 500, over: 30s }`",
        );
    }
    let level = fields::count(review, node, 1, MAX_USERS)?;
    let bound = match (end.iterations, &end.duration) {
        (Some(count), _) => LoadBound::Iterations(count),
        (None, Some(_)) => LoadBound::Time,
        (None, None) => LoadBound::Once,
    };
    Some(Users { curve: Curve::constant(level, end.length()?), bound })
}

fn open(review: &mut Diagnostics, node: &Node, end: &LoadEnd<'_>) -> Option<Arrivals> {
    let mut fields = Fields::like(review, node, "`arrivals`", "`{ rate: 100/s }`")?;
    let process = fields.take("process").map(|node| process(review, node));
    let rate = fields.need("rate", "a rate such as 100/s, or a list of stages");
    let max_users = fields.take("max_users").map(|n| fields::count(review, n, 1, MAX_USERS));
    let fresh = fields
        .take("connections")
        .map(|node| fields::word(review, node, &[("kept", false), ("fresh", true)]));
    fields.finish(review);
    let curve = rate.and_then(|node| rate_curve(review, node, end));
    Some(Arrivals {
        process: process.unwrap_or(Some(ArrivalProcess::Constant))?,
        curve: curve?,
        iterations: end.iterations,
        max_users: max_users.unwrap_or(Some(DEFAULT_MAX_USERS))?,
        fresh_connections: fresh.unwrap_or(Some(false))?,
    })
}

fn rate_curve(review: &mut Diagnostics, node: &Node, end: &LoadEnd<'_>) -> Option<Curve> {
    if matches!(node.kind, NodeKind::List(_)) {
        end.refuse_beside_stages(review);
        let level =
            |review: &mut Diagnostics, node: &Node| fields::rate(review, node).map(Rate::units);
        return stages(review, node, "arrivals", level);
    }
    let rate = fields::rate(review, node)?;
    if rate.units() == 0 {
        return wrong(review, node, "a rate above zero, such as 100/s");
    }
    if end.duration.is_none() && end.iterations.is_none() {
        review
            .mistake(node.span, "this workload never ends")
            .expected("`duration: 1m` or `iterations: 1000` beside `arrivals`");
        return None;
    }
    Some(Curve::constant(rate.units(), end.length()?))
}

fn process(review: &mut Diagnostics, node: &Node) -> Option<ArrivalProcess> {
    match fields::scalar(node) {
        Some("constant") => Some(ArrivalProcess::Constant),
        Some("poisson") => Some(ArrivalProcess::Poisson),
        _ => wrong(review, node, "`constant` (evenly spaced) or `poisson`"),
    }
}

/// Reads a duration that fits schedules in nanoseconds.
pub(super) fn bounded(review: &mut Diagnostics, node: &Node) -> Option<Duration> {
    let duration = fields::duration(review, node)?;
    if duration < Duration::from_nanos(OPEN_END) {
        return Some(duration);
    }
    review.mistake(node.span, "no run lasts longer than 31 years");
    None
}

fn some_bounded(review: &mut Diagnostics, node: &Node) -> Option<Duration> {
    bounded(review, node).and_then(|_| fields::some_duration(review, node))
}
