//! The end of a call that is more than a request: it has a stamp, opens a stream, or its response
//! is observed as it comes.
//!
//! `attempt` calls it.
//! Invariant: what the response proves wrong fails the call before it is judged; what the call sent
//! is counted after.

use crate::engine::call::context::CallContext;
use crate::engine::streams::{handshake, streamed};
use crate::engine::users::user::User;
use crate::stats::{CallResult, Exchange};
use crate::wire::ResponseCapture;

/// Ends the last exchange of a call, before it is judged.
#[cold]
pub(crate) fn end_exchange(
    call: CallContext<'_>,
    user: &mut User,
    exchange: &mut Exchange,
    capture: &mut ResponseCapture,
) {
    handshake::take_over(call.shard, user, call.prepared, (exchange, capture));
    streamed::end(call, exchange, capture);
}

/// Counts what a call sent and what came in pieces, after it was judged.
#[cold]
pub(crate) fn end_call(
    call: CallContext<'_>,
    user: &mut User,
    (exchange, capture): (&Exchange, &ResponseCapture),
    result: CallResult,
) {
    streamed::record(call, user, exchange, capture, result);
    let extras = user.extras.as_mut();
    if let Some(stamped) = extras.and_then(|extras| extras.streams.stamped.take()) {
        let place = (call.step(user), call.intended());
        stamped.end(call.shard, place, result == CallResult::Ok);
    }
}
