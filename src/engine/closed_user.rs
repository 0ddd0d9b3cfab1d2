//! A user of the closed model, from its coming to its going.
//!
//! A seat begins it; `walk` leads it through each iteration.
//! Invariant: when a session is over another user takes its place; an identity never outlives its
//! session.

use std::rc::Rc;

use super::attempt::CallTiming;
use super::iteration::{IterationRunner, IterationSummary, run_on_stop};
use super::live_schedule::{LiveSchedule, Presence};
use super::shard::Shard;
use super::user::{IterationItem, User, UserIdentity};
use crate::clock::{self, Time};
use crate::pace::Stay;
use crate::pace::think::{IterationTimes, next_iteration_ns};
use crate::plan::Load;
use crate::plan::load::LoadBound;
use crate::stats::BlockCause;
use crate::stats::sample::IterationEnd;

/// How long an iteration lasts at least that makes no call: a flow that finds nothing to do must
/// not go round as fast as the machine can.
const IDLE_NS: u64 = 1_000_000;

/// A place in the herd for the length of a stay: all that is known of it, once, since every user's
/// task holds one.
pub(super) struct ClosedUser<'a> {
    runner: IterationRunner<'a>,
    who: UserIdentity,
    /// Its stay, and when it has to leave.
    presence: Rc<Presence>,
    /// For how long users of its workload had been held when it was idle last, ns.
    held_ns: u64,
    /// When its session is over, and after how many iterations.
    over_at: Time,
    most: u64,
    /// It has gone through its first iteration.
    begun: bool,
}

/// Why a user stopped.
enum StopReason {
    /// Another one may take its place.
    SessionOver,
    /// Nobody does.
    ForGood,
}

impl<'a> ClosedUser<'a> {
    /// Of who comes to stay.
    pub(super) fn new(shard: &'a Shard, user: &'a mut User, workload: usize, stay: &Stay) -> Self {
        let due = shard.zero(&shard.plan.workloads[workload]).after(stay.enter_ns);
        // Who was held out was ready when the door was opened.
        let ready = due.max(shard.admission.opened());
        let cause = if ready > due { BlockCause::Admission } else { BlockCause::Pace };
        let picked_up = clock::now().max(ready);
        // Without a pace nothing but its coming says when a user begins: that it came late is told
        // as such (`late_users`), and is no lateness of its first call.
        let is_free = ready == due && !shard.has_pace(workload, stay.number);
        let first = if is_free {
            CallTiming::at_once(picked_up, picked_up)
        } else {
            CallTiming { intended: due, ready, picked_up, cause }
        };
        Self {
            presence: Presence::new(stay, user.deadline.end_cell()),
            runner: IterationRunner::new(shard, user, first),
            who: UserIdentity { workload, number: stay.number, session: 0 },
            held_ns: shard.schedules[workload].paused_ns(due),
            over_at: Time::NEVER,
            most: u64::MAX,
            begun: false,
        }
    }

