//! A user of the closed model, from its arrival to its departure.
//!
//! `worker` runs it; `iteration` runs each of its iterations, `waiting` says when they begin.
//! Invariant: when a session is over, another user takes its place; an identity never outlives its
//! session.

use std::rc::Rc;

use crate::clock::{self, RunOffset, Time};
use crate::engine::call::timing::CallTiming;
use crate::engine::iterations::iteration::IterationRunner;
use crate::engine::iterations::iteration_summary::{self, IterationSummary};
use crate::engine::iterations::on_stop::run_on_stop;
use crate::engine::live_schedule::{LiveSchedule, Presence};
use crate::engine::shard::Shard;
use crate::engine::startup::numbering::{IterationItem, UserIdentity};
use crate::engine::users::user::User;
use crate::engine::users::waiting::{NextStep, WaitState, next_step};
use crate::ids::WorkloadId;
use crate::pace::Stay;
use crate::pace::think::{IterationTimes, next_iteration};
use crate::plan::Load;
use crate::plan::load::LoadBound;
use crate::stats::BlockCause;
use crate::stats::sample::IterationEnd;

/// The shortest duration of an iteration that makes no call, ns: a flow that finds nothing to do
/// must not loop as fast as the machine can.
const IDLE_NS: u64 = 1_000_000;

/// A place in the population for the length of a stay. Its state is here once, since each user's
/// task holds one.
pub(crate) struct ClosedUser<'a> {
    runner: IterationRunner<'a>,
    who: UserIdentity,
    /// Stay of the user, and when it leaves.
    presence: Rc<Presence>,
    /// How long its workload had been paused when it was idle last, ns.
    paused_ns: u64,
    /// When the session is over.
    over_at: Time,
    max_iterations: u64,
    /// Whether the user has finished its first iteration.
    has_begun: bool,
}

impl<'a> ClosedUser<'a> {
    /// A user at the start of its stay.
    pub(crate) fn new(
        shard: &'a Shard,
        user: &'a mut User,
        workload: WorkloadId,
        stay: Stay,
    ) -> Self {
        let due = stay.enter.time(shard.zero(&shard.plan.workloads[workload]));
        // A user that was not admitted is ready when admission changes.
        let ready = due.max(shard.admission.changed());
        let cause = if ready > due { BlockCause::Admission } else { BlockCause::Pace };
        let picked_up = clock::now().max(ready);
        // Without a pace only its arrival says when a user begins: that it came late is counted as
        // such (`late_users`), and is no lateness of its first call.
        let is_free = ready == due && !has_pace(shard, workload, stay.number);
        let first = if is_free {
            CallTiming::at_once(picked_up, picked_up)
        } else {
            CallTiming { intended: due, ready, picked_up, cause }
        };
        Self {
            presence: Presence::new(stay, user.deadline.end_cell()),
            runner: IterationRunner::new(shard, user, first),
            who: UserIdentity { workload, number: stay.number, session: 0 },
            paused_ns: shard.schedules[workload].paused_ns(due),
            over_at: Time::NEVER,
            max_iterations: u64::MAX,
            has_begun: false,
        }
    }

