//! Starters: one task of a shard for each workload, which lets its users in or makes its starts.
//!
//! `shard` begins them; `pace` tells them when, and `live_schedule` the load now.
//! Invariant: each owned number is let in, made, dropped or counted once, however often what is
//! asked is changed.

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use super::live_schedule::LiveSchedule;
use super::shard::Shard;
use super::worker::{self, Assignment};
use crate::clock::{self, Time, Timer};
use crate::event::ScheduleChange;
use crate::pace::{self, Schedule, Stay};
use crate::plan::{Arrivals, LoadBound, Users};
use crate::stats::state_change::{ChangeKind, StateChange};

/// Starts made in a row when we are late, before users get a turn: those that finish are free for
/// the next starts.
const LATE_STARTS: u32 = 32;

/// Starts counted in one go when a run is stopped before they were due.
const COUNTED_AT_ONCE: u64 = 10_000;

/// Why a starter lets nobody in any more.
enum StarterEnd {
    /// What is asked was changed.
    ScheduleChanged,
    /// Nobody is to come, whatever is asked.
    ForGood,
}

impl Shard {
    /// Something else is asked of a workload.
    pub(super) fn change_schedule(&self, change: &ScheduleChange) {
        let workload = &self.plan.workloads[change.workload];
        let now = clock::now();
        if !self.schedules[change.workload].apply(&workload.load, self.start, change, now) {
            let late_ms = now.since(self.start.after(change.at_ns)) / 1_000_000;
            self.recorder.borrow_mut().notice(StateChange {
                at_ns: now.since(self.start),
                kind: ChangeKind::Control,
                subject: format!("workload {}", workload.name),
                change: format!(
                    "{} {late_ms} ms late on shard {}",
                    change.load, self.segment.shard
                ),
                cause: "the shard was busy".to_owned(),
            });
        }
        if let Some((curve, _)) = self.schedules[change.workload].curve_override() {
            self.retarget_users(change.workload, &curve);
        }
    }

    /// The closed model: lets users in as the level rises. They leave by themselves.
    pub(super) async fn admit_users(self: &Rc<Self>, index: usize, users: &Users) {
        let offset = self.plan.workloads[index].slot_offset;
        let mut stays = pace::stays(&users.curve, offset, self.segment);
        // How many of them came, and the last who did.
        let (mut at, mut last) = (0, None);
        while let StarterEnd::ScheduleChanged =
            self.assign_stays(index, users, &stays, &mut at).await
        {
            let live = &self.schedules[index];
            let Some((curve, from_ns)) = live.curve_override() else { continue };
            last = stays[..at].last().map(|stay| (stay.enter_ns, stay.number)).or(last);
            let is_new = |stay: &Stay| {
                let is_next = last.is_none_or(|last| (stay.enter_ns, stay.number) > last);
                // Somebody came while nobody here knew of the change yet.
                is_next || stay.enter_ns >= from_ns && !live.is_present(stay.number)
            };
            let mut to_come = pace::stays(&curve, offset, self.segment);
            to_come.retain(is_new);
            if users.bound != LoadBound::Time {
                let left = &self.shared.populations[index].left;
                left.fetch_add(to_come.len() as u64, Relaxed);
                left.fetch_sub((stays.len() - at) as u64, Relaxed);
            }
            (stays, at) = (to_come, 0);
        }
    }

    /// Lets in all who are to come, from the one at `at` on, and waits until the load is over or
    /// something else is asked.
    async fn assign_stays(
        self: &Rc<Self>,
        index: usize,
        users: &Users,
        stays: &[Stay],
        at: &mut usize,
    ) -> StarterEnd {
        let (workload, live) = (&self.plan.workloads[index], &self.schedules[index]);
        let (zero, changes) = (self.zero(workload), live.version());
        let timer = Timer::new();
        let end = zero.after(users.curve.end_ns());
        while let Some(stay) = stays.get(*at) {
            let due = zero.after(stay.enter_ns);
            self.wait_unless_changed(&timer, due.before(self.prewarm_ns()), live, changes).await;
            if self.is_draining() || self.is_spent(index, users) {
                return StarterEnd::ForGood;
            }
            if live.version() != changes {
                return StarterEnd::ScheduleChanged;
            }
            if self.is_admission_closed(index) {
                // They stay asked for as long as the load lasts; the wait is theirs to tell.
                if clock::now() >= end {
                    return StarterEnd::ForGood;
                }
                self.wait_for_admission((index, users), &timer, end, changes).await;
                continue;
            }
            *at += 1;
            if clock::now() >= zero.after(stay.leave_ns) {
                // It was held out for all of its stay.
                self.user_never_came(index, stay);
                self.departed(index);
                continue;
            }
            worker::assign(self, Assignment::User(index, *stay));
        }
        // The load lasts to its end, also when its users have nothing more to begin; one that a
        // count ends, until nobody is left who could begin anything.
        let herd = &self.shared.populations[index];
        let counted = users.bound != LoadBound::Time;
        let mut over = std::pin::pin!(herd.over.notified());
        over.as_mut().enable();
        let is_over = || {
            clock::now() >= end
                || self.is_draining()
                || counted && (herd.left.load(Relaxed) == 0 || self.is_spent(index, users))
        };
        while !is_over() {
            if live.version() != changes {
                return StarterEnd::ScheduleChanged;
            }
            tokio::select! {
                () = over.as_mut() => {
                    over.set(herd.over.notified());
                    over.as_mut().enable();
                }
                () = self.wait_unless_changed(&timer, end, live, changes) => {}
            }
        }
        StarterEnd::ForGood
    }

