//! Sends a message, and closes a stream.
//!
//! `step` runs them.
//! Invariant: a message is counted as sent when the kernel has taken all of its bytes.

use std::rc::Rc;
use std::task::{Context, Poll};

use crate::clock;
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::CallEnd;
use crate::engine::streams::live_stream::{LiveStream, MAX_QUEUED};
use crate::engine::streams::stamping;
use crate::engine::streams::step_end;
use crate::engine::streams::stream_state::StreamPhase;
use crate::engine::users::user::User;
use crate::grpc::MessageType;
use crate::plan::RequestBody;
use crate::plan::stream::SendMessage;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::template::RenderError;
use crate::wire::WaitEnded;
use crate::wire::message_stream::{Message, MessageKind};

/// Sends the message of a step.
pub(super) async fn send(
    context: CallContext<'_>,
    user: &mut User,
    live: Option<Rc<LiveStream>>,
    send: SendMessage,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let begun = step_end::begin(context, user, clock::now());
    let mut payload = match render(context, user) {
        Ok(payload) => payload,
        Err(error) => return step_end::fail_to_render(context, user, begun, &error),
    };
    let (shard, timing) = (context.shard, context.timing);
    user.deadline.begin(begun.at.after(context.prepared.timeout_ns));
    // Opened again, if it is away: the stamp is taken when the message can be sent.
    let ready = wait_for(user, &live, |_, phase| match phase {
        StreamPhase::Open => Poll::Ready(Ok(())),
        StreamPhase::Away => Poll::Pending,
        StreamPhase::Ended(_) => Poll::Ready(Err(FailureKind::Closed)),
    })
    .await;
    let mut stamped = None;
    if ready == AttemptOutcome::Done
        && let Some(channel) = &context.prepared.call.stamp
    {
        let place = (timing.intended, live.path.as_str());
        stamped = match stamping::stamp(shard, user, channel, place, &mut payload) {
            Ok(stamped) => stamped,
            Err(error) => return step_end::fail_to_render(context, user, begun, &error),
        };
    }
    let encoded = match encode(context, user, send, &payload) {
        Ok(encoded) => encoded,
        Err(error) => {
            if let Some(stamped) = stamped {
                stamped.end(shard, (context.step(user), context.intended()), false);
            }
            return step_end::fail_to_render(context, user, begun, &error);
        }
    };
    let is_text = send.text && encoded.is_none();
    let kind = if is_text { MessageKind::Text } else { MessageKind::Binary };
    let message = encoded.as_deref().unwrap_or(&payload);
    let dispatched = clock::now();
    let outcome = match ready {
        AttemptOutcome::Done => hand_over(user, &live, kind, message).await,
        failed => failed,
    };
    user.deadline.end();
    let done = clock::now();
    let (step, intended) = (context.step(user), context.intended());
    let is_sent = outcome == AttemptOutcome::Done;
    match stamped {
        Some(stamped) => stamped.end(shard, (step, intended), is_sent),
        None if is_sent => {
            shard.recorder.borrow_mut().messages(step, intended).counts.sent += 1;
        }
        None => {}
    }
    if is_sent {
        let mut state = live.state.borrow_mut();
        state.last_sent = Some((timing.intended, dispatched));
        if send.resend {
            state.resend_later(kind, message);
        }
    }
    let shown = shown(context, user, send, &payload);
    let shown = shown.as_deref().unwrap_or(&payload);
    let end = step_end::conclude(context, user, begun, (dispatched, done), outcome, (shown, None));
    shard.buffers.give_back(payload);
    end
}

/// Renders the payload of a message.
pub(super) fn render(context: CallContext<'_>, user: &mut User) -> Result<Vec<u8>, RenderError> {
    let shard = context.shard;
    let mut payload = shard.buffers.take();
    payload.clear();
    match &context.prepared.call.request.body {
        RequestBody::None => {}
        RequestBody::Bytes(bytes) => payload.extend_from_slice(bytes),
        RequestBody::Template(template) => {
            template.render(&mut user.scope(shard, context.timing.intended), &mut payload)?;
        }
    }
    Ok(payload)
}

