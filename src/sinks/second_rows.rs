//! Columns that the tables of seconds share: the second, names of a step, statistics of times.
//!
//! `timeline`, `backends` and `messages` make their heads and rows of them.
//! Invariant: a head has the names of the columns of its rows, in their order.

use crate::plan::RunManifest;
use crate::plan::Series;
use crate::report::csv::{cell, harmless};
use crate::stats::{CompletedSecond, Latency};

/// The first columns.
pub(super) const SECOND: [&str; 3] = ["second", "measured", "late"];

/// The names of a step.
pub(super) const STEP: [&str; 3] = ["workload", "archetype", "step"];

/// Counts of calls.
pub(super) const CALLS: [&str; 6] =
    ["calls", "ok", "failed", "timeout", "generator_errors", "unfinished"];

/// The last column of times: those of the row that are lower bounds.
pub(super) const AT_LEAST: &str = "at_least";

/// The statistics of a time.
const STATISTICS: [(&str, f64); 4] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

/// The begin of a row.
pub(super) fn second(closed: &CompletedSecond) -> Vec<String> {
    let marks = [closed.window.measured, closed.late].map(|is| u8::from(is).to_string());
    std::iter::once(closed.window.second.to_string()).chain(marks).collect()
}

/// The names of a step.
pub(super) fn step(plan: &RunManifest, series: &Series) -> [String; 3] {
    let workload = &plan.workloads[series.workload.index()].name;
    let archetype = &plan.archetypes[series.archetype.index()];
    [workload, archetype, &series.name].map(|name| harmless(name))
}

/// The names of the columns of a time.
pub(super) fn time_names(time: &str) -> [String; 4] {
    STATISTICS.map(|(name, _)| format!("{time}_{name}_us"))
}

/// The statistics of a time; adds those that are lower bounds to `at_least`.
pub(super) fn times(time: &str, latency: &Latency, at_least: &mut Vec<String>) -> [String; 4] {
    STATISTICS.map(|(name, p)| {
        let quantile = if p < 1.0 { latency.quantile(p) } else { latency.longest() };
        cell(&format!("{time}_{name}"), quantile, at_least)
    })
}