    /// Whether all iterations of a workload that a count ends have been handed out.
    fn is_spent(&self, index: usize, users: &Users) -> bool {
        match users.bound {
            LoadBound::Iterations(most) => {
                let uncounted = self.shared.uncounted[index].load(Relaxed);
                self.shared.iterations[index].load(Relaxed) >= most.saturating_add(uncounted)
            }
            LoadBound::Time | LoadBound::Once => false,
        }
    }

    /// A user of the closed model has gone for good.
    pub(super) fn departed(&self, index: usize) {
        let herd = &self.shared.populations[index];
        let gone = herd.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        if gone == Ok(1) {
            herd.over.notify_waiters();
        }
    }

    /// The open model: makes each start when it is due, or as soon after as we can.
    pub(super) async fn make_starts(self: &Rc<Self>, index: usize, arrivals: &Arrivals) {
        let (workload, live) = (&self.plan.workloads[index], &self.schedules[index]);
        let zero = self.zero(workload);
        let seed = self.plan.seed;
        let mut schedule = Schedule::new(arrivals, index, workload.slot_offset, seed, self.segment);
        let timer = Timer::new();
        let (mut in_a_row, mut changes) = (0, 0);
        loop {
            if self.is_draining() {
                self.count_not_reached(index, schedule).await;
                return;
            }
            if changes != live.version() {
                changes = live.version();
                if let Some((curve, _)) = live.curve_override() {
                    schedule.replace_curve(Rc::unwrap_or_clone(curve));
                }
            }
            let Some(start) = schedule.peek() else {
                // A rate lasts to its end, also after its last start: rates are over all of that
                // time, and more may be asked for. What is bound by a count is over when all are
                // made.
                let end = zero.after(arrivals.curve.end_ns());
                if schedule.is_spent() || clock::now() >= end {
                    return;
                }
                self.wait_unless_changed(&timer, end, live, changes).await;
                continue;
            };
            let due = zero.after(start.due_ns);
            if due > clock::now() {
                in_a_row = 0;
                self.wait_unless_changed(&timer, due, live, changes).await;
            } else if in_a_row == LATE_STARTS {
                in_a_row = 0;
                tokio::task::yield_now().await;
            }
            if self.is_draining() || live.version() != changes {
                continue;
            }
            in_a_row += 1;
            schedule.advance();
            let due_ns = due.since(self.start);
            self.recorder.borrow_mut().due(index, due_ns);
            if self.is_admission_closed(index) {
                self.recorder.borrow_mut().held_back(index, due_ns);
            } else if self.reserve_user(index, arrivals.max_users) {
                worker::assign(self, Assignment::Arrival(index, start));
            } else {
                let lag_ns = clock::now().since(due);
                self.recorder.borrow_mut().dropped(index, due_ns, lag_ns);
            }
        }
    }

    /// Counts the starts that will not be made, a stretch at a time: users still wait for answers.
    /// When everything is cut the rest is left uncounted.
    async fn count_not_reached(&self, index: usize, mut schedule: Schedule<'_>) {
        loop {
            let (counted, more) = schedule.count_some(COUNTED_AT_ONCE);
            self.recorder.borrow_mut().not_reached(index, counted);
            if !more || self.cancelled.get() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Takes one of the workload's users, of which the whole run has `most`.
    fn reserve_user(&self, index: usize, most: u64) -> bool {
        let users = &self.shared.users[index];
        users.fetch_update(Relaxed, Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
    }

    /// Waits until users of a workload may come in, or nobody is to come: its load is over then.
    async fn wait_for_admission(
        &self,
        (index, users): (usize, &Users),
        timer: &Timer,
        end: Time,
        changes: u64,
    ) {
        timer.set(end);
        let live = &self.schedules[index];
        // Those who are in may take all that a count gives.
        let spent = self.shared.populations[index].over.notified();
        let over = || {
            let is_changed = live.version() != changes;
            is_changed
                || !self.is_admission_closed(index)
                || self.is_draining()
                || self.is_spent(index, users)
        };
        tokio::select! {
            () = spent => {}
            () = poll_fn(|cx| if over() { Poll::Ready(()) } else { timer.poll(cx) }) => {}
        }
    }

    /// Waits until then, or until nothing new is to begin or something else is asked.
    async fn wait_unless_changed(
        &self,
        timer: &Timer,
        at: Time,
        live: &LiveSchedule,
        changes: u64,
    ) {
        if at <= clock::now() {
            return;
        }
        timer.set(at);
        let over = || self.is_draining() || live.version() != changes;
        poll_fn(|cx| if over() { Poll::Ready(()) } else { timer.poll(cx) }).await;
    }
}