/// What a stream of gRPC is sent; `None` if the stream is none.
fn input_of<'s>(context: CallContext<'s>, user: &User) -> Option<&'s MessageType> {
    let stream = context.prepared.call.stream.as_ref()?.stream;
    let plan = &context.shard.plan.archetypes[user.archetype].streams[stream];
    Some(&plan.grpc.as_ref()?.method.input)
}

/// The JSON of a message that was encoded when the scenario was loaded, for a dry run.
fn shown(
    context: CallContext<'_>,
    user: &User,
    send: SendMessage,
    payload: &[u8],
) -> Option<Vec<u8>> {
    let is_shown = context.shard.trace.is_some() && !send.text;
    input_of(context, user).filter(|_| is_shown)?.to_json(payload).ok()
}

/// The message of a call of gRPC, encoded; `None` if the stream is none, or the message was encoded
/// when the scenario was loaded.
fn encode(
    context: CallContext<'_>,
    user: &User,
    send: SendMessage,
    payload: &[u8],
) -> Result<Option<Vec<u8>>, RenderError> {
    let Some(input) = input_of(context, user).filter(|_| send.text) else { return Ok(None) };
    let encoded = input.encode(payload);
    encoded.map(Some).map_err(|why| RenderError::Invalid(format!("no {}: {why}", input.name())))
}

/// Hands a message to the kernel.
async fn hand_over(
    user: &User,
    live: &LiveStream,
    kind: MessageKind,
    payload: &[u8],
) -> AttemptOutcome {
    let mut is_queued = false;
    wait_for(user, live, |cx, phase| {
        let mut state = live.state.borrow_mut();
        let Some(queued) = state.wire.as_ref().map(|wire| wire.queued()) else {
            return match phase {
                StreamPhase::Open => Poll::Pending,
                _ => Poll::Ready(Err(FailureKind::Closed)),
            };
        };
        if !is_queued {
            // What a target does not read waits, and no more than that: within the step's timeout.
            if queued >= MAX_QUEUED && state.poll_flush(cx).is_pending() {
                return Poll::Pending;
            }
            let message = Message::new(kind, payload);
            if !state.wire.as_mut().is_some_and(|wire| wire.send(message)) {
                return Poll::Ready(Err(FailureKind::Closed));
            }
            is_queued = true;
        }
        state.poll_hand_over(cx)
    })
    .await
}

/// Closes the stream of a step, and waits until it is closed.
pub(super) async fn close(
    context: CallContext<'_>,
    user: &mut User,
    live: Option<Rc<LiveStream>>,
    code: u16,
    reason: &str,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let begun = step_end::begin(context, user, clock::now());
    user.deadline.begin(begun.at.after(context.prepared.timeout_ns));
    live.end_listeners(context.shard, false);
    live.begin_close(context.shard, code, reason);
    let outcome = wait_for(user, &live, |_, phase| match phase {
        StreamPhase::Ended(end) => Poll::Ready(end.failure.map_or(Ok(()), Err)),
        _ => Poll::Pending,
    })
    .await;
    user.deadline.end();
    step_end::conclude(context, user, begun, (begun.at, clock::now()), outcome, (&[], None))
}

/// Waits until `ready` is, within the deadline of the user's step.
pub(super) async fn wait_for(
    user: &User,
    live: &LiveStream,
    mut ready: impl FnMut(&mut Context<'_>, StreamPhase) -> Poll<Result<(), FailureKind>>,
) -> AttemptOutcome {
    let ended = std::future::poll_fn(|cx| {
        let phase = live.state.borrow().phase;
        let polled = ready(cx, phase);
        if polled.is_pending() {
            live.state.borrow_mut().wait_here(cx);
        }
        user.deadline.poll(cx, polled)
    })
    .await;
    let phase = AttemptPhase::Message;
    match ended {
        Ok(Ok(())) => AttemptOutcome::Done,
        Ok(Err(kind)) => AttemptOutcome::of_failure(phase, kind),
        Err(WaitEnded::Timeout) => AttemptOutcome::Timeout(phase),
        Err(WaitEnded::Cancelled) => AttemptOutcome::Unfinished(phase),
    }
}
