//! An iteration of a user: the steps of its flow, one after the other.
//!
//! `closed_user`, `open_user` and `on_stop` run it; `attempt` makes the calls, `parallel` several
//! at once.
//! Invariant: between two calls only the user's own thinks and pauses take time: each call is
//! intended at the end of the one before and those waits.

use rand::RngExt;

use crate::clock::{self, Time};
use crate::curve::Distribution;
use crate::engine::call::context::CallContext;
use crate::engine::call::generator_error::template_error;
use crate::engine::call::prepared::PreparedFlow;
use crate::engine::call::timing::{CallEnd, CallTiming};
use crate::engine::call::trace;
use crate::engine::iterations::iteration_summary::IterationSummary;
use crate::engine::shard::Shard;
use crate::engine::users::user::{OpenGroup, User};
use crate::engine::{attempt, iterations::parallel, iterations::rendezvous};
use crate::plan::flow::{MAX_ROUNDS, Parallel, Rendezvous, Step};
use crate::stats::sample::IterationEnd;
use crate::stats::{CallResult, GeneratorError};
use crate::template::{MAX_ITERATION_WORK, RenderError};

/// After this many steps in a row that take no time, other users get a turn.
pub(super) const STEPS_IN_A_ROW: u32 = 1_000;

/// After this much work of expressions, about a millisecond, other users get a turn.
const WORK_IN_A_ROW: u32 = 4 << 20;

/// After this many steps in a row that take no time, the iteration ends as an endless loop.
const ENDLESS: u32 = 1_000_000;

/// Runs the iterations of a user, one after the other.
pub(crate) struct IterationRunner<'a> {
    pub(crate) shard: &'a Shard,
    pub(crate) user: &'a mut User,
    /// The timing of the next step, before pending waits.
    pub(crate) timing: CallTiming,
    /// Waits that are pending before the next step that takes time, ns: the think time of the last
    /// call, pauses, and the backoff after a call that got no response.
    think_ns: u64,
    pause_ns: u64,
    backoff_ns: u64,
    /// Thinks and pauses of this iteration so far, and those before its last call was done, ns.
    thought_ns: u64,
    pub(super) thought_before_ns: u64,
    /// When the last call of the iteration was done.
    pub(super) done: Time,
    /// How late this iteration began, and how long the event loop had stood still before it, ns.
    late_ns: u64,
    stalled_ns: u64,
    /// The calls of this iteration so far.
    pub(crate) calls: u32,
    /// Whether the last call was ok.
    was_ok: bool,
}

impl<'a> IterationRunner<'a> {
    /// For a user that has an identity; `first` is the timing of its first step.
    pub(crate) fn new(shard: &'a Shard, user: &'a mut User, first: CallTiming) -> Self {
        Self {
            shard,
            user,
            timing: first,
            think_ns: 0,
            pause_ns: 0,
            backoff_ns: 0,
            thought_ns: 0,
            thought_before_ns: 0,
            done: first.picked_up,
            late_ns: 0,
            stalled_ns: 0,
            calls: 0,
            was_ok: true,
        }
    }

