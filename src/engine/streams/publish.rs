//! Publishes a message at a broker.
//!
//! `step` runs it.
//! Invariant: a message is counted as sent when the kernel has taken all of its bytes, and once as
//! confirmed, refused or unconfirmed if the broker confirms it; a wait for room is blocked time.

use std::rc::Rc;
use std::task::Poll;

use crate::clock::{self, Time};
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::CallEnd;
use crate::engine::streams::answers;
use crate::engine::streams::live_stream::{LiveStream, MAX_QUEUED};
use crate::engine::streams::publisher::StampedMessage;
use crate::engine::streams::send::{self, wait_for};
use crate::engine::streams::stream_state::StreamPhase;
use crate::engine::streams::{stamping, step_end};
use crate::engine::users::user::User;
use crate::plan::broker::PublishPlan;
use crate::protocol::status;
use crate::stats::{AttemptOutcome, BlockCause, FailureKind};
use crate::template::RenderError;
use crate::wire::broker::command::{BrokerCommand, CommandAnswer, PublishCommand};

/// A message that is rendered, and not yet sent.
struct RenderedMessage {
    destination: String,
    headers: Vec<(String, String)>,
    /// Key and partition of Kafka.
    key: Option<Vec<u8>>,
    partition: Option<i32>,
    payload: Vec<u8>,
}

/// How sending a message ended.
struct SendEnd {
    outcome: AttemptOutcome,
    /// Whether the kernel has taken it.
    is_sent: bool,
    /// The confirmation, if the step waited for it and it came.
    answer: Option<CommandAnswer>,
}

/// Publishes the message of a step.
pub(super) async fn publish(
    context: CallContext<'_>,
    user: &mut User,
    live: Option<Rc<LiveStream>>,
    plan: &PublishPlan,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let begun = step_end::begin(context, user, clock::now());
    let mut message = match render(context, user, plan) {
        Ok(message) => message,
        Err(error) => return step_end::fail_to_render(context, user, begun, &error),
    };
    let (shard, timing) = (context.shard, context.timing);
    user.deadline.begin(begun.at.after(context.prepared.timeout_ns));
    let rendered = clock::now();
    let (ready, waited) = wait_for_room(user, &live, plan).await;
    let dispatched = if waited { clock::now() } else { rendered };
    let begun = begun.blocked(context, dispatched.since(rendered), BlockCause::Confirm);
    let mut stamped = None;
    if ready == AttemptOutcome::Done {
        stamped = match stamp(context, user, &mut message) {
            Ok(stamped) => stamped,
            Err(error) => return step_end::fail_to_render(context, user, begun, &error),
        };
    }
    let end = match ready {
        AttemptOutcome::Done => send(context, user, &live, (plan, &message)).await,
        outcome => SendEnd { outcome, is_sent: false, answer: None },
    };
    user.deadline.end();
    let done = end.answer.as_ref().map_or_else(clock::now, |answer| answer.at);
    let place = (context.step(user), context.intended());
    count(context, user, plan, &end, dispatched);
    // A message that the broker refused reaches no listener.
    let is_taken = end.answer.as_ref().is_none_or(|answer| !status::is_error(answer.status));
    match stamped {
        Some(stamped) => stamped.end_taken(shard, place, end.is_sent, end.is_sent && is_taken),
        None => {
            let mut recorder = shard.recorder.borrow_mut();
            recorder.messages(place.0, place.1).counts.sent += u64::from(end.is_sent);
        }
    }
    if end.is_sent {
        live.state.borrow_mut().last_sent = Some((timing.intended, dispatched));
    }
    let times = (dispatched, done);
    let found = (&*message.payload, None);
    let ended = step_end::conclude(context, user, begun, times, end.outcome, found);
    shard.buffers.give_back(message.payload);
    ended
}

fn render(
    context: CallContext<'_>,
    user: &mut User,
    plan: &PublishPlan,
) -> Result<RenderedMessage, RenderError> {
    let payload = send::render(context, user)?;
    let mut scope = user.scope(context.shard, context.timing.intended);
    let mut text = |template: &crate::template::Template| {
        let mut bytes = Vec::new();
        template.render(&mut scope, &mut bytes)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()))
    };
    let destination = text(&plan.destination)?;
    context.shard.check_destination(destination.as_bytes())?;
    let headers = plan.headers.iter().map(|(name, value)| Ok((name.clone(), text(value)?)));
    let headers = headers.collect::<Result<_, RenderError>>()?;
    let partition = match &plan.partition {
        Some(partition) => Some(partition_of(&text(partition)?)?),
        None => None,
    };
    let key = match &plan.key {
        Some(key) => Some(text(key)?.into_bytes()),
        None => None,
    };
    Ok(RenderedMessage { destination, headers, key, partition, payload })
}

/// A rendered number of a partition.
fn partition_of(text: &str) -> Result<i32, RenderError> {
    let number = text.trim().parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| RenderError::Invalid(format!("`{text}` is no number of a partition")))
}

