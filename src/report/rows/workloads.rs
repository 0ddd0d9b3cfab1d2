//! Rows of workloads: the scheduled load, the load that was made, and what came of it.
//!
//! Invariant: rates are over the measured time of the workload: after the warm-up, within its load.

use crate::event::Report;
use crate::ids::{StepId, WorkloadId};
use crate::plan::manifest::WorkloadInfo;
use crate::stats::delta::{LoadWindow, StepWindow};
use crate::stats::{Calls, Departures, Iterations, WorstUsers};
use crate::units::per_second;

/// A workload with its figures.
pub(crate) struct WorkloadRow<'r> {
    report: &'r Report,
    pub(crate) id: WorkloadId,
    pub(crate) info: &'r WorkloadInfo,
    /// Iterations of the whole run, the warm-up included.
    pub(crate) iterations: &'r Iterations,
    /// Calls of the whole run, the warm-up included.
    pub(crate) calls: &'r Calls,
    /// What was measured after the warm-up.
    pub(crate) window: &'r LoadWindow,
    /// Measured time, ns.
    pub(crate) measured_ns: u64,
    /// Users that left before their time.
    pub(crate) departures: &'r Departures,
    /// The second in which the largest share of users was missing; `None` if none was.
    pub(crate) worst_users: Option<WorstUsers>,
}

impl WorkloadRow<'_> {
    /// A count of measured starts per second, if there is a schedule of starts.
    fn scheduled(&self, count: u64) -> Option<f64> {
        if self.window.due > 0 { per_second(count, self.measured_ns) } else { None }
    }

    /// Scheduled starts per second; `None` without a schedule of starts, or without measured time.
    pub(crate) fn due_per_s(&self) -> Option<f64> {
        self.scheduled(self.window.due)
    }

    /// Starts per second that began on time; `None` as for [`Self::due_per_s`].
    pub(crate) fn on_time_per_s(&self) -> Option<f64> {
        self.scheduled(self.window.on_time)
    }

    /// Share of the scheduled starts that began on time; `None` without a schedule of starts.
    pub(crate) fn on_time_share(&self) -> Option<f64> {
        let LoadWindow { due, on_time, .. } = *self.window;
        (due > 0).then(|| on_time as f64 / due as f64)
    }

    /// Iterations begun per second; `None` without measured time.
    pub(crate) fn started_per_s(&self) -> Option<f64> {
        per_second(self.window.started, self.measured_ns)
    }

    /// Share of the users that the load asked for that were present; `None` without a level of
    /// users.
    pub(crate) fn users_share(&self) -> Option<f64> {
        let LoadWindow { target_user_ns, present_user_ns, .. } = *self.window;
        (target_user_ns > 0).then(|| present_user_ns as f64 / target_user_ns as f64)
    }

    /// All its calls after the warm-up; starts that were dropped rank above every response.
    pub(crate) fn measured(&self) -> StepWindow {
        let steps = &self.report.info.plan.steps;
        let own = |step: StepId| steps[step.index()].workload == self.id;
        self.report.snapshot.measured.of_workload(self.id, own)
    }
}

/// All workloads, in the order of the plan.
pub(crate) fn workloads(report: &Report) -> impl Iterator<Item = WorkloadRow<'_>> {
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    WorkloadId::number(&plan.workloads).map(|(id, info)| {
        let (iterations, calls) = &snapshot.workloads[id.index()];
        WorkloadRow {
            report,
            id,
            info,
            iterations,
            calls,
            window: &snapshot.measured.workloads[id.index()],
            measured_ns: plan.measured_ns(id, snapshot.until_ns),
            departures: &snapshot.departures[id.index()],
            worst_users: snapshot.worst_users[id.index()],
        }
    })
}
