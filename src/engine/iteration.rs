//! A user's way through its flow, step by step.
//!
//! A seat begins it; `attempt` makes the calls, `parallel` several at once.
//! Invariant: what comes between two calls costs no time but the user's own thinks and pauses: each
//! call is intended at the end of the one before and those waits.

use rand::RngExt;

use super::attempt::{self, CallEnd, CallTiming};
use super::prepared::PreparedFlow;
use super::redacted::redactor;
use super::shard::Shard;
use super::user::{OpenGroup, User};
use super::{parallel, rendezvous};
use crate::clock::{self, Time};
use crate::curve::Distribution;
use crate::plan::flow::{MAX_ROUNDS, Step};
use crate::stats::sample::IterationEnd;
use crate::stats::{CallResult, GeneratorError};
use crate::template::{MAX_ITERATION_WORK, RenderError};

/// So many steps in a row that take no time, and other users get a turn.
const STEPS_IN_A_ROW: u32 = 1_000;

/// So much work of expressions, and other users get a turn: about a millisecond.
const WORK_IN_A_ROW: u64 = 4 << 20;

/// So many, and the flow is taken to go round for ever.
const ENDLESS: u32 = 1_000_000;

/// An iteration that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct IterationSummary {
    /// How it ended.
    pub(super) end: IterationEnd,
    /// When its last call was done.
    pub(super) done: Time,
    /// Its own thinks and pauses before that, ns.
    pub(super) thought_ns: u64,
    /// All waits after that, taken or still owed; for who goes on.
    pub(super) think_ns: u64,
    /// Those of them that are taken in any case: what the flow asked for, and what has been waited.
    pub(super) pause_ns: u64,
    /// Those that are the user's own whatever its pace: holding back is none.
    pub(super) own_ns: u64,
    /// What the shard itself added to it at most: its lateness at the first step, and stalls of its
    /// event loop, ns.
    pub(super) delay_ns: u64,
}

/// A user's walks: one iteration after the other.
pub(super) struct IterationRunner<'a> {
    pub(super) shard: &'a Shard,
    pub(super) user: &'a mut User,
    /// The next step's turn, before what is owed.
    pub(super) timing: CallTiming,
    /// Owed before the next step that takes time, ns: the last call's think, pauses, and the wait
    /// after a call that got no answer.
    think_ns: u64,
    pause_ns: u64,
    hold_ns: u64,
    /// Thinks and pauses of this walk so far, and those before its last call was done.
    thought_ns: u64,
    thought_before_ns: u64,
    /// When its last call was done.
    done: Time,
    /// Of the walk so far: how late it began, and how long the event loop had stood still before.
    late_ns: u64,
    stalled_ns: u64,
    /// How many calls it made.
    pub(super) calls: u64,
    /// The last one was answered as wanted.
    was_ok: bool,
}

