//! The load overrides of live control, read from the events of a run.
//!
//! Screens keep one and show it beside a workload's name.
//! Invariant: it holds only what differs from the plan.

use std::sync::Arc;

use crate::ids::WorkloadId;
use crate::plan::RunManifest;
use crate::stats::{Change, ChangeSubject, LoadOverride, StateChange};

/// The override of each workload; `None` if its load is as planned.
#[derive(Debug, Default)]
pub(crate) struct OverrideTimeline {
    /// `None` before the run begins.
    plan: Option<Arc<RunManifest>>,
    /// `110 %`, `paused`, `200/s`; `None` if the load is as planned.
    list: Vec<Option<String>>,
}

impl OverrideTimeline {
    /// The overrides at the start of a run: none.
    pub(crate) fn new(plan: &Arc<RunManifest>) -> Self {
        Self { plan: Some(Arc::clone(plan)), list: vec![None; plan.workloads.len()] }
    }

    /// Takes an event; only changes of a workload's load count.
    pub(crate) fn take(&mut self, notice: &StateChange) {
        let (Some(plan), ChangeSubject::Workload(name)) = (&self.plan, &notice.subject) else {
            return;
        };
        let at = plan.workloads.iter().position(|load| load.name == *name);
        let own = at.and_then(|at| self.list.get_mut(at));
        if let (Some(own), Change::Load { to, .. }) = (own, &notice.change) {
            *own = (*to != LoadOverride::PLANNED).then(|| to.to_string());
        }
    }

    /// The override of a workload; `None` if its load is as planned.
    pub(crate) fn of(&self, workload: WorkloadId) -> Option<&str> {
        self.list.get(workload.index())?.as_deref()
    }

    /// The overrides of all workloads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        self.list.iter().map(Option::as_deref)
    }

    /// Whether a workload is paused.
    pub(crate) fn is_paused(&self, workload: WorkloadId) -> bool {
        self.of(workload) == Some("paused")
    }
}
