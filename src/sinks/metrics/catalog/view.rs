//! The parts of a report that metrics come from, each with its labels.
//!
//! The parts of the catalog read it.
//! Invariant: figures of the warm-up and of the measured time are never in one sample.

use std::borrow::Cow;
use std::time::UNIX_EPOCH;

use super::samples::label;
use crate::event::Report;
use crate::ids::StepId;
use crate::sinks::metrics::family::{Label, Times, TraceExemplar, label_name};
use crate::stats::TraceIds;
use crate::stats::delta::{BackendWindow, LoadWindow, StepWindow, Window};

/// The part of the run that a window is of, as the value of the label `period`.
pub(super) const PERIODS: [&str; 2] = ["warmup", MEASURED];

/// The part after the warm-up.
const MEASURED: &str = "measured";

/// A report as metrics see it.
#[derive(Clone, Copy)]
pub(super) struct ReportView<'r> {
    pub(super) report: &'r Report,
}

impl<'r> ReportView<'r> {
    /// The windows of warm-up and measured time, each with its period.
    pub(super) fn windows(self) -> impl Iterator<Item = (&'static str, &'r Window)> + use<'r> {
        let snapshot = &self.report.snapshot;
        PERIODS.into_iter().zip([&snapshot.warmup, &snapshot.measured])
    }

    /// The series that have been called, by period.
    pub(super) fn series(
        self,
    ) -> impl Iterator<Item = (Vec<Label<'r>>, StepId, &'r StepWindow)> + use<'r> {
        let (report, windows) = (self.report, self.windows());
        windows.flat_map(move |(period, window)| {
            StepId::number(&window.steps).filter_map(move |(id, step)| {
                Some((step_labels(report, id, period), id, &**step.as_ref()?))
            })
        })
    }

    /// The response times of the series that have been called, by period, with calls that have
    /// traces.
    pub(super) fn response_times(
        self,
    ) -> impl Iterator<Item = (Vec<Label<'r>>, Times<'r>, Vec<TraceExemplar>)> + use<'r> {
        let (report, plan) = (self.report, &self.report.info.plan);
        let ids = TraceIds::new(&plan.run_id);
        let start = report.info.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_ms = u64::try_from(start.as_millis()).unwrap_or(u64::MAX);
        self.windows().flat_map(move |(period, window)| {
            StepId::number(&window.steps).filter_map(move |(id, step)| {
                let step = step.as_ref()?;
                let traced = report.snapshot.traced.buckets(id, period == MEASURED);
                let exemplars = traced.map(|(bucket, one)| TraceExemplar {
                    bucket,
                    trace_id: ids.of(one.key).trace(),
                    span_id: ids.of(one.key).call_span(id, one.intended),
                    seconds: one.response_ns as f64 / 1e9,
                    at_ms: start_ms.saturating_add(one.end_ms()),
                });
                let labels = step_labels(report, id, period);
                Some((labels, Times::from(&step.response), exemplars.collect()))
            })
        })
    }

    /// The backends that steps have called, by period.
    pub(super) fn backends(
        self,
    ) -> impl Iterator<Item = (Vec<Label<'r>>, &'r BackendWindow)> + use<'r> {
        let (report, windows) = (self.report, self.windows());
        windows.flat_map(move |(period, window)| {
            let plan = &report.info.plan;
            plan.backends.iter().zip(&window.backends).filter_map(move |(of, backend)| {
                let mut labels = step_labels(report, of.step, period);
                labels.push(label("service", &plan.services[of.service.index()].0));
                labels.push(label("backend", &of.name));
                Some((labels, &**backend.as_ref()?))
            })
        })
    }

    /// The workloads, by period.
    pub(super) fn workloads(
        self,
    ) -> impl Iterator<Item = (Vec<Label<'r>>, &'r LoadWindow)> + use<'r> {
        let (plan, windows) = (&self.report.info.plan, self.windows());
        windows.flat_map(move |(period, window)| {
            let loads = plan.workloads.iter().zip(&window.workloads);
            loads.map(move |(load, window)| {
                (vec![label("workload", &load.name), label("period", period)], window)
            })
        })
    }
}

/// The labels of a series: workload, archetype, step, its tags, and the period.
fn step_labels<'r>(report: &'r Report, step: StepId, period: &'static str) -> Vec<Label<'r>> {
    let plan = &report.info.plan;
    let series = &plan.steps[step.index()];
    let mut labels = vec![
        label("workload", &plan.workloads[series.workload.index()].name),
        label("archetype", &plan.archetypes[series.archetype.index()]),
        label("step", &series.name),
        label("period", period),
    ];
    for (name, value) in &series.tags {
        let name = format!("tag_{}", label_name(name));
        // Of two tags whose names differ in signs alone, the first one stays.
        if !labels.iter().any(|(known, _)| *known == name) {
            labels.push((Cow::Owned(name), Cow::Borrowed(value.as_str())));
        }
    }
    labels
}