    /// This user's flow.
    pub(crate) fn flow(&self) -> &'a PreparedFlow {
        &self.shard.flows[self.user.archetype]
    }

    /// Runs an iteration from `self.timing` on, after `on_start` if `is_first`. The second value is
    /// `false` if `on_start` failed.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
    pub(crate) fn iteration(
        &mut self,
        is_first: bool,
    ) -> impl Future<Output = (IterationSummary, bool)> {
        async move {
            self.begin();
            if is_first && let Some(on_start) = self.flow().sections.on_start {
                // Boxed: it comes once, and would double the room of every user's task.
                let end = Box::pin(self.section(on_start)).await;
                if end != IterationEnd::Completed {
                    return (self.summary(end), false);
                }
            }
            let end = self.section(self.flow().sections.flow).await;
            self.user.close_open_transactions();
            (self.summary(end), true)
        }
    }

    fn begin(&mut self) {
        (self.think_ns, self.pause_ns, self.backoff_ns) = (0, 0, 0);
        (self.thought_ns, self.thought_before_ns) = (0, 0);
        self.note_begin();
        (self.done, self.calls) = (self.timing.picked_up, 0);
        self.late_ns = self.timing.picked_up.since(self.timing.ready);
        self.stalled_ns = self.shard.recorder.borrow().stalled_ns();
    }

    /// Runs a section of the flow, from step `at` to its end.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
    pub(crate) fn section(&mut self, mut at: usize) -> impl Future<Output = IterationEnd> {
        async move {
            let mut in_a_row = 0u32;
            let end = loop {
                let takes_time = self.flow().steps[at].comes_after_think();
                let waits = self.has_pending_wait() && (takes_time || self.awaits_captured(at));
                if takes_time || waits {
                    in_a_row = 0;
                }
                if waits && self.take_pending_wait().await.is_err() {
                    break IterationEnd::Interrupted;
                }
                if self.flow().listeners_capture() {
                    self.user.take_captured();
                }
                let went = match &self.flow().steps[at] {
                    Step::End => return IterationEnd::Completed,
                    Step::Call(index) if self.flow().calls[*index].call.transaction.is_some() => {
                        Box::pin(self.transaction_call(*index, at)).await
                    }
                    Step::Call(index) => {
                        let prepared = &self.flow().calls[*index];
                        let (shard, timing) = (self.shard, &self.timing);
                        let context = CallContext { shard, prepared, timing };
                        let ended = attempt::call(context, self.user).await;
                        let think = prepared.call.think.as_ref().or(self.flow().think.as_ref());
                        let went = self.after(&ended, think);
                        self.mark_fill(ended.result, prepared.call.has_rescue);
                        let went =
                            if prepared.call.has_rescue { self.rescue(&ended) } else { went };
                        went.map(|()| at + 1)
                    }
                    // Boxed: what follows is rare, and would make every user's task as large as
                    // itself.
                    Step::Stream(index) => {
                        Box::pin(self.stream_step(*index)).await.map(|()| at + 1)
                    }
                    Step::Parallel(parallel) => {
                        Box::pin(self.parallel_step(parallel)).await.map(|()| at + 1)
                    }
                    Step::Rendezvous(rendezvous) => {
                        Box::pin(self.join(*rendezvous)).await.map(|()| at + 1)
                    }
                    step @ (Step::Cached(_) | Step::Fill | Step::Forget(_)) => {
                        in_a_row += 1;
                        Box::pin(self.cache_step(step, at, in_a_row)).await
                    }
                    step => {
                        in_a_row += 1;
                        let left = self.user.work;
                        let went = self.control(step, at);
                        let done = |left: u32| (MAX_ITERATION_WORK - left) / WORK_IN_A_ROW;
                        let has_worked = done(left) != done(self.user.work);
                        if (in_a_row.is_multiple_of(STEPS_IN_A_ROW) || has_worked)
                            && let Err(end) = self.yield_if_spinning(in_a_row).await
                        {
                            break end;
                        }
                        went
                    }
                };
                match went {
                    Ok(next) => at = next,
                    Err(end) => break end,
                }
            };
            self.abandon_transaction();
            self.record_open_groups();
            self.abandon_fill();
            end
        }
    }

    fn summary(&self, end: IterationEnd) -> IterationSummary {
        // A `log`, a group or a rendezvous after the last call took the waits that were pending.
        let waited_ns = self.timing.intended.since(self.done);
        IterationSummary {
            end,
            done: self.done,
            thought_ns: self.thought_before_ns,
            think_ns: waited_ns + self.think_ns + self.pause_ns,
            pause_ns: waited_ns + self.pause_ns,
            own_ns: self.thought_ns - self.thought_before_ns + self.pause_ns,
            delay_ns: self.late_ns + self.shard.recorder.borrow().stalled_ns() - self.stalled_ns,
        }
    }

    /// Whether step `at` computes from a value that a listener captures: what is captured during a
    /// pause before it counts.
    #[inline]
    fn awaits_captured(&self, at: usize) -> bool {
        self.flow().reads_captured.get(at) == Some(&true)
    }

    pub(super) fn has_pending_wait(&self) -> bool {
        self.think_ns + self.pause_ns + self.backoff_ns > 0
    }

    /// Takes the pending waits before a step that takes time.
    pub(super) async fn take_pending_wait(&mut self) -> Result<(), IterationEnd> {
        let own_ns = self.think_ns + self.pause_ns;
        let wait_ns = own_ns.max(self.backoff_ns);
        (self.think_ns, self.pause_ns, self.backoff_ns) = (0, 0, 0);
        let intended = self.timing.intended.after(wait_ns);
        if self.user.deadline.pause_until(intended).await.is_err() {
            return Err(IterationEnd::Interrupted);
        }
        self.go_on_at(intended, own_ns);
        Ok(())
    }

    /// Makes calls at the same time.
    async fn parallel_step(&mut self, parallel: &Parallel) -> Result<(), IterationEnd> {
        let (shard, timing) = (self.shard, self.timing);
        let ended = parallel::run(shard, self.user, timing, parallel).await;
        let think = parallel.think.as_ref().or(self.flow().think.as_ref());
        self.mark_fill(ended.result, false);
        self.after(&ended, think)
    }

    /// Waits at a rendezvous with other users.
    async fn join(&mut self, at: Rendezvous) -> Result<(), IterationEnd> {
        let (shard, user, arrived) = (self.shard, &*self.user, self.timing.intended);
        let point = &shard.shared.rendezvous[user.archetype.index()][at.index];
        let on = rendezvous::join(point, at, arrived, &shard.lifecycle, &user.deadline).await?;
        self.go_on_at(on, on.since(arrived));
        Ok(())
    }

    /// Continues at `intended`, after a wait of the user's own.
    pub(super) fn go_on_at(&mut self, intended: Time, thought_ns: u64) {
        self.thought_ns += thought_ns;
        self.timing = CallTiming::at_once(intended, clock::now());
    }

    /// Continues after a call: the next one is ready when it is intended, at the end of this one
    /// and the think time after it.
    pub(super) fn after(
        &mut self,
        ended: &CallEnd,
        think: Option<&Distribution>,
    ) -> Result<(), IterationEnd> {
        let done = ended.done;
        (self.done, self.calls) = (done, self.calls.saturating_add(1));
        self.thought_before_ns = self.thought_ns;
        self.timing = CallTiming::at_once(done, done);
        self.think_ns = self.user.draw(think);
        self.backoff_ns = self.user.back_off_after(ended.responded);
        match ended.result {
            _ if ended.goes_on => Ok(()),
            CallResult::Unfinished => Err(IterationEnd::Interrupted),
            _ => Err(IterationEnd::Early),
        }
    }

    /// Continues after a call with fallback steps, which run if it was not ok.
    fn rescue(&mut self, ended: &CallEnd) -> Result<(), IterationEnd> {
        // A muted step needs no fallback.
        self.was_ok = matches!(ended.result, CallResult::Ok | CallResult::Muted) && ended.goes_on;
        match ended.result {
            CallResult::Unfinished => Err(IterationEnd::Interrupted),
            // A fallback cannot make up for a generator error.
            CallResult::Own => Err(IterationEnd::Early),
            _ => Ok(()),
        }
    }

    /// Runs a step that takes no time; returns the next step.
    fn control(&mut self, step: &Step, at: usize) -> Result<usize, IterationEnd> {
        match step {
            Step::Jump(to) => Ok(*to),
            Step::Rescue { to } => Ok(if self.was_ok { *to } else { at + 1 }),
            Step::Choose(choice) => {
                let drawn = choice.pick(self.user.rng.random());
                let recorder = self.shard.trace.as_ref();
                Ok(recorder.map_or(drawn, |recorder| recorder.branch(at, choice, drawn)))
            }
            Step::If { condition, to } => {
                let holds = condition.holds(&mut self.user.scope(self.shard, self.timing.intended));
                self.or_template_error(holds).map(|holds| if holds { at + 1 } else { *to })
            }
            Step::Count { counter, times } => {
                let times =
                    times.count(&mut self.user.scope(self.shard, self.timing.intended), MAX_ROUNDS);
                *self.user.rounds(*counter) = self.or_template_error(times)?;
                Ok(at + 1)
            }
            Step::Round { counter, to } => match self.user.rounds(*counter) {
                0 => Ok(*to),
                left => {
                    *left -= 1;
                    Ok(at + 1)
                }
            },
            Step::Set(values) => {
                for (slot, value) in values {
                    let value = value.evaluate_for_variable(
                        &mut self.user.scope(self.shard, self.timing.intended),
                    );
                    self.user.variables[*slot] = Some(self.or_template_error(value)?);
                }
                Ok(at + 1)
            }
            Step::Pause(distribution) => {
                self.pause_ns += self.user.draw(Some(distribution));
                Ok(at + 1)
            }
            Step::Log(text) => self.log(text).map(|()| at + 1),
            Step::OpenGroup(group) => {
                let (intended, thought_ns, calls) =
                    (self.timing.intended, self.thought_ns, self.calls);
                self.user.extras().groups.push(OpenGroup {
                    id: *group,
                    intended,
                    thought_ns,
                    calls,
                });
                Ok(at + 1)
            }
            Step::CloseGroup => {
                // A group without a call has no duration, not a short one.
                if let Some(group) = self.user.extras().groups.pop()
                    && group.calls < self.calls
                {
                    self.record_group(&group);
                }
                Ok(at + 1)
            }
            Step::Transaction(plan) => Ok(self.begin_transaction(*plan, at)),
            Step::Call(_)
            | Step::Stream(_)
            | Step::Parallel(_)
            | Step::Rendezvous(_)
            | Step::Cached(_)
            | Step::Fill
            | Step::Forget(_)
            | Step::End => Ok(at + 1),
        }
    }

    pub(super) fn or_template_error<T>(
        &self,
        result: Result<T, RenderError>,
    ) -> Result<T, IterationEnd> {
        result.map_err(|error| {
            template_error(&self.shard.recorder, None, &error);
            if let Some(recorder) = &self.shard.trace {
                trace::fault(recorder, (self.shard, self.user), None, &error.to_string());
            }
            IterationEnd::Early
        })
    }

    /// Gives other users a turn.
    ///
    /// # Errors
    /// If the flow loops without ever taking time, or the time of its user is over.
    pub(super) async fn yield_if_spinning(&mut self, in_a_row: u32) -> Result<(), IterationEnd> {
        if in_a_row >= ENDLESS {
            self.shard.recorder.borrow_mut().record_generator_error(GeneratorError::EndlessLoop);
            return Err(IterationEnd::Early);
        }
        let before = clock::now();
        tokio::task::yield_now().await;
        let in_time = self.user.deadline.pause_until(clock::now()).await;
        // Other users had their turn: the next call is picked up now, later than it was ready.
        let now = clock::now();
        self.late_ns += now.since(before);
        self.timing.picked_up = self.timing.picked_up.max(now);
        in_time.map_err(|_| IterationEnd::Interrupted)
    }
}
