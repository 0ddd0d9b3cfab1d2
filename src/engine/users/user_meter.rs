//! How many users a closed workload should have on this shard, and how many are there.
//!
//! Starters and workers report changes; `shard_loop` reads it before each delta.
//! Invariant: each moment of the load is counted once, in the second in which it lies.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::clock::{self, RunOffset, Time, WorkloadOffset};
use crate::curve::Curve;
use crate::engine::lease::ShardLease;
use crate::engine::lifecycle::Lifecycle;
use crate::engine::startup::setup::ShardSetup;
use crate::ids::WorkloadId;
use crate::pace::{self, Stay, TargetUsers};
use crate::plan::slots::{OwnedSlots, SlotSet};
use crate::plan::{Load, LoadBound};
use crate::stats::Recorder;

/// The users of one workload on a shard, integrated over time.
#[derive(Debug)]
pub(crate) struct UserMeter {
    workload: WorkloadId,
    /// `None` if the workload sets no level of users over time: it is open, or a count ends it.
    target: Option<RefCell<TargetUsers>>,
    /// When the run begins, and the workload.
    start: Time,
    zero: Time,
    slot_offset: u64,
    /// The slots of the shard, and since when it has them.
    parts: RefCell<Vec<(SlotSet, WorkloadOffset)>>,
    present: Cell<u64>,
    /// No user is due from then on.
    released: Cell<WorkloadOffset>,
    /// Users are counted up to this time.
    counted: Cell<Time>,
    lifecycle: Rc<Lifecycle>,
    lease: Rc<ShardLease>,
}

impl UserMeter {
    /// The meter of a workload as it is planned.
    pub(crate) fn new(
        setup: &ShardSetup,
        workload: WorkloadId,
        lifecycle: &Rc<Lifecycle>,
        lease: &Rc<ShardLease>,
    ) -> Self {
        let (segment, start) = (setup.segment, setup.start);
        let planned = &setup.plan.workloads[workload];
        let target = match &planned.load {
            Load::Closed(users) if users.bound == LoadBound::Time => {
                let stays = pace::stays(&users.curve, planned.slot_offset, &segment.into());
                Some(RefCell::new(TargetUsers::new(&stays, WorkloadOffset::ZERO)))
            }
            Load::Closed(_) | Load::Open(_) => None,
        };
        let zero = start + planned.start;
        Self {
            workload,
            target,
            start,
            zero,
            slot_offset: planned.slot_offset,
            parts: RefCell::new(vec![(segment.into(), WorkloadOffset::ZERO)]),
            present: Cell::default(),
            released: Cell::new(WorkloadOffset::NEVER),
            counted: Cell::new(zero),
            lifecycle: Rc::clone(lifecycle),
            lease: Rc::clone(lease),
        }
    }

    /// A user of the closed model is there from now on.
    pub(crate) fn user_arrived(&self, stay: &Stay, recorder: &RefCell<Recorder>) {
        self.count(recorder);
        let (now, due) = (clock::now(), stay.enter.time(self.zero));
        let intended = RunOffset::of(due, self.start);
        recorder.borrow_mut().note_first_start(intended, now.since(due));
        self.record_lateness(stay, now, recorder);
        self.present.set(self.present.get() + 1);
    }

    /// A user of the closed model was not admitted for all of its stay.
    pub(crate) fn user_never_came(&self, stay: &Stay, recorder: &RefCell<Recorder>) {
        self.record_lateness(stay, stay.leave.time(self.zero), recorder);
    }

    /// A user of the closed model has left.
    pub(crate) fn user_left(&self, recorder: &RefCell<Recorder>) {
        self.count(recorder);
        self.present.set(self.present.get() - 1);
    }

    /// From now on the load follows `curve`.
    pub(crate) fn set_curve(&self, curve: &Curve, recorder: &RefCell<Recorder>) {
        self.count(recorder);
        if let Some(target) = &self.target {
            let from = WorkloadOffset::of(self.counted.get(), self.zero);
            *target.borrow_mut() = TargetUsers::new(&self.stays(curve), from);
        }
    }

