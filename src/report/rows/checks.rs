//! Rows of checks: how often each held.
//!
//! Invariant: a row for each check of the plan, also for those that were never made.

use crate::event::Report;
use crate::ids::StepId;

/// A check of a step.
pub(crate) struct CheckRow<'r> {
    pub(crate) id: StepId,
    pub(crate) step: &'r str,
    pub(crate) workload: &'r str,
    pub(crate) name: &'r str,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl CheckRow<'_> {
    /// How often it was made.
    pub(crate) fn made(&self) -> u64 {
        self.passed + self.failed
    }

    /// The share that passed; `None` if the check was never made.
    pub(crate) fn share(&self) -> Option<f64> {
        (self.made() > 0).then(|| self.passed as f64 / self.made() as f64)
    }
}

/// All checks in the order of the plan, with what was measured after the warm-up.
pub(crate) fn checks(report: &Report) -> impl Iterator<Item = CheckRow<'_>> {
    let plan = &report.info.plan;
    let steps = plan.checks.iter().zip(&report.snapshot.measured.steps);
    StepId::number(&plan.steps).zip(steps).flat_map(|((id, series), (names, window))| {
        let workload = &report.info.plan.workloads[series.workload].name;
        names.iter().enumerate().map(move |(at, name)| {
            let counts = window.as_ref().and_then(|window| window.checks.get(at));
            let [passed, failed] = counts.copied().unwrap_or_default();
            CheckRow { id, step: &series.name, workload, name, passed, failed }
        })
    })
}
