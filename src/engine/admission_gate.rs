//! Who may come in, and who may begin, while something is short: memory, or the generator itself.
//!
//! `run::steward` gives the orders; starters and users look at it.
//! Invariant: what was asked stays asked: a user that is held comes later and its wait is blocked
//! time, a start that is held is not made and is counted.

use std::cell::Cell;

use super::shard::Shard;
use crate::clock::{self, Time};
use crate::plan::policy::Priority;

/// A shard's doors.
#[derive(Debug)]
pub(super) struct AdmissionGate {
    /// Workloads below this priority begin nothing.
    least: Cell<Priority>,
    /// Nobody is let in.
    closed: Cell<bool>,
    /// When they were opened last.
    opened: Cell<Time>,
}

impl AdmissionGate {
    /// Open ones.
    pub(super) fn new() -> Self {
        let (least, shut) = (Cell::new(Priority::Low), Cell::new(false));
        Self { least, closed: shut, opened: Cell::new(Time(0)) }
    }

    /// Only what is at least so important may begin.
    pub(super) fn admit(&self, least: Priority) {
        self.least.set(least);
        self.opened.set(clock::now());
    }

    /// Nobody is let in, or everybody again.
    pub(super) fn set_closed(&self, shut: bool) {
        self.closed.set(shut);
        self.opened.set(clock::now());
    }

    /// When they were opened last.
    pub(super) fn opened(&self) -> Time {
        self.opened.get()
    }
}

impl Shard {
    /// Whether a workload may begin nothing now.
    pub(super) fn is_deprioritized(&self, workload: usize) -> bool {
        self.plan.workloads[workload].priority < self.admission.least.get()
    }

    /// Whether no user of a workload may come now.
    pub(super) fn is_admission_closed(&self, workload: usize) -> bool {
        self.admission.closed.get() || self.is_deprioritized(workload)
    }
}
