//! Which metrics a run has, and their samples.
//!
//! Encoders call it with the report so far.
//! Invariant: counts are those of the report: what a receiver adds up equals `summary.json`.

mod backends;
mod client;
mod run;
mod samples;
mod size;
mod steps;
mod view;
mod workloads;

pub use size::check_size;
use view::ReportView;

use super::family::MetricFamily;
use crate::event::Report;

/// All metrics of the report so far that have samples.
pub(in crate::sinks) fn families(report: &Report) -> Vec<MetricFamily<'_>> {
    let mut all = known_families(report);
    all.retain(|family| !family.samples.is_empty());
    all
}

/// The names of the metrics that a run such as this one may have, as Prometheus knows them.
pub fn metric_names(report: &Report) -> Vec<String> {
    let name = |family: &MetricFamily<'_>| {
        let total = if family.is_counter() { "_total" } else { "" };
        family.prometheus_name() + total
    };
    known_families(report).iter().map(name).collect()
}

fn known_families(report: &Report) -> Vec<MetricFamily<'_>> {
    let view = ReportView { report };
    let mut all = vec![run::info(view)];
    all.extend(run::state(view));
    all.extend(workloads::counts(view));
    all.extend(workloads::durations(view));
    all.extend(steps::steps(view));
    all.extend(steps::messages(view));
    all.extend(backends::backends(view));
    all.extend(client::network(view));
    all.extend(client::breakers(view));
    all.extend(run::generator(view));
    all.extend(run::thresholds(view));
    all
}
