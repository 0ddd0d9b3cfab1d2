//! Starters: one task of a shard for each workload, which admits its users or makes its starts.
//!
//! `shard_loop` begins them; `pace` says when each user or start is due, `live_schedule` how live
//! control changed the load.
//! Invariant: each number that the shard owns is admitted, started, dropped or counted once,
//! however often the load is changed.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use crate::clock::{self, RunOffset, Time, Timer};
use crate::engine::lease::LeaseUse;
use crate::engine::live_schedule::LiveSchedule;
use crate::engine::shard::Shard;
use crate::engine::users::user_task::Assignment;
use crate::engine::users::{ahead, worker};
use crate::event::ScheduleChange;
use crate::ids::WorkloadId;
use crate::pace::{self, Schedule, Stay};
use crate::plan::policy::PrewarmPolicy;
use crate::plan::slots::OwnedSlots;
use crate::plan::{Arrivals, Load, LoadBound, Users, Workload};
use crate::stats::{Change, ChangeCause, ChangeSubject, StateChange};

/// Starts made in a row when the shard is late, before users get a turn: users that finish are free
/// for the next starts.
const LATE_STARTS: u32 = 32;

/// Starts counted in one go when a run is stopped before they were due.
const COUNTED_AT_ONCE: u64 = 10_000;

/// Why a starter has assigned all its stays.
enum StarterEnd {
    /// The load was changed.
    ScheduleChanged,
    /// No user is to come, whatever live control does.
    ForGood,
}

/// Runs the starter of a workload until its load is over.
pub(crate) async fn run(shard: &Rc<Shard>, id: WorkloadId) {
    let starter = Starter { shard, id, timer: Timer::new() };
    let load = &shard.plan.workloads[id].load;
    // The users that a curve of the closed model announces are prepared by their own tasks.
    let prepares = |prewarm: PrewarmPolicy| prewarm.predict || matches!(load, Load::Open(_));
    if shard.plan.policies.prewarm.is_some_and(prepares) {
        tokio::task::spawn_local(ahead::run(Rc::clone(shard), id));
    }
    match load {
        Load::Closed(users) => {
            let owned = OwnedSlots { slots: shard.segment.into(), from: RunOffset::ZERO };
            starter.admit_users(users, &owned).await;
        }
        Load::Open(arrivals) => starter.make_starts(arrivals).await,
    }
}

/// Admits the users of a workload in slots that the shard has adopted.
pub(crate) async fn run_adopted(shard: &Rc<Shard>, id: WorkloadId, owned: &OwnedSlots) {
    let starter = Starter { shard, id, timer: Timer::new() };
    if let Load::Closed(users) = &shard.plan.workloads[id].load {
        starter.admit_users(users, owned).await;
    }
}

/// Changes the load of a workload.
pub(crate) fn change_schedule(shard: &Shard, change: &ScheduleChange) {
    let workload = &shard.plan.workloads[change.workload];
    let live = &shard.schedules[change.workload];
    let now = clock::now();
    if !live.apply(&workload.load, shard.start, change, now) {
        let late_ms = now.since(change.at.time(shard.start)) / 1_000_000;
        shard.recorder.borrow_mut().push_change(StateChange {
            at: RunOffset::of(now, shard.start),
            subject: ChangeSubject::Workload(workload.name.clone()),
            change: Change::LateLoad { to: change.load, late_ms, shard: shard.segment.shard },
            cause: ChangeCause::BusyShard,
        });
    }
    if let Some((curve, _)) = live.curve_override() {
        shard.user_meters[change.workload].set_curve(&curve, &shard.recorder);
    }
}

/// The starter of one workload.
struct Starter<'a> {
    shard: &'a Rc<Shard>,
    id: WorkloadId,
    timer: Timer,
}

