//! Ends what a user sends on a stream, and waits until the target ends the stream.
//!
//! `step` runs it.
//! Invariant: such a step has the status that the stream ended with, as a call has.

use std::rc::Rc;
use std::task::Poll;

use crate::clock::{self, RunOffset};
use crate::engine::call::context::CallContext;
use crate::engine::call::timing::CallEnd;
use crate::engine::streams::inbox::KeptMessage;
use crate::engine::streams::live_stream::LiveStream;
use crate::engine::streams::send::wait_for;
use crate::engine::streams::step_end;
use crate::engine::streams::stream_state::StreamPhase;
use crate::engine::users::user::User;
use crate::protocol::status;
use crate::stats::AttemptOutcome;

/// Ends what is sent on the stream of a step, and waits for its end.
pub(super) async fn finish(
    context: CallContext<'_>,
    user: &mut User,
    live: Option<Rc<LiveStream>>,
) -> CallEnd {
    let Some(live) = live else { return step_end::not_open(context, user) };
    let begun = step_end::begin(context, user, clock::now());
    user.deadline.begin(begun.at.after(context.prepared.timeout_ns));
    live.finish();
    let mut status = None;
    let waited = wait_for(user, &live, |_, phase| match phase {
        StreamPhase::Ended(end) => {
            status = end.code;
            Poll::Ready(end.failure.map_or(Ok(()), Err))
        }
        _ => Poll::Pending,
    })
    .await;
    user.deadline.end();
    let done = clock::now();
    let outcome = match (waited, status) {
        (AttemptOutcome::Done, Some(status)) => AttemptOutcome::Responded(status),
        (outcome, _) => outcome,
    };
    let mut found = None;
    if let AttemptOutcome::Responded(status) = outcome {
        context.shard.recorder.borrow_mut().record_status(status);
        live.end_listeners(context.shard, false);
        if status::is_error(status) {
            // As with calls, what rules read is the text of the error.
            let text = live.state.borrow_mut().end_text.take();
            let head = Box::default();
            found =
                text.map(|text| KeptMessage { at: done, payload: text.into(), head, place: None });
        } else if context.prepared.call.needs_body() {
            found = take_last(context, user, &live);
        }
    }
    step_end::conclude(context, user, begun, (begun.at, done), outcome, (&[], found))
}

/// Takes the last message that no step took; those before it are passed over.
fn take_last(context: CallContext<'_>, user: &User, live: &LiveStream) -> Option<KeptMessage> {
    let mut kept: Vec<KeptMessage> = live.state.borrow_mut().inbox.take_all().collect();
    let last = kept.pop()?;
    if !kept.is_empty() {
        live.count_unmatched(context.shard, kept.len() as u64);
    }
    let mut recorder = context.shard.recorder.borrow_mut();
    let at = RunOffset::of(last.at, context.shard.start);
    recorder.messages(context.step(user), at).counts.received += 1;
    Some(last)
}
