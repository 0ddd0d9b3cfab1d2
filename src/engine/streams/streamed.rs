//! Responses in pieces: whether they are whole, and their times and tokens.
//!
//! `exchange_end` calls it for steps with `stream`.
//! Invariant: an error inside a successful response, or a missing end mark, is a failed call.

use crate::clock::Time;
use crate::engine::call::context::CallContext;
use crate::engine::users::user::User;
use crate::plan::stream::{AnswerFormat, GoodAnswer};
use crate::stats::{AttemptOutcome, AttemptPhase, CallResult, Exchange, MessageTime};
use crate::units::nanos;
use crate::wire::ResponseCapture;
use crate::wire::tokens::streamed::StreamedResponse;

/// Ends the observation of a response; its exchange fails if the pieces are not a whole answer.
#[cold]
pub(super) fn end(call: CallContext<'_>, exchange: &mut Exchange, capture: &mut ResponseCapture) {
    let is_whole = matches!(exchange.outcome, AttemptOutcome::Responded(_));
    let failure = capture.end_observing(is_whole).and_then(StreamedResponse::failure);
    if let Some(kind) = failure.filter(|_| is_whole) {
        exchange.outcome = AttemptOutcome::of_failure(AttemptPhase::Body, kind);
        call.shard.recorder.borrow_mut().record_error(exchange.outcome);
    }
}

/// Records the times and tokens of an answer, and whether it is good.
#[cold]
pub(super) fn record(
    call: CallContext<'_>,
    user: &User,
    exchange: &Exchange,
    capture: &ResponseCapture,
    result: CallResult,
) {
    let Some(plan) = call.prepared.call.streamed else { return };
    let is_judged = plan.good.is_some()
        && !matches!(result, CallResult::Unfinished | CallResult::Own | CallResult::Muted);
    let (step, intended) = (call.step(user), call.intended());
    let mut recorder = call.shard.recorder.borrow_mut();
    let window = recorder.messages(step, intended);
    window.counts.judged += u64::from(is_judged);
    let Some(seen) = capture.streamed() else { return };
    window.counts.received += seen.events;
    let mut time = |kind, until: Time| {
        if until != Time::NEVER {
            window.record(kind, until.since(exchange.dispatched));
        }
    };
    time(MessageTime::First, seen.first);
    time(MessageTime::FirstText, seen.first_text);
    for gap in &seen.gaps {
        window.record(MessageTime::Gap, *gap);
        window.counts.coalesced += u64::from(*gap == 0);
    }
    // Messages of gRPC are no tokens.
    let has_tokens = plan.format != AnswerFormat::Messages;
    if has_tokens {
        window.counts.tokens += seen.tokens.unwrap_or(seen.content_chunks);
        window.counts.by_chunks += u64::from(seen.tokens.is_none());
    }
    let tpot = tpot_ns(seen).filter(|_| has_tokens);
    if let Some(ns) = tpot.filter(|_| result == CallResult::Ok) {
        window.record(MessageTime::Tpot, ns);
    }
    if is_judged && result == CallResult::Ok {
        let first = seen.first.since(exchange.dispatched);
        let response = exchange.done.since(call.timing.intended);
        let is_good = plan.good.is_some_and(|good| meets(good, seen, first, tpot, response));
        window.counts.good += u64::from(is_good);
    }
}

/// Time per token after the first, ns; `None` if there is no second one.
fn tpot_ns(seen: &StreamedResponse) -> Option<u64> {
    let tokens = seen.tokens.unwrap_or(seen.content_chunks);
    (tokens > 1 && seen.first != Time::NEVER).then(|| seen.last.since(seen.first) / (tokens - 1))
}

fn meets(
    good: GoodAnswer,
    seen: &StreamedResponse,
    first_ns: u64,
    tpot_ns: Option<u64>,
    response_ns: u64,
) -> bool {
    let within =
        |limit: Option<std::time::Duration>, ns: u64| limit.is_none_or(|at| ns <= nanos(at));
    (good.first.is_none() || seen.first != Time::NEVER)
        && within(good.first, first_ns)
        && within(good.tpot, tpot_ns.unwrap_or(0))
        && within(good.response, response_ns)
}
