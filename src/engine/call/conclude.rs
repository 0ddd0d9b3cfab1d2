//! The end of a call: its response is checked, described to a dry run, and counted.
//!
//! `attempt` comes here once for each call, outside any future that could be dropped half-way.
//! Invariant: a call that was begun is recorded exactly once, also if it is cancelled or never
//! sent.

use super::call_record;
use super::checks::{self, CheckedResponse, FailedChecks};
use super::context::CallContext;
use super::exemplar;
use super::generator_error::{forbid, template_error};
use super::timing::{CallEnd, CallTiming, unsent};
use super::{trace, transaction};
use crate::clock::Time;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::stats::{
    AttemptOutcome, AttemptPhase, BlockCause, CallResult, Exchange, FailureKind, Sample,
};
use crate::template::RenderError;
use crate::wire::ResponseCapture;

/// The time that policy and the shard added to a call.
#[derive(Clone, Copy)]
pub(crate) struct BlockedTime {
    /// All waits that policy caused, ns.
    pub(crate) blocked_ns: u64,
    /// When the user continues: after the last attempt, or after a wait that led to none.
    pub(crate) left: Time,
    /// When the shard turned to it; a step that waits for a message may measure from before it.
    pub(crate) taken_up: Time,
    /// Delays that the shard itself added.
    pub(crate) own: ShardDelays,
    /// Attempts that were made, without redirects.
    pub(crate) attempts: u32,
}

/// The time that a shard itself adds to a call, ns.
#[derive(Clone, Copy, Default)]
pub(crate) struct ShardDelays {
    /// From the moment the shard turned to the call to its first act outside, without waits that
    /// policy caused.
    pub(crate) prepared_ns: u64,
    /// How long the shard's event loop had stood still when it turned to the call.
    pub(crate) stalled_ns: u64,
}

impl BlockedTime {
    /// The times of a call that ends as soon as the shard turns to it.
    pub(crate) fn none(shard: &Shard, picked_up: Time) -> Self {
        let stalled_ns = shard.recorder.borrow().stalled_ns();
        let own = ShardDelays { prepared_ns: 0, stalled_ns };
        Self { blocked_ns: 0, left: picked_up, taken_up: picked_up, own, attempts: 0 }
    }
}

/// Judges a call by the exchange of its last attempt, and records it. `bytes` is its first request.
pub(crate) fn conclude(
    call: CallContext<'_>,
    user: &mut User,
    blocked: BlockedTime,
    (exchange, capture): (&Exchange, &ResponseCapture),
    bytes: &[u8],
) -> CallEnd {
    let shard = call.shard;
    if call.prepared.call.transaction.is_some() {
        let sample = sample_of(call, user, blocked, exchange, CallResult::Failed);
        if transaction::keeps_open(call, user, exchange, sample) {
            let (result, done) = (CallResult::Failed, blocked.left);
            return CallEnd { result, done, responded: true, goes_on: true };
        }
    }
    let unchecked = |result| CheckedResponse { result, goes_on: false, failed: FailedChecks::NONE };
    let checked = match exchange.outcome {
        AttemptOutcome::Responded(_) | AttemptOutcome::Done => {
            checks::check(call, user, exchange, capture)
        }
        AttemptOutcome::Failed(_, kind) => {
            if kind == FailureKind::Forbidden {
                forbid(&shard.recorder, &shard.wire, None);
            }
            checks::fail_all(call, user, CallResult::Failed)
        }
        AttemptOutcome::Timeout(_) => checks::fail_all(call, user, CallResult::Timeout),
        AttemptOutcome::Unfinished(_) => unchecked(CallResult::Unfinished),
        AttemptOutcome::Own(_) => unchecked(CallResult::Own),
        AttemptOutcome::Suppressed(BlockCause::Muted) => {
            checks::unset_captures(call, user);
            CheckedResponse { goes_on: true, ..unchecked(CallResult::Muted) }
        }
        AttemptOutcome::Suppressed(_) => {
            shard.recorder.borrow_mut().record_error(exchange.outcome);
            checks::fail_all(call, user, CallResult::Suppressed)
        }
    };
    if checked.has_failed() || shard.trace.is_some() {
        report_call(call, user, &checked, (exchange, capture, bytes));
    }
    let end = record(call, user, blocked, exchange, checked.result);
    CallEnd { goes_on: end.goes_on && checked.goes_on, ..end }
}

/// Describes a call to the trace recorder of a dry run, and keeps one that failed as an exemplar.
#[cold]
fn report_call(
    call: CallContext<'_>,
    user: &User,
    checked: &CheckedResponse,
    (exchange, capture, bytes): (&Exchange, &ResponseCapture, &[u8]),
) {
    if let Some(recorder) = &call.shard.trace {
        let places = (call.shard, user);
        trace::call(recorder, places, call.prepared, (exchange, capture), checked, bytes);
    }
    // A call that was never sent, or cancelled, has nothing to show.
    let shows_nothing = matches!(
        checked.result,
        CallResult::Unfinished | CallResult::Suppressed | CallResult::Muted
    );
    if checked.has_failed() && !shows_nothing {
        exemplar::keep(call, user, (exchange, capture), (checked.failed, bytes));
    }
}