/// Waits until the stream is open, and the broker and the step allow another message. Returns also
/// whether it had to wait.
async fn wait_for_room(
    user: &User,
    live: &LiveStream,
    plan: &PublishPlan,
) -> (AttemptOutcome, bool) {
    let mut polls = 0;
    let most = if plan.options.is_confirmed { plan.in_flight as usize } else { usize::MAX };
    let outcome = wait_for(user, live, |cx, phase| {
        polls += 1;
        let mut state = live.state.borrow_mut();
        match (phase, &state.wire) {
            (StreamPhase::Ended(_), _) => return Poll::Ready(Err(FailureKind::Closed)),
            (StreamPhase::Away, _) | (StreamPhase::Open, None) => return Poll::Pending,
            (StreamPhase::Open, Some(wire)) => {
                let (is_held_back, has_room) = (wire.is_held_back(), wire.queued() < MAX_QUEUED);
                // The reader wakes the user when the broker allows it again.
                state.is_held_back |= is_held_back;
                if is_held_back || state.answers.unconfirmed() >= most {
                    return Poll::Pending;
                }
                if has_room {
                    return Poll::Ready(Ok(()));
                }
            }
        }
        state.poll_flush(cx).map_err(|end| end.failure.unwrap_or(FailureKind::Closed))
    })
    .await;
    (outcome, polls > 1)
}

/// Stamps a message of a step that stamps.
fn stamp(
    context: CallContext<'_>,
    user: &mut User,
    message: &mut RenderedMessage,
) -> Result<Option<StampedMessage>, RenderError> {
    let (shard, call) = (context.shard, &context.prepared.call);
    let Some(channel) = &call.stamp else { return Ok(None) };
    let path = channel_of(context, &message.destination);
    let place = (context.timing.intended, path.as_str());
    stamping::stamp(shard, user, channel, place, &mut message.payload)
}

/// The default name of the channel of a destination.
pub(super) fn channel_of(context: CallContext<'_>, destination: &str) -> String {
    let service = &context.shard.plan.services[context.prepared.call.service].name;
    format!("{service} {destination}")
}

/// Hands a message to the kernel, and waits for its confirmation if the step does.
async fn send(
    context: CallContext<'_>,
    user: &User,
    live: &LiveStream,
    (plan, message): (&PublishPlan, &RenderedMessage),
) -> SendEnd {
    let number = live.state.borrow_mut().answers.next_number();
    let mut is_queued = false;
    let mut outcome = wait_for(user, live, |cx, phase| {
        let mut state = live.state.borrow_mut();
        let Some(wire) = &mut state.wire else {
            return match phase {
                StreamPhase::Open if !is_queued => Poll::Pending,
                _ => Poll::Ready(Err(FailureKind::Closed)),
            };
        };
        if !is_queued {
            wire.command(
                number,
                BrokerCommand::Publish(PublishCommand {
                    destination: &message.destination,
                    payload: &message.payload,
                    headers: &message.headers,
                    key: message.key.as_deref(),
                    partition: message.partition,
                    options: &plan.options,
                }),
            )?;
            is_queued = true;
            if plan.options.is_confirmed {
                context.shard.recorder.borrow_mut().record_command();
            }
            if plan.waits() {
                state.answers.begin_wait(number);
            } else if plan.options.is_confirmed {
                let place = (context.step(user), context.intended());
                state.answers.note(number, place, clock::now());
            }
        }
        state.poll_hand_over(cx)
    })
    .await;
    let is_sent = outcome == AttemptOutcome::Done;
    let mut answer = None;
    if is_sent && plan.waits() {
        outcome = await_answer(user, live).await;
    }
    if plan.waits() {
        answer = live.state.borrow_mut().answers.end_wait();
    }
    if let Some(answer) = &answer {
        outcome = AttemptOutcome::Responded(answer.status);
    }
    SendEnd { outcome, is_sent, answer }
}

/// Waits for the answer that the stream's user waits for.
pub(super) async fn await_answer(user: &User, live: &LiveStream) -> AttemptOutcome {
    wait_for(user, live, |_, phase| {
        if live.state.borrow().answers.has_answer() {
            return Poll::Ready(Ok(()));
        }
        match phase {
            StreamPhase::Open => Poll::Pending,
            StreamPhase::Away => Poll::Ready(Err(FailureKind::Closed)),
            StreamPhase::Ended(end) => Poll::Ready(Err(end.failure.unwrap_or(FailureKind::Closed))),
        }
    })
    .await
}

/// Counts what became of a message whose confirmation its step waited for.
fn count(
    context: CallContext<'_>,
    user: &User,
    plan: &PublishPlan,
    end: &SendEnd,
    dispatched: Time,
) {
    if !plan.waits() || !end.is_sent {
        return;
    }
    let place = (context.step(user), context.intended());
    match &end.answer {
        Some(answer) => answers::count(context.shard, place, answer, dispatched),
        None => {
            let mut recorder = context.shard.recorder.borrow_mut();
            recorder.messages(place.0, place.1).counts.unconfirmed += 1;
        }
    }
}
