//! What a call came to: judged, shown to who looks on, counted.
//!
//! `attempt` comes here once for each call, outside any future that could be dropped half-way.
//! Invariant: a call that was begun is recorded exactly once, also when it is cut or never sent.

use super::attempt::{CallEnd, CallTiming};
use super::checks::{self, CheckedResponse, FailedChecks};
use super::exemplar;
use super::prepared::PreparedCall;
use super::shard::Shard;
use super::user::User;
use crate::clock::Time;
use crate::stats::{
    AttemptOutcome, AttemptPhase, BlockCause, CallResult, Exchange, FailureKind, Sample,
};
use crate::template::RenderError;
use crate::wire::ResponseCapture;

/// What a call's policy cost it.
#[derive(Clone, Copy)]
pub(super) struct BlockedTime {
    /// All its waits, ns.
    pub(super) blocked_ns: u64,
    /// When its user goes on: after its last attempt, and after a wait that led to none.
    pub(super) left: Time,
    /// What the shard itself added.
    pub(super) own: ShardDelays,
}

/// What a shard itself adds to a call, ns.
#[derive(Clone, Copy, Default)]
pub(super) struct ShardDelays {
    /// From the moment it turned to the call to the first act outside, waits by policy left out.
    pub(super) prepared_ns: u64,
    /// How long its event loop had stood still by the time it turned to the call.
    pub(super) stalled_ns: u64,
}

impl ShardDelays {
    /// Of a call that ends as soon as it is turned to.
    fn of(shard: &Shard) -> Self {
        Self { prepared_ns: 0, stalled_ns: shard.recorder.borrow().stalled_ns() }
    }
}

/// Judges a call by the exchange of its last attempt, and records it.
pub(super) fn conclude(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    turn: &CallTiming,
    held: BlockedTime,
    (exchange, kept): (&Exchange, &ResponseCapture),
    bytes: &[u8],
) -> CallEnd {
    let intended_ns = turn.intended.since(shard.start);
    let none = |fate| CheckedResponse { result: fate, goes_on: false, failed: FailedChecks::NONE };
    let judged = match exchange.outcome {
        AttemptOutcome::Responded(status) => {
            checks::judge(shard, user, prepared, intended_ns, status, exchange, kept)
        }
        AttemptOutcome::Failed(_, kind) => {
            if kind == FailureKind::Forbidden {
                shard.forbid(None);
            }
            checks::nothing_to_judge(shard, user, prepared, intended_ns, CallResult::Failed)
        }
        AttemptOutcome::Timeout(_) => {
            checks::nothing_to_judge(shard, user, prepared, intended_ns, CallResult::Timeout)
        }
        AttemptOutcome::Unfinished(_) => none(CallResult::Unfinished),
        AttemptOutcome::Own(_) => none(CallResult::Own),
        AttemptOutcome::Suppressed(BlockCause::Muted) => {
            checks::forget(shard, user, prepared);
            CheckedResponse { result: CallResult::Muted, goes_on: true, failed: FailedChecks::NONE }
        }
        AttemptOutcome::Suppressed(_) => {
            shard.recorder.borrow_mut().error(exchange.outcome);
            checks::nothing_to_judge(shard, user, prepared, intended_ns, CallResult::Suppressed)
        }
    };
    let CheckedResponse { result: fate, goes_on, failed } = judged;
    if fate != CallResult::Ok || failed != FailedChecks::NONE || shard.trace.is_some() {
        report_call(shard, user, prepared, turn, &judged, (exchange, kept, bytes));
    }
    let ended = record(shard, user, prepared, turn, held, exchange, fate);
    CallEnd { goes_on: ended.goes_on && goes_on, ..ended }
}