impl Starter<'_> {
    fn workload(&self) -> &Workload {
        &self.shard.plan.workloads[self.id]
    }

    fn live(&self) -> &LiveSchedule {
        &self.shard.schedules[self.id]
    }

    /// The closed model: admits users as the level rises. They leave by themselves.
    async fn admit_users(&self, users: &Users, owned: &OwnedSlots) {
        let workload = self.workload();
        let due_from = owned.from.in_workload(workload.zero());
        let due = |curve: &_| pace::stays_from(curve, workload.slot_offset, &owned.slots, due_from);
        let changed = self.live().curve_override();
        let mut stays = due(changed.as_ref().map_or(&users.curve, |(curve, _)| &**curve));
        // How many of the stays were assigned, and the last one that was.
        let (mut at, mut last) = (0, None);
        while let StarterEnd::ScheduleChanged = self.assign_stays(users, &stays, &mut at).await {
            let live = self.live();
            let Some((curve, from)) = live.curve_override() else { continue };
            last = stays[..at].last().map(|stay| (stay.enter, stay.number)).or(last);
            let is_new = |stay: &Stay| {
                let is_next = last.is_none_or(|last| (stay.enter, stay.number) > last);
                // A user may have been assigned before this shard knew of the change.
                is_next || stay.enter >= from && !live.is_present(stay.number)
            };
            let mut to_come = due(&curve);
            to_come.retain(is_new);
            if users.bound != LoadBound::Time {
                let left = &self.shard.shared.populations[self.id].left;
                left.fetch_add(to_come.len() as u64, Relaxed);
                left.fetch_sub((stays.len() - at) as u64, Relaxed);
            }
            (stays, at) = (to_come, 0);
        }
    }

    /// Assigns the stays from the one at `at` on, and waits until the load is over or changed.
    async fn assign_stays(&self, users: &Users, stays: &[Stay], at: &mut usize) -> StarterEnd {
        let (shard, id, live) = (self.shard, self.id, self.live());
        let (zero, version) = (shard.zero(self.workload()), live.version());
        let planned = zero.after(users.curve.end_ns());
        // Users of a count stay where they are.
        let end = if users.bound == LoadBound::Time { self.load_end(planned) } else { planned };
        while let Some(stay) = stays.get(*at) {
            let due = stay.enter.time(zero);
            self.wait_unless_changed(due.before(shard.prewarm_ns()), version).await;
            if shard.is_draining() || shard.shared.is_spent(id, users) {
                return StarterEnd::ForGood;
            }
            if live.version() != version {
                return StarterEnd::ScheduleChanged;
            }
            if end < planned && due >= end {
                break;
            }
            if shard.is_admission_closed(id) {
                // The users stay scheduled for as long as the load lasts; the wait is theirs.
                if clock::now() >= end {
                    return StarterEnd::ForGood;
                }
                self.wait_for_admission(users, end, version).await;
                continue;
            }
            *at += 1;
            if clock::now() >= stay.leave.time(zero).min(end) {
                // The user was not admitted for all of its stay.
                shard.user_meters[id].user_never_came(stay, &shard.recorder);
                shard.shared.populations[id].user_departed();
                continue;
            }
            worker::assign(shard, Assignment::User(id, *stay));
        }
        self.wait_for_end(users, end, version).await
    }

    /// Waits until the load is over or changed. The load lasts to its end, also if its users have
    /// nothing more to begin; one that a count ends, until no user is left that could begin
    /// anything.
    async fn wait_for_end(&self, users: &Users, end: Time, version: u64) -> StarterEnd {
        let (shard, id) = (self.shard, self.id);
        let population = &shard.shared.populations[id];
        let is_counted = users.bound != LoadBound::Time;
        let mut over = std::pin::pin!(population.over.notified());
        over.as_mut().enable();
        let is_over = || {
            let is_empty = || population.left.load(Relaxed) == 0;
            clock::now() >= end
                || shard.is_draining()
                || is_counted && (is_empty() || shard.shared.is_spent(id, users))
        };
        while !is_over() {
            if self.live().version() != version {
                return StarterEnd::ScheduleChanged;
            }
            tokio::select! {
                () = over.as_mut() => {
                    over.set(population.over.notified());
                    over.as_mut().enable();
                }
                () = self.wait_unless_changed(end, version) => {}
            }
        }
        StarterEnd::ForGood
    }

    /// The open model: makes each start when it is due, or as soon after as possible.
    async fn make_starts(&self, arrivals: &Arrivals) {
        let (shard, id, live) = (self.shard, self.id, self.live());
        let (zero, seed) = (shard.zero(self.workload()), shard.plan.seed);
        let offset = self.workload().slot_offset;
        let mut schedule = Schedule::new(arrivals, id, offset, seed, shard.segment);
        let (mut in_a_row, mut version, mut adopted) = (0, 0, 0);
        loop {
            if version != live.version() {
                version = live.version();
                if let Some((curve, _)) = live.curve_override() {
                    schedule.replace_curve(Rc::unwrap_or_clone(curve));
                }
                for OwnedSlots { slots, from } in shard.adopted.borrow().iter().skip(adopted) {
                    schedule.adopt(slots.clone(), from.in_workload(self.workload().zero()));
                    adopted += 1;
                }
                let released = shard.lease.released();
                if released != RunOffset::NEVER {
                    schedule.release_from(released.in_workload(self.workload().zero()));
                }
            }
            if shard.is_draining() {
                self.count_not_reached(schedule).await;
                return;
            }
            let Some(start) = schedule.peek() else {
                // A rate lasts to its end, also after its last start: rates are over all of that
                // time, and live control may add starts. A workload that a count ends is over when
                // all starts are made, those of other shards included: slots may be adopted.
                let end = self.load_end(zero.after(arrivals.curve.end_ns()));
                let end = schedule.is_spent_at().map_or(end, |at| at.time(zero).min(end));
                if clock::now() >= end {
                    return;
                }
                self.wait_unless_changed(end, version).await;
                continue;
            };
            let due = start.due.time(zero);
            if due > clock::now() {
                in_a_row = 0;
                self.wait_unless_changed(due, version).await;
            } else if in_a_row == LATE_STARTS {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
            if shard.is_draining() || live.version() != version {
                continue;
            }
            let intended = RunOffset::of(due, shard.start);
            let lease_use = shard.lease.decide(clock::now, intended);
            if lease_use == LeaseUse::Wait {
                in_a_row = 0;
                self.wait_for_lease(intended, version).await;
                continue;
            }
            in_a_row += 1;
            schedule.advance();
            if lease_use == LeaseUse::Unserved {
                shard.recorder.borrow_mut().record_unserved(id, intended);
                continue;
            }
            shard.recorder.borrow_mut().record_due(id, intended);
            if shard.is_admission_closed(id) {
                shard.recorder.borrow_mut().record_suppressed_start(id, intended);
            } else if shard.shared.reserve_user(id) {
                worker::assign(shard, Assignment::Arrival(id, start));
            } else {
                let lag_ns = clock::now().since(due);
                shard.recorder.borrow_mut().record_dropped(id, intended, lag_ns);
            }
        }
    }

    /// Counts the starts that will not be made, some at a time: users still wait for responses. If
    /// the run is cancelled, the rest is left uncounted.
    async fn count_not_reached(&self, mut schedule: Schedule<'_>) {
        loop {
            let (counted, more) = schedule.count_some(COUNTED_AT_ONCE);
            self.shard.recorder.borrow_mut().record_not_reached(self.id, counted);
            if !more || self.shard.lifecycle.is_cancelled() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits until users are admitted, or no user is to come.
    async fn wait_for_admission(&self, users: &Users, end: Time, version: u64) {
        let (shard, id) = (self.shard, self.id);
        self.timer.set(end);
        // The users that are at work may take all iterations that a count gives.
        let spent = shard.shared.populations[id].over.notified();
        let is_over = || {
            self.live().version() != version
                || !shard.is_admission_closed(id)
                || shard.is_draining()
                || shard.shared.is_spent(id, users)
        };
        tokio::select! {
            () = spent => {}
            () = poll_fn(|cx| if is_over() { Poll::Ready(()) } else { self.timer.poll(cx) }) => {}
        }
    }

    /// The end of the load here: `planned`, or when others have all slots of this shard.
    fn load_end(&self, planned: Time) -> Time {
        planned.min(self.shard.lease.released().time(self.shard.start))
    }

    /// Waits for a lease that decides on a start, or until the run drains or the load is changed.
    async fn wait_for_lease(&self, intended: RunOffset, version: u64) {
        self.timer.set(Time::NEVER);
        let is_over = || {
            let decided = self.shard.lease.decide(clock::now, intended) != LeaseUse::Wait;
            decided || self.shard.is_draining() || self.live().version() != version
        };
        poll_fn(|cx| if is_over() { Poll::Ready(()) } else { self.timer.poll(cx) }).await;
    }

    /// Waits until `at`, or until the run drains or the load is changed.
    async fn wait_unless_changed(&self, at: Time, version: u64) {
        if at <= clock::now() {
            return;
        }
        self.timer.set(at);
        let is_over = || self.shard.is_draining() || self.live().version() != version;
        poll_fn(|cx| if is_over() { Poll::Ready(()) } else { self.timer.poll(cx) }).await;
    }
}
