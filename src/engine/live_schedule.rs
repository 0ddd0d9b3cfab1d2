//! The load of a workload on a shard, as live control changed it.
//!
//! `starter` applies changes; starters and closed users read it.
//! Invariant: a change holds from its moment on; what was scheduled before stays as it was.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::clock::{Time, WorkloadOffset};
use crate::curve::Curve;
use crate::event::ScheduleChange;
use crate::pace::{Pauses, Stay};
use crate::plan::{Load, Plan, Workload};
use crate::units::nanos;

/// The load of a workload.
#[derive(Debug)]
pub(crate) struct LiveSchedule {
    /// When the workload begins, and how long its users may finish after they have to leave.
    zero: Time,
    grace_ns: u64,
    /// The places of the planned population.
    pub(crate) places: u64,
    /// The number of changes so far.
    version: Cell<u64>,
    /// Whether the workload's starter has ended.
    ended: Cell<bool>,
    /// The moment from which the last change holds.
    from: Cell<WorkloadOffset>,
    /// The changed load; `None` while it is as planned.
    curve: RefCell<Option<Rc<Curve>>>,
    /// The pauses.
    pauses: RefCell<Pauses>,
    /// When all users have to leave.
    released: Cell<Time>,
    /// Users at work, by number and visit.
    present: RefCell<BTreeMap<(u64, u64), Rc<Presence>>>,
}

/// A user of the closed model that is there.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) stay: Stay,
    /// When the user begins no further iteration.
    leave: Cell<Time>,
    /// When the user's calls are cancelled.
    hard_end: Rc<Cell<Time>>,
}

impl Presence {
    /// The presence of a user that has not arrived yet.
    pub(crate) fn new(stay: Stay, hard_end: Rc<Cell<Time>>) -> Rc<Self> {
        Rc::new(Self { stay, leave: Cell::new(Time::NEVER), hard_end })
    }

    fn key(&self) -> (u64, u64) {
        (self.stay.number, self.stay.visit)
    }

    /// When the user begins no further iteration.
    pub(crate) fn leave(&self) -> Time {
        self.leave.get()
    }
}

impl LiveSchedule {
    /// The load of a workload as it is planned.
    pub(crate) fn new(plan: &Plan, workload: &Workload, start: Time) -> Self {
        Self {
            zero: start + workload.start,
            grace_ns: nanos(plan.grace),
            places: workload.peak_users(),
            version: Cell::default(),
            ended: Cell::default(),
            from: Cell::default(),
            curve: RefCell::default(),
            pauses: RefCell::default(),
            released: Cell::new(Time::NEVER),
            present: RefCell::default(),
        }
    }

    /// The shard has adopted slots.
    pub(crate) fn slots_changed(&self) {
        self.version.set(self.version.get() + 1);
    }

    /// Users were idle from `from` to `to`, without a pause of the load: what was to come comes
    /// later by as much.
    pub(crate) fn suspend(&self, from: Time, to: Time) {
        let at = |time| WorkloadOffset::of(time, self.zero);
        self.pauses.borrow_mut().insert(at(from), at(to));
        self.version.set(self.version.get() + 1);
    }

    /// All users leave at `at`, or before.
    pub(crate) fn release(&self, at: Time) {
        self.released.set(at);
        self.version.set(self.version.get() + 1);
        self.present.borrow().values().for_each(|presence| self.update_leave(presence));
    }

    /// The workload's starter has ended.
    pub(crate) fn starter_ended(&self) {
        self.ended.set(true);
    }

    /// Whether the workload's starter has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Applies a change; `true` if the moment from which it holds is still to come.
    pub(crate) fn apply(
        &self,
        load: &Load,
        start: Time,
        change: &ScheduleChange,
        now: Time,
    ) -> bool {
        let at = change.at.time(start);
        let from = WorkloadOffset::of(at, self.zero);
        let old = self.curve.borrow_mut().take();
        let old = old.as_deref().unwrap_or(load.curve());
        let curve = Rc::new(old.overridden_from(from.ns(), &change.load.curve(load)));
        *self.curve.borrow_mut() = Some(curve);
        self.from.set(from);
        self.version.set(self.version.get() + 1);
        if change.load.paused {
            self.pauses.borrow_mut().begin(from);
        } else {
            self.pauses.borrow_mut().end(from);
        }
        for presence in self.present.borrow().values() {
            self.update_leave(presence);
        }
        now <= at
    }

    /// Returns the number of changes so far; a task that waits by the schedule recomputes its wait
    /// when it grows.
    pub(crate) fn version(&self) -> u64 {
        self.version.get()
    }

    /// The changed load, and the moment from which it holds; `None` if it is as planned.
    pub(crate) fn curve_override(&self) -> Option<(Rc<Curve>, WorkloadOffset)> {
        self.curve.borrow().as_ref().map(|curve| (Rc::clone(curve), self.from.get()))
    }

