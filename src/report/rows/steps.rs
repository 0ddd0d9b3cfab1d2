//! Rows of steps and groups: one for each series of the plan.
//!
//! Invariant: a row per series in the order of the plan, also for those that were never called.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::event::Report;
use crate::ids::StepId;
use crate::plan::Series;
use crate::stats::delta::{StepWindow, Window};
use crate::stats::{Calls, Latency, Quantile};
use crate::units::{counted, per_second};

/// A step of a workload with its figures.
pub(crate) struct StepRow<'r> {
    pub(crate) id: StepId,
    pub(crate) workload: &'r str,
    pub(crate) archetype: &'r str,
    pub(crate) name: &'r str,
    pub(crate) tags: &'r [(String, String)],
    /// What was measured; empty if the step was never called.
    pub(crate) window: &'r StepWindow,
    /// Calls per second of its workload's measured load, without those of the drain; `None` if no
    /// time was measured.
    pub(crate) calls_per_s: Option<f64>,
}

/// What was measured of a step that was never called.
static NOTHING: LazyLock<StepWindow> = LazyLock::new(StepWindow::default);

impl<'r> StepRow<'r> {
    /// Whether the step was called in the time that the row covers.
    pub(crate) fn was_called(&self) -> bool {
        self.window.calls.made > 0
    }

    /// Calls of the step by result.
    pub(crate) fn calls(&self) -> &'r Calls {
        &self.window.calls
    }

    /// A percentile of the response time, as a share; 1 is the longest.
    pub(crate) fn response(&self, p: f64) -> Option<Quantile> {
        percentile(&self.window.response, p)
    }

    /// A percentile of the service time, as a share; 1 is the longest.
    pub(crate) fn service(&self, p: f64) -> Option<Quantile> {
        percentile(&self.window.service, p)
    }
}

/// A percentile, as a share; 1 is the longest.
pub(crate) fn percentile(latency: &Latency, p: f64) -> Option<Quantile> {
    if p < 1.0 { latency.quantile(p) } else { latency.longest() }
}

/// All steps with what was measured after the warm-up.
pub(crate) fn steps(report: &Report) -> impl Iterator<Item = StepRow<'_>> {
    steps_of(report, &report.snapshot.measured)
}

/// All steps with what a part of the run holds of them.
pub(super) fn steps_of<'r>(
    report: &'r Report,
    part: &'r Window,
) -> impl Iterator<Item = StepRow<'r>> {
    let all = StepId::number(&report.info.plan.steps);
    all.map(|(id, series)| {
        let window = part.steps[id].as_deref();
        row(report, id, series, window, report.calls_per_s(id))
    })
}

/// All steps with what is known of them so far: measured, or due in the warm-up while that is all.
pub(crate) fn current_steps(report: &Report) -> impl Iterator<Item = StepRow<'_>> {
    let is_measuring = is_measuring(report);
    let all = StepId::first(report.info.plan.steps.len());
    all.map(move |id| current(report, id, is_measuring))
}

/// A step as in [`current_steps`].
pub(crate) fn current_step(report: &Report, id: StepId) -> StepRow<'_> {
    current(report, id, is_measuring(report))
}

fn current(report: &Report, id: StepId, is_measuring: bool) -> StepRow<'_> {
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    if is_measuring {
        let window = snapshot.measured.steps[id].as_deref();
        return row(report, id, &plan.steps[id], window, report.calls_per_s(id));
    }
    let window = snapshot.warmup.steps[id].as_deref();
    let rate = per_second(window.map_or(0, StepWindow::in_load), snapshot.until_ns);
    row(report, id, &plan.steps[id], window, rate)
}

/// Whether the warm-up is over: there is none, or calls after it were measured.
pub(crate) fn is_measuring(report: &Report) -> bool {
    report.info.plan.warmup.is_zero() || report.snapshot.measured.calls().made > 0
}

fn row<'r>(
    report: &'r Report,
    id: StepId,
    series: &'r Series,
    window: Option<&'r StepWindow>,
    calls_per_s: Option<f64>,
) -> StepRow<'r> {
    let plan = &report.info.plan;
    StepRow {
        id,
        workload: &plan.workloads[series.workload].name,
        archetype: &plan.archetypes[series.archetype.index()],
        name: &series.name,
        tags: &series.tags,
        window: window.unwrap_or_else(|| &NOTHING),
        calls_per_s,
    }
}

/// Names of steps that tell them apart where a list has no column for archetype and workload.
pub(crate) struct StepLabels<'r> {
    report: &'r Report,
    /// How many steps have a name.
    counts: HashMap<&'r str, usize>,
}

impl<'r> StepLabels<'r> {
    /// Counts the names of the plan's steps.
    pub(crate) fn new(report: &'r Report) -> Self {
        let mut counts = HashMap::new();
        for series in &report.info.plan.steps {
            *counts.entry(series.name.as_str()).or_default() += 1;
        }
        Self { report, counts }
    }

    /// The name of a step; if others have the same, with its workload and archetype.
    pub(crate) fn label(&self, id: StepId) -> String {
        let plan = &self.report.info.plan;
        let series = &plan.steps[id];
        let workload = &plan.workloads[series.workload].name;
        let archetype = &plan.archetypes[series.archetype.index()];
        match self.counts.get(series.name.as_str()) {
            Some(2..) if workload == archetype => format!("{} ({workload})", series.name),
            Some(2..) => format!("{} ({workload} · {archetype})", series.name),
            _ => series.name.clone(),
        }
    }
}

/// A group of steps that is timed as one.
pub(crate) struct GroupRow<'r> {
    pub(crate) workload: &'r str,
    pub(crate) archetype: &'r str,
    pub(crate) name: &'r str,
    /// From the intended time of the first call to the end of the last one, without thinks.
    pub(crate) duration: &'r Latency,
}

/// All groups with what was measured after the warm-up.
pub(crate) fn groups(report: &Report) -> impl Iterator<Item = GroupRow<'_>> {
    let (plan, measured) = (&report.info.plan, &report.snapshot.measured);
    plan.groups.iter().zip(&measured.groups).map(|(series, duration)| GroupRow {
        workload: &plan.workloads[series.workload].name,
        archetype: &plan.archetypes[series.archetype.index()],
        name: &series.name,
        duration,
    })
}

/// A note if percentiles of steps differ from those of the run: a start that was never made has no
/// step.
pub(crate) fn lost_note(report: &Report) -> Option<String> {
    let lost = report.snapshot.measured.lost().count();
    (lost > 0).then(|| {
        format!(
            "{} never made: above every response in the times of the run and its workloads, \
             missing in those of steps",
            counted(lost, "start")
        )
    })
}

/// A note about calls of the drain: iterations that go on after the load make them.
pub(crate) fn drain_note(report: &Report) -> Option<String> {
    let calls = report.calls_in_drain();
    (calls > 0).then(|| {
        format!(
            "{} scheduled after the end of the load, while iterations drained: counted in every \
             column but the rate",
            counted(calls, "call")
        )
    })
}