    /// From `owned.from` on, the users in these slots are due here, too. `curve` is the load.
    pub(crate) fn adopt(&self, owned: &OwnedSlots, curve: &Curve, recorder: &RefCell<Recorder>) {
        let Some(target) = &self.target else { return };
        self.count(recorder);
        let zero = RunOffset::of(self.zero, self.start);
        let from = owned.from.in_workload(zero);
        let stays = pace::stays_from(curve, self.slot_offset, &owned.slots, from);
        let counted = WorkloadOffset::of(self.counted.get(), self.zero);
        // If the shard learns of it late, they were missing until now.
        let mut late = TargetUsers::new(&stays, from);
        late.advance(from, counted, |from, to, users| {
            self.record(from, to, (users, 0), &mut recorder.borrow_mut());
        });
        self.parts.borrow_mut().push((owned.slots.clone(), from));
        *target.borrow_mut() = TargetUsers::new(&self.stays(curve), counted);
    }

    /// From `from` on, no user is due here. `curve` is the load.
    pub(crate) fn release(&self, from: RunOffset, curve: &Curve) {
        let Some(target) = &self.target else { return };
        self.released.set(from.in_workload(RunOffset::of(self.zero, self.start)));
        let counted = WorkloadOffset::of(self.counted.get(), self.zero);
        *target.borrow_mut() = TargetUsers::new(&self.stays(curve), counted);
    }

    /// Counts the time up to now in which the shard had no lease, from `until` on: its users were
    /// due and did nothing.
    pub(crate) fn count_without_lease(&self, recorder: &RefCell<Recorder>, until: Time) {
        self.count_up_to(until, self.present.get(), recorder);
        self.count_up_to(clock::now(), 0, recorder);
    }

    /// The stays of all users that are due here.
    fn stays(&self, curve: &Curve) -> Vec<Stay> {
        let (parts, released) = (self.parts.borrow(), self.released.get());
        let stays = |(slots, from): &(SlotSet, WorkloadOffset)| {
            pace::stays_from(curve, self.slot_offset, slots, *from)
        };
        let mut stays: Vec<Stay> = parts.iter().flat_map(stays).collect();
        pace::clip(&mut stays, released);
        stays
    }

    /// Counts users up to now, or up to the end of the lease: whether later ones are due here is
    /// not known.
    pub(crate) fn count(&self, recorder: &RefCell<Recorder>) {
        self.count_up_to(clock::now().min(self.lease.until()), self.present.get(), recorder);
    }

    /// Counts users up to `now`, of which `present` are there. Once the shard drains, the load asks
    /// for no user, and nothing further is counted.
    fn count_up_to(&self, now: Time, present: u64, recorder: &RefCell<Recorder>) {
        let Some(target) = &self.target else { return };
        let from = self.counted.get();
        if now <= from || self.lifecycle.is_draining() {
            return;
        }
        self.counted.set(now);
        let (from, to) = (WorkloadOffset::of(from, self.zero), WorkloadOffset::of(now, self.zero));
        let mut recorder = recorder.borrow_mut();
        target.borrow_mut().advance(from, to, |from, to, users| {
            self.record(from, to, (users, present), &mut recorder);
        });
    }

    /// Records users that were due and present from `from` to `to`, second by second.
    fn record(
        &self,
        from: WorkloadOffset,
        to: WorkloadOffset,
        users: (u64, u64),
        recorder: &mut Recorder,
    ) {
        let zero = RunOffset::of(self.zero, self.start);
        recorder.record_users(self.workload, from.in_run(zero), to.in_run(zero), users);
    }

    fn record_lateness(&self, stay: &Stay, came: Time, recorder: &RefCell<Recorder>) {
        if self.target.is_none() {
            return;
        }
        let due = stay.enter.time(self.zero);
        let late_ns = came.since(due);
        if late_ns > 0 {
            let at = RunOffset::of(due, self.start);
            recorder.borrow_mut().record_late_user(self.workload, at, late_ns);
        }
    }
}