    fn live_schedule(&self) -> &'a LiveSchedule {
        &self.runner.shard.schedules[self.who.workload]
    }

    /// Runs the sessions of the user's place, one after the other.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
    pub(crate) fn run(&mut self) -> impl Future<Output = ()> {
        async move {
            loop {
                // For each session: `on_stop` has a deadline of its own.
                self.live_schedule().arrive(&self.presence);
                let due = self.runner.timing.intended;
                if self.runner.user.assume_identity(self.runner.shard, &self.who, due).is_err() {
                    let mut recorder = self.runner.shard.recorder.borrow_mut();
                    recorder.record_out_of_rows(self.who.workload);
                    break;
                }
                let publishing = self.runner.shard.count_publisher(self.runner.user.archetype);
                let is_over = self.session().await;
                drop(publishing);
                if self.runner.user.has_streams() {
                    let is_final = self.runner.shard.is_load_over(self.who.workload);
                    // Boxed: users without streams carry no room for it.
                    Box::pin(self.runner.user.end_streams(self.runner.shard, is_final)).await;
                }
                if !is_over || self.runner.shard.is_draining() {
                    break;
                }
                // If `on_stop` took long, the next user has waited for the target.
                let now = clock::now();
                let timing = &mut self.runner.timing;
                (timing.ready, timing.picked_up) = (timing.ready.max(now), now);
                self.who.session += 1;
                self.runner.user.close_connections();
            }
            self.live_schedule().depart(&self.presence);
            // Its connections were its own; the next user of this task is another one.
            self.runner.user.close_connections();
        }
    }

    /// Runs the iterations of one user, then `on_stop`. Returns whether its session is over, so
    /// that another user may take its place; else the place is left for good.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
    fn session(&mut self) -> impl Future<Output = bool> {
        async move {
            self.begin_session();
            let is_over = loop {
                if !self.wait_for_next().await {
                    break false;
                }
                if self.has_begun && self.is_session_over() {
                    break true;
                }
                if !self.begin_next() {
                    break false;
                }
                let intended = self.runner.timing.intended;
                // What an iteration returns is never borrowed here: each user's task would hold it.
                let mut ended = self.runner.iteration(!self.has_begun).await;
                self.record_end(intended, ended);
                if self.runner.user.has_streams() {
                    // Boxed: users without streams carry no room for it.
                    ended = Box::pin(self.end_iteration_streams(ended)).await;
                }
                if !self.end_iteration(intended, ended) {
                    break false;
                }
            };
            if self.has_begun {
                self.live_schedule().depart(&self.presence);
                // Boxed: most users have no `on_stop`, and their tasks should carry no room for it.
                Box::pin(run_on_stop(self.runner.shard, self.runner.user)).await;
            }
            is_over
        }
    }

    fn begin_session(&mut self) {
        let (length_ns, max_iterations) = self.runner.user.session(self.runner.shard);
        self.over_at = self.runner.timing.intended.after(length_ns);
        (self.max_iterations, self.has_begun) = (max_iterations, false);
    }

    fn is_session_over(&self) -> bool {
        self.iterations() >= self.max_iterations || self.runner.timing.intended >= self.over_at
    }

    fn record_end(&self, intended: Time, (summary, _): (IterationSummary, bool)) {
        iteration_summary::record_end(self.runner.shard, self.runner.user, intended, &summary);
    }

    /// Ends the streams of an iteration that has ended, and hands that on: the next one is due
    /// later by the time that their closing took.
    async fn end_iteration_streams(
        &mut self,
        (summary, could_start): (IterationSummary, bool),
    ) -> (IterationSummary, bool) {
        let begun = clock::now();
        self.runner.user.end_iteration_streams(self.runner.shard).await;
        let now = clock::now();
        // No call begins in the past.
        self.runner.timing.picked_up = self.runner.timing.picked_up.max(now);
        let done = summary.done.after(now.since(begun));
        (IterationSummary { done, ..summary }, could_start)
    }

    /// Schedules the iteration after one that has ended; `false` if there is to be none.
    fn end_iteration(
        &mut self,
        intended: Time,
        (summary, could_start): (IterationSummary, bool),
    ) -> bool {
        if !could_start {
            // A user whose `on_start` failed has nothing to stop.
            self.has_begun = false;
            if summary.end == IterationEnd::Early {
                let mut recorder = self.runner.shard.recorder.borrow_mut();
                recorder.record_start_failed(self.who.workload);
            }
            return false;
        }
        self.has_begun = true;
        if summary.end == IterationEnd::Interrupted {
            // Its time is over. If it was interrupted in a think, its last call was done long ago.
            return false;
        }
        self.schedule_next(intended, &summary);
        true
    }

    /// Waits until the next iteration may begin; `false` if there will be none.
    async fn wait_for_next(&mut self) -> bool {
        let (shard, live, workload) = (self.runner.shard, self.live_schedule(), self.who.workload);
        let mut now = self.runner.timing.picked_up;
        let (mut has_waited, mut was_deprioritized) = (false, false);
        let paused_ns = loop {
            let state = WaitState {
                now,
                ready: self.runner.timing.ready,
                paused_ns: live.paused_ns(now).saturating_sub(self.paused_ns),
                paused_until: live.paused_until(now),
                next_pause: live.next_pause(now),
                leave: self.presence.leave(),
                may_leave: self.has_begun || has_waited,
                is_draining: shard.is_draining(),
                is_deprioritized: shard.is_deprioritized(workload),
            };
            let (at, is_deprioritized) = match next_step(&state) {
                NextStep::Begin if shard.lease.is_valid(now) => break state.paused_ns,
                // The user begins with the next lease, or leaves.
                NextStep::Begin if state.may_leave => (state.leave, false),
                NextStep::Begin => (Time::NEVER, false),
                NextStep::Leave => return false,
                NextStep::WaitUntil(at) => (at, false),
                NextStep::WaitForAdmission(at) => (at, true),
            };
            was_deprioritized |= is_deprioritized;
            let (version, has_lease) = (live.version(), shard.lease.is_valid(now));
            let is_over = || {
                let is_admitted = is_deprioritized && !shard.is_deprioritized(workload);
                let is_leased = !has_lease && shard.lease.is_valid(clock::now());
                is_admitted || is_leased || shard.is_draining() || live.version() != version
            };
            // Whatever ends the wait, the state is looked at again.
            let _ = self.runner.user.deadline.idle_until(at, is_over).await;
            (now, has_waited) = (clock::now(), true);
        };
        self.paused_ns = live.paused_ns(now);
        self.over_at = self.over_at.after(paused_ns);
        let timing = &mut self.runner.timing;
        *timing = CallTiming {
            intended: timing.intended.after(paused_ns),
            ready: timing.ready.after(paused_ns),
            picked_up: now,
            ..*timing
        };
        if was_deprioritized {
            timing.ready = timing.ready.max(shard.admission.changed());
            timing.cause = BlockCause::Admission;
        }
        true
    }

    /// Begins the next iteration; `false` if there is none for this user.
    fn begin_next(&mut self) -> bool {
        let iteration = if self.has_begun { self.iterations() } else { 0 };
        let Some(item) = self.next_item(iteration) else { return false };
        let (shard, user) = (self.runner.shard, &mut *self.runner.user);
        // A user that comes again continues its own random stream.
        user.begin(shard.plan.seed, self.presence.stay.visit << 32 | iteration, item);
        let has_rows = user.take_rows(shard, &self.who, true).is_ok();
        if has_rows {
            iteration_summary::record_begin(shard, self.who.workload, &self.runner.timing);
        } else {
            shard.recorder.borrow_mut().record_out_of_rows(self.who.workload);
        }
        has_rows
    }

    /// How many iterations this user has begun in this stay.
    fn iterations(&self) -> u64 {
        (self.runner.user.iteration & 0xffff_ffff) + 1
    }

    /// The item of the next iteration; `None` if there is none left.
    fn next_item(&self, iteration: u64) -> Option<IterationItem> {
        let (shard, who, intended) = (self.runner.shard, &self.who, self.runner.timing.intended);
        let workload = &shard.plan.workloads[who.workload];
        let Load::Closed(users) = &workload.load else { return None };
        // The user of a later session has a number of its own.
        let number = who.user_number(&shard.plan, shard.schedules[who.workload].places);
        match users.bound {
            LoadBound::Time => Some(IterationItem::Of(number)),
            LoadBound::Once => {
                (iteration == 0 && who.session == 0).then_some(IterationItem::Of(number))
            }
            LoadBound::Iterations(_) => {
                let intended = RunOffset::of(intended, shard.start);
                let taken = shard.shared.take_iteration(&shard.plan, who.workload, intended);
                taken.map(IterationItem::Iteration)
            }
        }
    }

    /// Sets when the next iteration is intended, and when the user is free for it.
    fn schedule_next(&mut self, intended: Time, summary: &IterationSummary) {
        let (shard, user) = (self.runner.shard, &*self.runner.user);
        let ended = IterationTimes {
            intended,
            done: summary.done,
            thought_ns: summary.thought_ns + summary.own_ns,
            // Without a pace there is no schedule to keep: backoff is the user's own wait.
            think_ns: summary.think_ns.max(user.backoff_ns()),
        };
        let due = next_iteration(ended, shard.flows[user.archetype].pace_ns);
        // A target without responses is not hammered, whatever the pace. What the pace intends
        // stays intended: backoff is blocked time.
        let backoff_ns = if self.runner.calls > 0 { user.backoff_ns() } else { IDLE_NS };
        let ready = due.max(summary.done.after(backoff_ns.max(summary.pause_ns)));
        self.paused_ns = self.live_schedule().paused_ns(summary.done);
        let picked_up = self.runner.timing.picked_up;
        self.runner.timing =
            CallTiming { intended: due, ready, picked_up, cause: BlockCause::Pace };
    }
}

/// Whether a user of this number has a pace.
fn has_pace(shard: &Shard, workload: WorkloadId, number: u64) -> bool {
    let share = shard.plan.workloads[workload].share_of(shard.plan.seed, workload, number);
    shard.flows[share.archetype].pace_ns.is_some()
}
