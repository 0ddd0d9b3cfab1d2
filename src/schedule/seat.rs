//! A job of a scheduler at work: its state, its store and its run.
//!
//! `scheduler` has one for each job.
//! Invariant: a job has at most one run; its state learns of the end of each.

use std::sync::Arc;
use std::thread::JoinHandle;

use super::machine::JobMachine;
use super::outcome::JobOutcome;
use super::run_control::RunControl;
use super::store::{SlotStore, StoreFailure};
use super::store_source::StoreSource;
use crate::clock::Time;
use crate::timetable::ScheduledJob;

/// A job of a scheduler at work.
#[derive(Default)]
pub(super) struct JobSeat {
    pub(super) machine: Option<JobMachine>,
    /// The store of its next claim.
    pub(super) store: Option<Box<dyn SlotStore>>,
    pub(super) run: Option<StartedRun>,
    /// Not before this time its slot is claimed again.
    pub(super) reclaim_at: Time,
    /// Whether it was said that another machine runs it.
    pub(super) is_told_busy: bool,
}

/// A run on its thread.
pub(super) struct StartedRun {
    pub(super) control: Arc<RunControl>,
    pub(super) thread: JoinHandle<(Box<dyn SlotStore>, JobOutcome)>,
}

impl JobSeat {
    /// Notes the end of its run.
    pub(super) fn collect(&mut self) {
        if let Some(run) = self.run.take_if(|run| run.thread.is_finished()) {
            let _ = run.thread.join();
            self.ended();
        }
    }

    pub(super) fn ended(&mut self) {
        if let Some(machine) = &mut self.machine {
            machine.ended();
        }
    }

    /// Whether it has no slot any more, and no run.
    pub(super) fn is_over(&mut self, job: &ScheduledJob) -> bool {
        let is_over = |machine: &mut JobMachine| machine.is_over(job);
        self.run.is_none() && self.machine.as_mut().is_some_and(is_over)
    }

    pub(super) fn take_store(
        &mut self,
        source: &StoreSource,
    ) -> Result<Box<dyn SlotStore>, StoreFailure> {
        match self.store.take() {
            Some(store) => Ok(store),
            None => source.open(),
        }
    }

    pub(super) fn wait_on(&mut self, store: Box<dyn SlotStore>, until: Time) {
        (self.store, self.reclaim_at) = (Some(store), until);
    }

    pub(super) fn with_run(&self, tell: impl FnOnce(&StartedRun)) {
        if let Some(run) = &self.run {
            tell(run);
        }
    }
}
