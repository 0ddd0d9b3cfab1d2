//! Metrics of workloads: target load, iterations, starts.
//!
//! Invariant: counts are those of the ledger of iterations, by workload.

use super::samples::{count, counter, gauge, label, level, times, with_label};
use super::view::ReportView;
use crate::sinks::metrics::family::{MetricFamily, Times};
use crate::stats::Iterations;

/// Iterations that have ended, by result.
fn ended(iterations: &Iterations) -> [(&'static str, u64); 3] {
    [
        ("completed", iterations.completed),
        ("ended_early", iterations.ended_early),
        ("interrupted", iterations.interrupted),
    ]
}

/// Starts that never began, by reason.
fn lost(iterations: &Iterations) -> [(&'static str, u64); 4] {
    [
        ("dropped", iterations.dropped),
        ("suppressed", iterations.suppressed),
        ("not_reached", iterations.not_reached),
        ("unserved", iterations.unserved),
    ]
}

/// Loads, iterations and starts.
pub(super) fn counts(view: ReportView<'_>) -> [MetricFamily<'_>; 5] {
    let (plan, snapshot) = (&view.report.info.plan, &view.report.snapshot);
    let loads = || {
        let loads = plan.workloads.iter().zip(&snapshot.workloads);
        loads.map(|(load, (iterations, _))| (load, [label("workload", &load.name)], iterations))
    };
    let open_loads = || loads().filter(|(load, ..)| load.open);
    let targets = view.report.timeline.gauges.last().map(|gauges| &*gauges.target);
    let targets = loads().zip(targets.unwrap_or_default());
    [
        gauge(
            "manada.load.target",
            "The load that the schedule requires: users, or starts per second.",
            targets.map(|((load, [name], _), target)| {
                let model = if load.open { "open" } else { "closed" };
                level(vec![name, label("model", model)], *target)
            }),
        ),
        counter(
            "manada.iterations.started",
            "Iterations that a user began.",
            loads().map(|(_, name, iterations)| count(name.into(), iterations.started)),
        ),
        counter(
            "manada.iterations",
            "Iterations that have ended, by result.",
            loads()
                .flat_map(|(_, name, iterations)| with_label("result", &name, ended(iterations))),
        ),
        counter(
            "manada.starts.due",
            "Starts that the schedule has required so far.",
            open_loads().map(|(_, name, iterations)| count(name.into(), iterations.due)),
        ),
        counter(
            "manada.starts.lost",
            "Starts that were due and never began, by reason.",
            open_loads()
                .flat_map(|(_, name, iterations)| with_label("reason", &name, lost(iterations))),
        ),
    ]
}

/// Times of iterations, and delays before calls.
pub(super) fn durations(view: ReportView<'_>) -> [MetricFamily<'_>; 3] {
    [
        times(
            "manada.iteration.duration",
            "Time from when an iteration was due to the end of its last step, without thinks.",
            view.workloads().map(|(labels, load)| (labels, Times::from(&load.iteration))),
        ),
        times(
            "manada.generator.lag",
            "How late the generator itself made a call.",
            view.workloads().map(|(labels, load)| (labels, Times::from(&load.lag))),
        ),
        times(
            "manada.blocked.duration",
            "Time that calls waited for a connection or for a policy of the client.",
            view.workloads().map(|(labels, load)| (labels, Times::from(&load.blocked))),
        ),
    ]
}
