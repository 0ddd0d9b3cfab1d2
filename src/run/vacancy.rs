//! The load of a shard whose process was lost: what is due of it is counted as unserved, until
//! other shards have its slots.
//!
//! `dispatch` keeps one for each lost shard, and asks it for a delta each second.
//! Invariant: the shard's own deltas and those of its vacancy add up to the schedule: each start is
//! due once, and none is made up.

use crate::clock::{RunOffset, Time, WorkloadOffset};
use crate::curve::Curve;
use crate::ids::WorkloadId;
use crate::pace::{self, Schedule, Stay, TargetUsers};
use crate::plan::slots::{OwnedSlots, SlotSet};
use crate::plan::{Load, LoadBound, Plan, Workload};
use crate::stats::sample::SeriesLayout;
use crate::stats::{Calls, Delta, Gauges, Iterations, Recorder, Unfinished};
use crate::units::nanos;

/// Starts counted in one go.
const COUNTED_AT_ONCE: u64 = 1 << 20;

/// The load of a lost shard.
pub(super) struct Vacancy<'p> {
    plan: &'p Plan,
    slots: LostSlots,
    start: Time,
    recorder: Recorder,
    loads: Vec<VacantLoad<'p>>,
    /// The load is counted up to this time.
    counted: RunOffset,
    /// The last gauges of the shard, with nothing running any more.
    gauges: Gauges,
    /// Whether nothing more is due: the run was stopped.
    drained: bool,
}

/// The slots of a lost shard.
pub(super) struct LostSlots {
    /// The index of the shard.
    pub(super) shard: usize,
    /// Its slots: its own since the start of the run, then those that it adopted.
    pub(super) parts: Vec<OwnedSlots>,
    /// What is due from then on belongs to other shards.
    pub(super) until: RunOffset,
}

/// The load of one workload.
enum VacantLoad<'p> {
    /// The starts that follow the last one of the shard.
    Open(Box<Schedule<'p>>),
    /// The users that should be there.
    Closed(TargetUsers),
    /// Only a count ends it: nothing is due at a time.
    Counted,
}

impl<'p> Vacancy<'p> {
    /// The load of a shard that sent its last delta at `since`. `counts` is what it counted until
    /// then, `gauges` what it had at the end of its last delta; `curves` are the loads as live
    /// control changed them.
    pub(super) fn new(
        plan: &'p Plan,
        slots: LostSlots,
        (start, since): (Time, RunOffset),
        counts: &[(Iterations, Calls)],
        gauges: Gauges,
        curves: &[Curve],
    ) -> Self {
        let loads = WorkloadId::number(&plan.workloads).zip(counts).zip(curves);
        let loads = loads.map(|(((id, workload), counts), curve)| match &workload.load {
            Load::Open(arrivals) => {
                let (offset, zero) = (workload.slot_offset, workload.zero());
                let none = SlotSet::from_iter([]);
                let mut schedule = Schedule::new(arrivals, id, offset, plan.seed, none);
                schedule.replace_curve(curve.clone());
                for OwnedSlots { slots, from } in &slots.parts {
                    schedule.adopt(slots.clone(), from.in_workload(zero));
                }
                schedule.pass_over(counts.0.due);
                schedule.release_from(slots.until.in_workload(zero));
                VacantLoad::Open(Box::new(schedule))
            }
            Load::Closed(users) if users.bound == LoadBound::Time => {
                let from = since.in_workload(workload.zero());
                VacantLoad::Closed(target(workload, &slots, curve, from))
            }
            Load::Closed(_) => VacantLoad::Counted,
        });
        let loads = loads.collect();
        Self {
            plan,
            recorder: Recorder::new(plan.series_layout(), slots.shard, start),
            slots,
            start,
            loads,
            counted: since,
            gauges: Gauges { users: 0, connections: 0, streams: 0, streams_wanted: 0, ..gauges },
            drained: false,
        }
    }

    /// The index of the shard.
    pub(super) const fn shard(&self) -> usize {
        self.slots.shard
    }

    /// Counts iterations of a count that the lost process had left.
    pub(super) fn leave_iterations(&mut self, workload: WorkloadId, count: u64) {
        self.recorder.record_unserved_iterations(workload, count);
    }