impl<'a> IterationRunner<'a> {
    /// Of a user that has somebody's identity.
    pub(super) fn new(shard: &'a Shard, user: &'a mut User, first: CallTiming) -> Self {
        Self {
            shard,
            user,
            timing: first,
            think_ns: 0,
            pause_ns: 0,
            hold_ns: 0,
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
    pub(super) fn flow(&self) -> &'a PreparedFlow {
        &self.shard.flows[self.user.archetype]
    }

    /// Walks an iteration from `self.turn` on, with `on_start` before it for the first time; the
    /// second part says whether that held.
    pub(super) async fn iteration(&mut self, is_first: bool) -> (IterationSummary, bool) {
        (self.think_ns, self.pause_ns, self.hold_ns) = (0, 0, 0);
        (self.thought_ns, self.thought_before_ns) = (0, 0);
        (self.done, self.calls) = (self.timing.picked_up, 0);
        self.late_ns = self.timing.picked_up.since(self.timing.ready);
        self.stalled_ns = self.shard.recorder.borrow().stalled_ns();
        if is_first && let Some(on_start) = self.flow().sections.on_start {
            // Boxed: it comes once, and would double the room of every user's task.
            let end = Box::pin(self.section(on_start)).await;
            if end != IterationEnd::Completed {
                return (self.walked(end), false);
            }
        }
        let end = self.section(self.flow().sections.flow).await;
        (self.walked(end), true)
    }

    /// Walks a section, from step `at` to its end.
    pub(super) async fn section(&mut self, mut at: usize) -> IterationEnd {
        let flow = self.flow();
        let mut in_a_row = 0u32;
        let end = loop {
            let step = &flow.steps[at];
            if step.comes_after_think() {
                in_a_row = 0;
                if self.owes() && self.rest().await.is_err() {
                    break IterationEnd::Interrupted;
                }
            }
            let went = match step {
                Step::End => return IterationEnd::Completed,
                Step::Call(index) => {
                    let prepared = &flow.calls[*index];
                    let ended = attempt::call(self.shard, self.user, prepared, &self.timing).await;
                    let think = prepared.call.think.as_ref().or(flow.think.as_ref());
                    let went = self.after(&ended, think);
                    let went = if prepared.call.has_rescue { self.rescue(&ended) } else { went };
                    went.map(|()| at + 1)
                }
                // Boxed: they are rare, and would make every user's task as large as themselves.
                Step::Parallel(parallel) => {
                    let ended = Box::pin(parallel::calls(self, parallel)).await;
                    let think = parallel.think.as_ref().or(flow.think.as_ref());
                    self.after(&ended, think).map(|()| at + 1)
                }
                Step::Rendezvous(rendezvous) => {
                    Box::pin(rendezvous::join(self, *rendezvous)).await.map(|()| at + 1)
                }
                step => {
                    in_a_row += 1;
                    let left = self.user.work;
                    let went = self.control(step, at);
                    let done = |left: u64| (MAX_ITERATION_WORK - left) / WORK_IN_A_ROW;
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
        self.break_off_groups();
        end
    }

    fn walked(&self, end: IterationEnd) -> IterationSummary {
        // A `log`, a group or a rendezvous after the last call took what was owed by then.
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

    fn owes(&self) -> bool {
        self.think_ns + self.pause_ns + self.hold_ns > 0
    }

    /// Takes what is owed before a step that takes time.
    async fn rest(&mut self) -> Result<(), IterationEnd> {
        let own_ns = self.think_ns + self.pause_ns;
        let wait_ns = own_ns.max(self.hold_ns);
        (self.think_ns, self.pause_ns, self.hold_ns) = (0, 0, 0);
        let intended = self.timing.intended.after(wait_ns);
        if self.user.deadline.pause_until(intended).await.is_err() {
            return Err(IterationEnd::Interrupted);
        }
        self.go_on_at(intended, own_ns);
        Ok(())
    }

    /// The user waited on its own account until `intended`; the next step is due then.
    pub(super) fn go_on_at(&mut self, intended: Time, thought_ns: u64) {
        self.thought_ns += thought_ns;
        self.timing = CallTiming::at_once(intended, clock::now());
    }

    /// A call has ended: each call but the first is ready when it is intended, at the end of the
    /// one before and the think after it.
    fn after(&mut self, ended: &CallEnd, think: Option<&Distribution>) -> Result<(), IterationEnd> {
        let done = ended.done;
        (self.done, self.calls) = (done, self.calls + 1);
        self.thought_before_ns = self.thought_ns;
        self.timing = CallTiming::at_once(done, done);
        self.think_ns = self.user.draw(think);
        self.hold_ns = self.user.back_off_after(ended.responded);
        match ended.result {
            _ if ended.goes_on => Ok(()),
            CallResult::Unfinished => Err(IterationEnd::Interrupted),
            _ => Err(IterationEnd::Early),
        }
    }

    /// Steps follow for a call that was not answered as wanted: they take its place.
    fn rescue(&mut self, ended: &CallEnd) -> Result<(), IterationEnd> {
        // A muted step needs no fallback.
        self.was_ok = matches!(ended.result, CallResult::Ok | CallResult::Muted) && ended.goes_on;
        match ended.result {
            CallResult::Unfinished => Err(IterationEnd::Interrupted),
            // What we cannot make ourselves no fallback makes up for.
            CallResult::Own => Err(IterationEnd::Early),
            _ => Ok(()),
        }
    }

    /// A step that takes no time: where it goes on.
    fn control(&mut self, step: &Step, at: usize) -> Result<usize, IterationEnd> {
        match step {
            Step::Jump(to) => Ok(*to),
            Step::Rescue { to } => Ok(if self.was_ok { *to } else { at + 1 }),
            Step::Choose(choice) => {
                let drawn = choice.pick(self.user.rng.random());
                let witness = self.shard.trace.as_ref();
                Ok(witness.map_or(drawn, |witness| witness.way(at, choice, drawn)))
            }
            Step::If { condition, to } => {
                let holds = condition.holds(&mut self.user.scope(self.shard, self.timing.intended));
                self.or_fault(holds).map(|holds| if holds { at + 1 } else { *to })
            }
            Step::Count { counter, times } => {
                let times =
                    times.count(&mut self.user.scope(self.shard, self.timing.intended), MAX_ROUNDS);
                *self.user.rounds(*counter) = self.or_fault(times)?;
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
                    let value = value.kept(&mut self.user.scope(self.shard, self.timing.intended));
                    self.user.variables[*slot] = Some(self.or_fault(value)?);
                }
                Ok(at + 1)
            }
            Step::Pause(law) => {
                self.pause_ns += self.user.draw(Some(law));
                Ok(at + 1)
            }
            Step::Log(text) => {
                let mut line = Vec::new();
                let rendered =
                    text.render(&mut self.user.scope(self.shard, self.timing.intended), &mut line);
                self.or_fault(rendered)?;
                if let Some(witness) = &self.shard.trace {
                    witness.said((self.shard, self.user), &line);
                }
                // Within the bound alone: most lines of a busy step are only counted.
                let line = || {
                    let line = String::from_utf8_lossy(&line);
                    redactor(self.shard, self.user).text(&line).into_owned()
                };
                self.shard.recorder.borrow_mut().say(line);
                Ok(at + 1)
            }
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
                // Without a call it has no time, and no short one either.
                if let Some(group) = self.user.extras().groups.pop()
                    && group.calls < self.calls
                {
                    self.close(&group);
                }
                Ok(at + 1)
            }
            Step::Call(_) | Step::Parallel(_) | Step::Rendezvous(_) | Step::End => Ok(at + 1),
        }
    }

    /// A group went through: from its beginning to its last call's end, its thinks left out.
    fn close(&mut self, group: &OpenGroup) {
        let thought_ns = self.thought_before_ns.saturating_sub(group.thought_ns);
        let took_ns = self.done.since(group.intended).saturating_sub(thought_ns);
        let intended_ns = group.intended.since(self.shard.start);
        let group = self.user.group(group.id);
        self.shard.recorder.borrow_mut().group(group, intended_ns, Some(took_ns));
    }

    /// Groups that have begun will not end.
    fn break_off_groups(&mut self) {
        let Some(extras) = &mut self.user.extras else { return };
        for group in std::mem::take(&mut extras.groups) {
            let intended_ns = group.intended.since(self.shard.start);
            let group = self.user.group(group.id);
            self.shard.recorder.borrow_mut().group(group, intended_ns, None);
        }
    }

    fn or_fault<T>(&self, result: Result<T, RenderError>) -> Result<T, IterationEnd> {
        result.map_err(|error| {
            self.shard.template_error(None, &error);
            if let Some(witness) = &self.shard.trace {
                witness.fault((self.shard, self.user), None, &error.to_string());
            }
            IterationEnd::Early
        })
    }

    /// Lets others have a turn; ends a flow that goes round without ever taking time, or whose time
    /// is over.
    async fn yield_if_spinning(&mut self, in_a_row: u32) -> Result<(), IterationEnd> {
        if in_a_row >= ENDLESS {
            self.shard.recorder.borrow_mut().own_fault(GeneratorError::EndlessLoop);
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

/// What a user does once more, after its last iteration; its calls belong to none.
pub(super) async fn run_on_stop(shard: &Shard, user: &mut User) {
    if let Some(on_stop) = shard.flows[user.archetype].sections.on_stop
        && !shard.cancelled.get()
        && !shard.plan.grace.is_zero()
    {
        let now = clock::now();
        // Also who was cut at the end of its grace says goodbye, and has as long again for it.
        user.deadline.set_hard_end(now + shard.plan.grace);
        // What its last iteration worked is behind it.
        user.work = MAX_ITERATION_WORK;
        let turn = CallTiming::at_once(now, now);
        IterationRunner::new(shard, user, turn).section(on_stop).await;
    }
    if let Some(left) = &shard.final_variables {
        left.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone_from(&user.variables);
    }
}
