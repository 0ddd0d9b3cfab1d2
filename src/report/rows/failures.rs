//! Rows of failures: the first failing call of each step and kind.
//!
//! Invariant: a failure is an example of calls that are counted elsewhere, too.

use super::traces::{TraceRow, trace};
use crate::event::Report;
use crate::protocol::status::ShownStatus;
use crate::stats::exemplar::{Exemplar, FailureMode};
use crate::stats::outcome;

/// The first failing call of a step and kind.
pub(crate) struct FailureRow<'r> {
    /// How many calls failed like it.
    pub(crate) count: u64,
    /// How the calls failed, as text.
    pub(crate) kind: String,
    pub(crate) step: &'r str,
    pub(crate) workload: &'r str,
    pub(crate) archetype: &'r str,
    /// The call itself.
    pub(crate) call: &'r Exemplar,
    /// Its trace; `None` if it has none, or none that is known.
    pub(crate) trace: Option<TraceRow>,
}

/// All failures that were kept, the most frequent first.
pub(crate) fn failures(report: &Report) -> impl Iterator<Item = FailureRow<'_>> {
    let plan = &report.info.plan;
    report.snapshot.exemplars.iter().map(|(count, call)| {
        let series = &plan.steps[call.step.index()];
        FailureRow {
            count: *count,
            kind: kind(report, call),
            step: &series.name,
            workload: &plan.workloads[series.workload].name,
            archetype: &plan.archetypes[series.archetype.index()],
            call,
            trace: trace_of(report, call),
        }
    })
}

/// The trace of a failure.
fn trace_of(report: &Report, call: &Exemplar) -> Option<TraceRow> {
    let traced = &report.snapshot.traced;
    let key = traced.failure((call.step, call.failing), call.intended, call.user)?;
    // How long the call took is not kept.
    Some(trace(report, (key, call.step), call.intended, 0))
}

/// How a call failed, as text.
fn kind(report: &Report, call: &Exemplar) -> String {
    match call.failing {
        FailureMode::Status(status) => format!("status {}", ShownStatus(status)),
        FailureMode::Error(index) => {
            let (phase, kind, _) = outcome::error_at(index);
            format!("{phase}: {kind}")
        }
        FailureMode::Check(index) => {
            let names = report.info.plan.checks.get(call.step.index());
            let name = names.and_then(|names| names.get(index));
            format!("check: {}", name.map_or("", String::as_str))
        }
    }
}