    /// From the next count on, workloads follow these curves.
    pub(super) fn set_curves(&mut self, curves: &[Curve]) {
        let loads = self.loads.iter_mut().zip(&self.plan.workloads).zip(curves);
        for ((load, workload), curve) in loads {
            match load {
                VacantLoad::Open(schedule) => schedule.replace_curve(curve.clone()),
                VacantLoad::Closed(users) => {
                    let from = self.counted.in_workload(workload.zero());
                    *users = target(workload, &self.slots, curve, from);
                }
                VacantLoad::Counted => {}
            }
        }
    }

    /// Counts what was due up to `now`, and returns the delta of that time. It is the last one if
    /// nothing more can be due.
    pub(super) fn take(&mut self, now: RunOffset) -> Delta {
        if !self.drained {
            self.count(now);
        }
        self.delta(now)
    }

    /// Counts what was due up to `now`; all else will not be reached. Returns the last delta.
    pub(super) fn drain(&mut self, now: RunOffset) -> Delta {
        if !self.drained {
            self.count(now);
            self.drained = true;
            for (load, id) in self.loads.iter_mut().zip((0..).map(WorkloadId::new)) {
                let VacantLoad::Open(schedule) = load else { continue };
                let mut more = true;
                while more {
                    let (counted, goes_on) = schedule.count_some(COUNTED_AT_ONCE);
                    self.recorder.record_not_reached(id, counted);
                    more = goes_on;
                }
            }
        }
        self.delta(now)
    }

    fn count(&mut self, now: RunOffset) {
        let from = self.counted;
        let now = now.min(self.slots.until);
        if now <= from {
            return;
        }
        self.counted = now;
        let recorder = &mut self.recorder;
        let loads = self.loads.iter_mut().zip(WorkloadId::number(&self.plan.workloads));
        for (load, (id, workload)) in loads {
            let zero = workload.zero();
            match load {
                VacantLoad::Open(schedule) => {
                    while let Some(due) = schedule.peek().map(|start| start.due.in_run(zero)) {
                        if due > now {
                            break;
                        }
                        schedule.advance();
                        recorder.record_unserved(id, due);
                    }
                }
                VacantLoad::Closed(users) => {
                    let (from, to) = (from.in_workload(zero), now.in_workload(zero));
                    users.advance(from, to, |from, to, users| {
                        recorder.record_users(id, from.in_run(zero), to.in_run(zero), (users, 0));
                    });
                }
                VacantLoad::Counted => {}
            }
        }
    }

    fn delta(&mut self, now: RunOffset) -> Delta {
        let mut delta = self.recorder.take_interval(Gauges::default(), now.time(self.start));
        delta.gauges = Gauges { elapsed_ns: now.ns(), ..self.gauges };
        delta.last = self.is_over(now);
        delta
    }

    /// Whether nothing more can be due.
    fn is_over(&self, now: RunOffset) -> bool {
        let is_over = |workload: &Workload| {
            workload.end().is_none_or(|end| now >= RunOffset::from_ns(nanos(end)))
        };
        self.drained || now >= self.slots.until || self.plan.workloads.iter().all(is_over)
    }
}

/// The users that a curve requires in the slots of a shard, from `from` on.
fn target(
    workload: &Workload,
    slots: &LostSlots,
    curve: &Curve,
    from: WorkloadOffset,
) -> TargetUsers {
    let stays = |part: &OwnedSlots| {
        let from = part.from.in_workload(workload.zero());
        pace::stays_from(curve, workload.slot_offset, &part.slots, from)
    };
    let stays: Vec<Stay> = slots.parts.iter().flat_map(stays).collect();
    TargetUsers::new(&stays, from)
}

/// Ends what a lost shard had under way at its last delta; other shards serve the rest, or it is
/// counted later.
pub(super) fn cut(unfinished: Unfinished, plan: &Plan) -> (Delta, RunOffset) {
    let open: Vec<bool> =
        plan.workloads.iter().map(|load| matches!(load.load, Load::Open(_))).collect();
    cut_off(unfinished, &plan.series_layout(), &open)
}

/// Ends what a lost shard had under way at its last delta: starts that were due and had not begun
/// are unserved. `open`: whether each workload has a schedule. Returns the delta, and the time of
/// the shard's last one.
pub(super) fn cut_off(
    unfinished: Unfinished,
    layout: &SeriesLayout,
    open: &[bool],
) -> (Delta, RunOffset) {
    let at = RunOffset::from_ns(unfinished.gauges().elapsed_ns);
    let mut delta = unfinished.cut(layout, open, at);
    for (iterations, _) in &mut delta.workloads {
        iterations.unserved += std::mem::take(&mut iterations.not_reached);
    }
    delta.last = false;
    (delta, at)
}
