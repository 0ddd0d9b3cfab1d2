//! How many users a closed workload should have on this shard, and how many are there.
//!
//! Starters and user tasks report changes; `shard` reads it before each delta.
//! Invariant: each moment of the load is counted once, in the second in which it lies.

use std::cell::{Cell, RefCell};

use super::shard::Shard;
use crate::clock::{self, Time};
use crate::curve::Curve;
use crate::pace::{self, Stay, TargetUsers};
use crate::plan::slots::Segment;
use crate::plan::{Load, LoadBound, Workload};

const SECOND_NS: u64 = 1_000_000_000;

/// The users of one workload on a shard, integrated over time.
#[derive(Debug)]
pub(super) struct UserMeter {
    /// `None` if the workload sets no level of users over time: it is open, or a count ends it.
    target: Option<RefCell<TargetUsers>>,
    /// When the workload begins.
    zero: Time,
    present: Cell<u64>,
    /// Counted up to here.
    counted: Cell<Time>,
}

impl UserMeter {
    /// Of a workload as it is planned.
    pub(super) fn new(workload: &Workload, segment: Segment, start: Time) -> Self {
        let target = match &workload.load {
            Load::Closed(users) if users.bound == LoadBound::Time => {
                let stays = pace::stays(&users.curve, workload.slot_offset, segment);
                Some(RefCell::new(TargetUsers::new(&stays, 0)))
            }
            Load::Closed(_) | Load::Open(_) => None,
        };
        let zero = start + workload.start;
        Self { target, zero, present: Cell::default(), counted: Cell::new(zero) }
    }
}

impl Shard {
    /// A user of the closed model is there from now on.
    pub(super) fn user_came(&self, workload: usize, stay: &Stay) {
        self.count_users(workload);
        self.user_is_late(workload, stay, clock::now());
        let present = &self.user_meters[workload].present;
        present.set(present.get() + 1);
    }

    /// A user of the closed model was held out for all of its stay.
    pub(super) fn user_never_came(&self, workload: usize, stay: &Stay) {
        let leave = self.user_meters[workload].zero.after(stay.leave_ns);
        self.user_is_late(workload, stay, leave);
    }

    fn user_is_late(&self, workload: usize, stay: &Stay, came: Time) {
        let meter = &self.user_meters[workload];
        if meter.target.is_none() {
            return;
        }
        let due = meter.zero.after(stay.enter_ns);
        let late_ns = came.since(due);
        if late_ns > 0 {
            let due_ns = due.since(self.start);
            self.recorder.borrow_mut().user_is_late(workload, due_ns, late_ns);
        }
    }

    /// A user of the closed model has left.
    pub(super) fn user_left(&self, workload: usize) {
        self.count_users(workload);
        let present = &self.user_meters[workload].present;
        present.set(present.get() - 1);
    }

    /// From now on a workload's curve is another one.
    pub(super) fn retarget_users(&self, workload: usize, curve: &Curve) {
        self.count_users(workload);
        let meter = &self.user_meters[workload];
        if let Some(target) = &meter.target {
            let offset = self.plan.workloads[workload].slot_offset;
            let stays = pace::stays(curve, offset, self.segment);
            let from_ns = meter.counted.get().since(meter.zero);
            *target.borrow_mut() = TargetUsers::new(&stays, from_ns);
        }
    }

    /// Brings the counts of all workloads up to now. Once the run stops no user is due any more,
    /// and nothing further is counted.
    pub(super) fn count_all_users(&self) {
        (0..self.user_meters.len()).for_each(|workload| self.count_users(workload));
    }

    fn count_users(&self, workload: usize) {
        let meter = &self.user_meters[workload];
        let Some(target) = &meter.target else { return };
        let (from, now) = (meter.counted.get(), clock::now());
        if now <= from || self.is_draining() {
            return;
        }
        meter.counted.set(now);
        let present = meter.present.get();
        let zero_ns = meter.zero.since(self.start);
        let warmup_ns = self.warmup_ns;
        let (from, to) = (from.since(meter.zero), now.since(meter.zero));
        let mut recorder = self.recorder.borrow_mut();
        target.borrow_mut().advance(from, to, |from, to, users| {
            let (mut at, end) = (zero_ns + from, zero_ns + to);
            while at < end {
                let mut next = ((at / SECOND_NS + 1) * SECOND_NS).min(end);
                if at < warmup_ns {
                    next = next.min(warmup_ns);
                }
                recorder.users(workload, at, next - at, (users, present));
                at = next;
            }
        });
    }
}
