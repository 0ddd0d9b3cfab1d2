//! Which workloads may begin something while memory or the generator's own time is short.
//!
//! `run::supervisor` changes it by orders; starters and users look at it.
//! Invariant: the schedule does not change: a user that is not admitted comes later and its wait is
//! blocked time; a start that is not admitted is not made and is counted.

use std::cell::Cell;

use crate::clock::Time;
use crate::plan::policy::Priority;

/// The admission state of a shard.
#[derive(Debug)]
pub(crate) struct AdmissionGate {
    /// Workloads below this priority begin nothing.
    least: Cell<Priority>,
    /// No user is admitted.
    closed: Cell<bool>,
    /// When one of both changed last.
    changed: Cell<Time>,
}

impl AdmissionGate {
    /// A gate that admits everything.
    pub(crate) fn new() -> Self {
        let (least, closed) = (Cell::new(Priority::Low), Cell::new(false));
        Self { least, closed, changed: Cell::new(Time(0)) }
    }

    /// Sets the lowest priority of workloads that may start iterations, from `now` on.
    pub(crate) fn set_least(&self, least: Priority, now: Time) {
        self.least.set(least);
        self.changed.set(now);
    }

    /// From `now` on no user is admitted, or users are admitted again.
    pub(crate) fn set_closed(&self, closed: bool, now: Time) {
        self.closed.set(closed);
        self.changed.set(now);
    }

    /// When the admission gate changed last.
    pub(crate) fn changed(&self) -> Time {
        self.changed.get()
    }

    /// Whether a workload of this priority may begin nothing now.
    pub(crate) fn is_deprioritized(&self, priority: Priority) -> bool {
        priority < self.least.get()
    }

    /// Whether no user of a workload of this priority is admitted now.
    pub(crate) fn is_closed_for(&self, priority: Priority) -> bool {
        self.closed.get() || self.is_deprioritized(priority)
    }
}