    fn live_schedule(&self) -> &'a LiveSchedule {
        &self.runner.shard.schedules[self.who.workload]
    }

    /// Lives it: one session after the other.
    pub(super) async fn run(&mut self) {
        loop {
            // Each of them: a goodbye has an end of its own.
            self.live_schedule().arrive(&self.presence);
            let due = self.runner.timing.intended;
            if self.runner.user.assume_identity(self.runner.shard, &self.who, due).is_err() {
                self.runner.shard.recorder.borrow_mut().out_of_rows(self.who.workload);
                break;
            }
            let stopped = self.session().await;
            if !matches!(stopped, StopReason::SessionOver) || self.runner.shard.is_draining() {
                break;
            }
            // A goodbye that took its time keeps the next user waiting: for the target.
            let now = clock::now();
            let turn = &mut self.runner.timing;
            (turn.ready, turn.picked_up) = (turn.ready.max(now), now);
            self.who.session += 1;
            self.runner.user.close_connections();
        }
        self.live_schedule().depart(&self.presence);
        // Its connections were its own; the next one in this seat is somebody else.
        self.runner.user.close_connections();
    }

    /// One user's iterations, and its goodbye.
    async fn session(&mut self) -> StopReason {
        let shard = self.runner.shard;
        let (length_ns, most) = self.runner.user.session(shard);
        (self.over_at, self.most) = (self.runner.timing.intended.after(length_ns), most);
        self.begun = false;
        let stopped = loop {
            if !self.come_to_turn().await {
                break StopReason::ForGood;
            }
            let is_over =
                || self.iterations() >= self.most || self.runner.timing.intended >= self.over_at;
            if self.begun && is_over() {
                break StopReason::SessionOver;
            }
            if !self.start_over() {
                break StopReason::ForGood;
            }
            let intended = self.runner.timing.intended;
            shard.begin_iteration(self.who.workload, &self.runner.timing);
            let (walked, could_start) = self.runner.iteration(!self.begun).await;
            shard.end_iteration(self.who.workload, intended, &walked);
            if !could_start {
                // A user whose `on_start` failed never was one: it has nothing to stop.
                if walked.end == IterationEnd::Early {
                    shard.recorder.borrow_mut().start_failed(self.who.workload);
                }
                return StopReason::ForGood;
            }
            self.begun = true;
            if walked.end == IterationEnd::Interrupted {
                // Its time is over: cut in a think, its last call was done long ago.
                break StopReason::ForGood;
            }
            self.next_turn(intended, &walked);
        };
        if self.begun {
            self.live_schedule().depart(&self.presence);
            // Boxed: most users have nothing to say, and their tasks should have no room for it.
            Box::pin(run_on_stop(shard, self.runner.user)).await;
        }
        stopped
    }

    /// Waits until the next iteration may begin; false when there will be none.
    ///
    /// A user whose next iteration is due after its leaving time still stays until then, with its
    /// connections open: the level of users that the load asks for is there to its end.
    ///
    /// While its workload is paused it stays as it is, and all that was to come comes later by as
    /// much: what is left of a think is thought afterwards, and nobody counts the pause as waiting.
    async fn come_to_turn(&mut self) -> bool {
        let (shard, live) = (self.runner.shard, self.live_schedule());
        let ready = self.runner.timing.ready;
        let mut now = self.runner.timing.picked_up;
        let (mut waited, mut was_barred) = (false, false);
        let held_ns = loop {
            let held_ns = live.paused_ns(now).saturating_sub(self.held_ns);
            let (held, leave) = (live.paused_until(now), self.presence.leave());
            let at = match held {
                Some(until) => until.min(leave),
                None => ready.after(held_ns).min(live.next_pause(now)).min(leave),
            };
            // A user that has just come begins its first iteration, however late it is.
            let may_leave = self.begun || waited || held.is_some();
            if may_leave && (now >= leave || shard.is_draining()) {
                return false;
            }
            let barred = at <= now && shard.is_deprioritized(self.who.workload);
            if at <= now && !barred {
                break held_ns;
            }
            was_barred |= barred;
            let at = if barred { leave } else { at };
            let changes = live.version();
            let over = || {
                let let_in = barred && !shard.is_deprioritized(self.who.workload);
                let_in || shard.is_draining() || live.version() != changes
            };
            // Whatever ended the wait, the world is looked at again.
            let _ = self.runner.user.deadline.idle_until(at, over).await;
            (now, waited) = (clock::now(), true);
        };
        self.held_ns = live.paused_ns(now);
        self.over_at = self.over_at.after(held_ns);
        let turn = &mut self.runner.timing;
        *turn = CallTiming {
            intended: turn.intended.after(held_ns),
            ready: turn.ready.after(held_ns),
            picked_up: now,
            ..*turn
        };
        if was_barred {
            turn.ready = turn.ready.max(shard.admission.opened());
            turn.cause = BlockCause::Admission;
        }
        true
    }

    /// Begins the next iteration; false when there is none for this user.
    fn start_over(&mut self) -> bool {
        let iteration = if self.begun { self.iterations() } else { 0 };
        let Some(item) = self.next_item(iteration) else { return false };
        let (shard, user) = (self.runner.shard, &mut *self.runner.user);
        // A user that comes again goes on in its own stream, it does not begin anew.
        user.begin(shard.plan.seed, self.presence.stay.visit << 32 | iteration, item);
        let has_rows = user.take_rows(shard, &self.who, true).is_ok();
        if !has_rows {
            shard.recorder.borrow_mut().out_of_rows(self.who.workload);
        }
        has_rows
    }

    /// How many iterations this user has begun in this stay.
    fn iterations(&self) -> u64 {
        (self.runner.user.iteration & 0xffff_ffff) + 1
    }

    /// Which item the next iteration is; `None` when there is none left.
    fn next_item(&self, iteration: u64) -> Option<IterationItem> {
        let (shard, who, intended) = (self.runner.shard, &self.who, self.runner.timing.intended);
        let workload = &shard.plan.workloads[who.workload];
        let Load::Closed(users) = &workload.load else { return None };
        // A later session's user has a number of its own.
        let number = shard.user_number(who);
        match users.bound {
            LoadBound::Time => Some(IterationItem::Of(number)),
            LoadBound::Once => {
                (iteration == 0 && who.session == 0).then_some(IterationItem::Of(number))
            }
            LoadBound::Iterations(most) => {
                shard.take_iteration(who.workload, most, intended).map(IterationItem::Iteration)
            }
        }
    }

    /// When the next iteration is intended, and when the user is free for it.
    fn next_turn(&mut self, intended: Time, walked: &IterationSummary) {
        let (shard, user) = (self.runner.shard, &*self.runner.user);
        let ended = IterationTimes {
            intended_ns: intended.0,
            done_ns: walked.done.0,
            thought_ns: walked.thought_ns + walked.own_ns,
            // Without a pace there is no schedule to hold: holding back is the user's own wait.
            think_ns: walked.think_ns.max(user.backoff_ns()),
        };
        let due = Time(next_iteration_ns(ended, shard.flows[user.archetype].pace_ns));
        // A target that gives no answer is not hammered, whatever the pace. What the pace intended
        // stays intended: holding back is blocked time.
        let hold_ns = if self.runner.calls > 0 { user.backoff_ns() } else { IDLE_NS };
        let ready = due.max(walked.done.after(hold_ns.max(walked.pause_ns)));
        self.held_ns = self.live_schedule().paused_ns(walked.done);
        let picked_up = self.runner.timing.picked_up;
        self.runner.timing =
            CallTiming { intended: due, ready, picked_up, cause: BlockCause::Pace };
    }
}