/// What a call is counted as; the exchange is that of its last attempt.
fn sample_of(
    call: CallContext<'_>,
    user: &User,
    blocked: BlockedTime,
    exchange: &Exchange,
    result: CallResult,
) -> Sample {
    let (CallTiming { intended, ready, picked_up, .. }, done) = (*call.timing, exchange.done);
    Sample {
        workload: user.workload,
        step: call.step(user),
        intended: call.intended(),
        lag_ns: picked_up.since(ready) + blocked.own.prepared_ns,
        blocked_ns: ready.since(intended) + blocked.blocked_ns,
        service_ns: done.since(exchange.dispatched),
        response_ns: done.since(intended),
        in_flight_ns: blocked.left.since(blocked.taken_up),
        stalled_ns: blocked.own.stalled_ns,
        outcome: exchange.outcome,
        result,
        backend: exchange.backend.map(|number| (call.prepared.call.service, number)),
    }
}

/// Counts a call; the exchange is that of its last attempt.
pub(crate) fn record(
    call: CallContext<'_>,
    user: &mut User,
    blocked: BlockedTime,
    exchange: &Exchange,
    result: CallResult,
) -> CallEnd {
    let CallTiming { intended, ready, cause, .. } = *call.timing;
    let unready_ns = ready.since(intended);
    let sample = sample_of(call, user, blocked, exchange, result);
    let mut recorder = call.shard.recorder.borrow_mut();
    if unready_ns > 0 {
        recorder.record_blocked(sample.intended, cause, unready_ns);
    }
    let mut counted = Some(sample);
    if call.prepared.call.transaction.is_some() {
        counted = transaction::counted(user, sample, blocked.left);
    }
    match &counted {
        Some(sample) => recorder.end_call(sample, blocked.left),
        None => recorder.record_extra_service_time(sample.step, sample.intended, exchange),
    }
    if counted.is_some() && recorder.keeps_calls() {
        let extras = user.extras.as_mut();
        let earlier = extras.map(|extras| std::mem::take(&mut extras.earlier_attempts));
        if recorder.wants_call(user.key, &sample) {
            let ended = (&sample, exchange, blocked.attempts);
            recorder.keep_call(call_record::describe(
                call,
                user,
                ended,
                earlier.unwrap_or_default(),
            ));
        }
    }
    drop(recorder);
    // A redirect that is not followed was a response, too: the target is alive.
    let responded = matches!(
        exchange.outcome,
        AttemptOutcome::Responded(_)
            | AttemptOutcome::Done
            | AttemptOutcome::Failed(AttemptPhase::Redirect, _)
    );
    let is_broken_off = matches!(result, CallResult::Own | CallResult::Unfinished);
    let is_wanted = matches!(result, CallResult::Ok | CallResult::Muted);
    let is_expected = is_wanted || call.prepared.call.expects.is_empty();
    CallEnd { result, done: blocked.left, responded, goes_on: !is_broken_off && is_expected }
}

/// Ends a call that policy suppresses: it keeps its place in the schedule, and is an error.
#[cold]
pub(crate) fn suppress(call: CallContext<'_>, user: &mut User, outcome: AttemptOutcome) -> CallEnd {
    let picked_up = call.timing.picked_up;
    let (blocked, exchange) =
        (BlockedTime::none(call.shard, picked_up), unsent(outcome, picked_up));
    conclude(call, user, blocked, (&exchange, &ResponseCapture::default()), &[])
}

/// Ends a call whose request cannot be rendered: a generator error with the name of what is
/// missing, or a failure of the target if a value from an earlier response cannot be used.
pub(crate) fn fail_to_render(
    call: CallContext<'_>,
    user: &mut User,
    error: &RenderError,
) -> CallEnd {
    let (shard, picked_up) = (call.shard, call.timing.picked_up);
    let name = call.step_name(user);
    let outcome = template_error(&shard.recorder, Some(name), error);
    if let Some(recorder) = &shard.trace {
        trace::fault(recorder, (shard, user), Some(name), &error.to_string());
    }
    let (blocked, exchange) = (BlockedTime::none(shard, picked_up), unsent(outcome, picked_up));
    let result = match outcome {
        AttemptOutcome::Failed(..) => checks::fail_all(call, user, CallResult::Failed).result,
        _ => CallResult::Own,
    };
    // Without the value that its user wanted, the iteration does not go on.
    CallEnd { goes_on: false, ..record(call, user, blocked, &exchange, result) }
}