    /// A user arrives, or begins another session of its stay.
    pub(crate) fn arrive(&self, presence: &Rc<Presence>) {
        self.update_leave(presence);
        self.present.borrow_mut().insert(presence.key(), Rc::clone(presence));
    }

    /// A user departs: later changes do not move its end.
    pub(crate) fn depart(&self, presence: &Presence) {
        self.present.borrow_mut().remove(&presence.key());
    }

    /// Whether a user with this number is present.
    pub(crate) fn is_present(&self, number: u64) -> bool {
        let visits = (number, 0)..=(number, u64::MAX);
        self.present.borrow().range(visits).next().is_some()
    }

    /// Sets when a user has to leave.
    fn update_leave(&self, presence: &Presence) {
        let Stay { enter, number, mut leave, .. } = presence.stay;
        if let Some(curve) = &*self.curve.borrow() {
            let stays = curve.stays(number);
            let own = stays.iter().rev().find(|(from, _)| *from <= enter.ns());
            leave = own.map_or(self.from.get(), |(_, to)| WorkloadOffset::from_ns(*to));
        }
        let leave = leave.time(self.zero).min(self.released.get());
        presence.leave.set(leave);
        presence.hard_end.set(leave.after(self.grace_ns));
    }

    /// When the current pause ends; `None` if the workload is not paused.
    #[inline]
    pub(crate) fn paused_until(&self, now: Time) -> Option<Time> {
        if self.version.get() == 0 {
            return None;
        }
        let until = self.pauses.borrow().until(WorkloadOffset::of(now, self.zero));
        until.map(|until| until.time(self.zero))
    }

    /// When the next pause begins.
    #[inline]
    pub(crate) fn next_pause(&self, now: Time) -> Time {
        if self.version.get() == 0 {
            return Time::NEVER;
        }
        self.pauses.borrow().next(WorkloadOffset::of(now, self.zero)).time(self.zero)
    }

    /// How long the workload has been paused by then, ns.
    #[inline]
    pub(crate) fn paused_ns(&self, at: Time) -> u64 {
        if self.version.get() == 0 {
            return 0;
        }
        self.pauses.borrow().paused_ns(WorkloadOffset::of(at, self.zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunOffset;
    use crate::ids::WorkloadId;
    use crate::plan::load::{LoadBound, Users};
    use crate::plan::load_override::OverrideBase;
    use crate::plan::{Load, LoadOverride};
    use std::time::Duration;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_change_that_is_known_too_late_holds_from_now_on() {
        let curve = Curve::constant(3, Duration::from_secs(10));
        let load = Load::Closed(Users { curve, bound: LoadBound::Time });
        let live = LiveSchedule {
            zero: Time(S),
            grace_ns: S,
            places: 3,
            version: Cell::default(),
            ended: Cell::default(),
            from: Cell::default(),
            curve: RefCell::default(),
            pauses: RefCell::default(),
            released: Cell::new(Time::NEVER),
            present: RefCell::default(),
        };
        let (at, own) = (RunOffset::from_ns, WorkloadOffset::from_ns);
        let stay =
            |number, enter_ns| Stay { enter: own(enter_ns), number, leave: own(10 * S), visit: 0 };
        let come = |stay: &Stay| {
            let presence = Presence::new(*stay, Rc::default());
            live.arrive(&presence);
            presence
        };
        let users = [come(&stay(0, 0)), come(&stay(2, 0))];
        let leaves = || users.each_ref().map(|user| user.leave().0 / S);
        assert_eq!((leaves(), live.curve_override().is_none()), ([11, 11], true));

        // Two users from 4 s of the run on, which is 3 s of the workload; known at 5 s.
        let two = LoadOverride { base: OverrideBase::Users(2), ..LoadOverride::PLANNED };
        let change = ScheduleChange { workload: WorkloadId::default(), at: at(4 * S), load: two };
        assert!(!live.apply(&load, Time(0), &change, Time(5 * S)), "it is late");
        assert_eq!((leaves(), live.version()), ([11, 4], 1));
        assert_eq!(users[1].hard_end.get(), Time(5 * S));
        // A user that arrives by a plan that no longer holds has to leave at once.
        assert_eq!(come(&stay(2, 3 * S + 1)).leave(), Time(4 * S));

        // A change does not move the end of a user that has departed.
        live.depart(&users[0]);
        let none = LoadOverride { base: OverrideBase::Users(1), ..LoadOverride::PLANNED };
        let change = ScheduleChange {
            workload: WorkloadId::default(),
            at: at(8 * S),
            load: LoadOverride { paused: true, ..none },
        };
        assert!(live.apply(&load, Time(0), &change, Time(8 * S)));
        assert_eq!((leaves(), live.is_present(0), live.is_present(2)), ([11, 4], false, true));
        assert_eq!(live.paused_until(Time(8 * S)), Some(Time::NEVER));
        assert_eq!((live.paused_ns(Time(9 * S)), live.next_pause(Time(0))), (S, Time(8 * S)));
    }
}