/// Shows a call to whoever looks on, and keeps one that failed.
#[cold]
fn report_call(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &CallTiming,
    judged: &CheckedResponse,
    (exchange, kept, bytes): (&Exchange, &ResponseCapture, &[u8]),
) {
    if let Some(witness) = &shard.trace {
        witness.call((shard, user), prepared, (exchange, kept), judged, bytes);
    }
    let failed = judged.result != CallResult::Ok || judged.failed != FailedChecks::NONE;
    // Of what was never sent or cut there is nothing to show.
    if failed
        && !matches!(
            judged.result,
            CallResult::Unfinished | CallResult::Suppressed | CallResult::Muted
        )
    {
        exemplar::keep(shard, user, prepared, turn, (exchange, kept), (judged.failed, bytes));
    }
}

/// Counts a call; the exchange is that of its last attempt.
fn record(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &CallTiming,
    held: BlockedTime,
    exchange: &Exchange,
    fate: CallResult,
) -> CallEnd {
    let (CallTiming { intended, ready, picked_up, cause }, done) = (*turn, exchange.done);
    let unready_ns = ready.since(intended);
    let mut recorder = shard.recorder.borrow_mut();
    let sample = Sample {
        workload: user.workload,
        step: user.step(prepared.call.series),
        intended_ns: intended.since(shard.start),
        lag_ns: picked_up.since(ready) + held.own.prepared_ns,
        blocked_ns: unready_ns + held.blocked_ns,
        service_ns: done.since(exchange.dispatched),
        response_ns: done.since(intended),
        in_flight_ns: held.left.since(picked_up),
        stalled_ns: held.own.stalled_ns,
        outcome: exchange.outcome,
        fate,
    };
    if unready_ns > 0 {
        recorder.waited(sample.intended_ns, cause, unready_ns);
    }
    recorder.end_call(&sample, held.left);
    // A redirect that is not followed was an answer, too: the target is alive.
    let answered = matches!(
        exchange.outcome,
        AttemptOutcome::Responded(_) | AttemptOutcome::Failed(AttemptPhase::Redirect, _)
    );
    let broken_off = matches!(fate, CallResult::Own | CallResult::Unfinished);
    let is_wanted = matches!(fate, CallResult::Ok | CallResult::Muted);
    let expected = is_wanted || prepared.call.expects.is_empty();
    CallEnd { result: fate, done: held.left, responded: answered, goes_on: !broken_off && expected }
}

/// A call that is not sent at all, by policy: it keeps its place in the schedule, and is an error.
#[cold]
pub(super) fn never_sent(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    turn: &CallTiming,
    outcome: AttemptOutcome,
) -> CallEnd {
    let held = BlockedTime { blocked_ns: 0, left: turn.picked_up, own: ShardDelays::of(shard) };
    let exchange = unsent(outcome, turn.picked_up);
    conclude(shard, user, prepared, turn, held, (&exchange, &ResponseCapture::default()), &[])
}

/// The exchange of an attempt that was not made.
pub(super) fn unsent(outcome: AttemptOutcome, now: Time) -> Exchange {
    Exchange {
        outcome,
        dispatched: now,
        first_byte: Time::NEVER,
        done: now,
        connect: None,
        reuses: false,
        sent: false,
        bytes_sent: 0,
        bytes_received: 0,
    }
}

/// A call that cannot be made: counted as ours, with the name of what is missing; or as the
/// target's, when a value from an earlier response cannot be used.
pub(super) fn refuse(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    turn: &CallTiming,
    error: &RenderError,
) -> CallEnd {
    let series = &shard.plan.archetypes[user.archetype].series;
    let name = &series[usize::from(prepared.call.series)];
    let outcome = shard.template_error(Some(name), error);
    if let Some(witness) = &shard.trace {
        witness.fault((shard, user), Some(name), &error.to_string());
    }
    let held = BlockedTime { blocked_ns: 0, left: turn.picked_up, own: ShardDelays::of(shard) };
    let exchange = unsent(outcome, turn.picked_up);
    let fate = match outcome {
        AttemptOutcome::Failed(..) => {
            let intended_ns = turn.intended.since(shard.start);
            checks::nothing_to_judge(shard, user, prepared, intended_ns, CallResult::Failed).result
        }
        _ => CallResult::Own,
    };
    // Without the value its user wanted it goes no further.
    CallEnd { goes_on: false, ..record(shard, user, prepared, turn, held, &exchange, fate) }
}
