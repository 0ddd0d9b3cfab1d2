//! Waits for messages of a stream.
//!
//! `step` runs it.
//! Invariant: a message counts with the time at which it was read, also if that was before the step
//! got its turn.

use std::rc::Rc;
use std::task::Poll;

use crate::clock::{self, RunOffset, Time};
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::{CallEnd, CallTiming};
use crate::engine::streams::conditions::Conditions;
use crate::engine::streams::inbox::KeptMessage;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::send::wait_for;
use crate::engine::streams::step_end;
use crate::engine::streams::stream_state::{StreamPhase, WaitingStep};
use crate::engine::users::user::User;
use crate::plan::stream::{AwaitMessage, AwaitSince};
use crate::stats::{AttemptOutcome, FailureKind};

/// Waits for the messages of a step.
pub(super) async fn wait(
    context: CallContext<'_>,
    user: &mut User,
    live: Option<Rc<LiveStream>>,
    plan: &AwaitMessage,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let now = clock::now();
    let begun = user.extras().streams.iteration_begun.unwrap_or(context.timing.intended);
    let (since, from) = since(&live, plan.since, (begun, context.timing.intended), now);
    // The lateness of the send is the lateness of its answer.
    let timing = CallTiming { picked_up: from, ..CallTiming::at_once(since, now) };
    let context = CallContext { timing: &timing, ..context };
    let begun = step_end::begin(context, user, now);
    let shard = context.shard;
    let conditions = match Conditions::render(&plan.conditions, &mut user.scope(shard, now)) {
        Ok(conditions) => conditions,
        Err(error) => return step_end::fail_to_render(context, user, begun, &error),
    };
    user.deadline.begin(now.after(context.prepared.timeout_ns));
    let (mut found, mut outcome) = (None, AttemptOutcome::Done);
    for _ in 0..plan.count {
        found = take_kept(context, &live, &conditions, from);
        if found.is_none() {
            (found, outcome) = receive(user, &live, &conditions).await;
        }
        let Some(message) = &found else { break };
        live.state.borrow_mut().last_awaited = Some(message.at);
        let at = RunOffset::of(message.at, shard.start);
        let mut recorder = shard.recorder.borrow_mut();
        recorder.messages(context.step(user), at).counts.received += 1;
    }
    user.deadline.end();
    let done = found.as_ref().map_or_else(clock::now, |message| message.at).max(from);
    if plan.may_time_out && matches!(outcome, AttemptOutcome::Timeout(_)) {
        return step_end::conclude_without(context, user, begun, done);
    }
    step_end::conclude(context, user, begun, (from, done), outcome, (&[], found))
}

/// The moment from which the response time counts, and the one from which the service time does.
fn since(
    live: &LiveStream,
    since: AwaitSince,
    (iteration, intended): (Time, Time),
    now: Time,
) -> (Time, Time) {
    let state = live.state.borrow();
    let both = |time| (time, time);
    match since {
        AwaitSince::Send => state.last_sent.unwrap_or(both(state.opened)),
        AwaitSince::Open => both(state.opened),
        AwaitSince::Last => both(state.last_awaited.unwrap_or(state.opened)),
        AwaitSince::Iteration => both(iteration),
        AwaitSince::Now => (intended, now),
    }
}

/// Takes the first kept message that matches and was read after `since`; those before it are passed
/// over.
fn take_kept(
    context: CallContext<'_>,
    live: &LiveStream,
    conditions: &Conditions,
    since: Time,
) -> Option<KeptMessage> {
    let mut state = live.state.borrow_mut();
    let (mut found, mut passed) = (None, 0);
    while let Some(message) = state.inbox.pop() {
        if message.at >= since && conditions.hold_kept(&message) {
            found = Some(message);
            break;
        }
        passed += 1;
    }
    if passed > 0 {
        live.count_unmatched(context.shard, passed);
    }
    found
}

/// Waits for the next message that matches.
async fn receive(
    user: &User,
    live: &LiveStream,
    conditions: &Conditions,
) -> (Option<KeptMessage>, AttemptOutcome) {
    let step = WaitingStep { conditions: conditions.clone(), found: None };
    live.state.borrow_mut().waiting = Some(Box::new(step));
    let outcome = wait_for(user, live, |_, phase| {
        let state = live.state.borrow();
        match phase {
            _ if state.waiting.as_ref().is_some_and(|waiting| waiting.found.is_some()) => {
                Poll::Ready(Ok(()))
            }
            StreamPhase::Ended(end) => Poll::Ready(Err(end.failure.unwrap_or(FailureKind::Closed))),
            StreamPhase::Open | StreamPhase::Away => Poll::Pending,
        }
    })
    .await;
    let found = live.state.borrow_mut().waiting.take().and_then(|waiting| waiting.found);
    // A message that came as the deadline passed was in time.
    let outcome = if found.is_some() { AttemptOutcome::Done } else { outcome };
    (found, outcome)
}
