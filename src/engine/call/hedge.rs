//! A second attempt beside a slow first one; the first response is the call's.
//!
//! `attempt` calls it for calls that may be hedged. Source: Dean and Barroso, *The Tail at Scale*
//! (2013): a few per cent more requests cut the tail to that of the better of two.
//! Invariant: the loser is counted as a cancelled attempt, with what it put on the wire; its
//! connection is closed, since the rest of its response is not read.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::attempts::CallAttempts;
use super::call_record;
use super::prepared::PreparedCall;
use crate::clock::{self, RunOffset};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::ServiceId;
use crate::stats::recorder::AttemptReason;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange};
use crate::wire::{ConnectionSlot, ExchangeContext, Resend, ResponseCapture, Wire};

/// How an exchange ended, and whether its request may be sent again.
type ExchangeResult = (Exchange, Resend);

/// How the two attempts ended.
struct RaceResult {
    /// The end of the attempt that is the call's.
    ended: ExchangeResult,
    /// The end of the other one; `None` if it had not ended.
    other: Option<ExchangeResult>,
    /// Whether the second attempt is the call's.
    by_second: bool,
}

/// Makes an attempt, and another beside it if no response comes within `after_ns` and the budget
/// allows it. The exchange of the attempt that is the call's is the last one of `attempts`; returns
/// whether its request may be sent again.
pub(crate) async fn race(
    attempts: &mut CallAttempts<'_>,
    user: &mut User,
    after_ns: u64,
) -> Resend {
    let (shard, outgoing, at) = (attempts.context.shard, attempts.outgoing, attempts.at);
    let what = (shard, attempts.context.prepared);
    let (service, has_link) = (outgoing.service, user.has_emulated_link());
    let mut slot = std::mem::replace(&mut user.slots[service], shard.wire.new_slot());
    let mut capture = ResponseCapture::default();
    let (mut first, mut second) = (Exchange::begun(at), Exchange::begun(at));
    let deadline = &user.deadline;
    let outcome = {
        let context = ExchangeContext {
            slot: &mut slot,
            outgoing: &outgoing,
            deadline,
            capture: &mut attempts.capture,
            exchange: &mut first,
        };
        let mut one = pin!(exchange(&shard.wire, context));
        let early = deadline.wait_until(at.after(after_ns), |cx| one.as_mut().poll(cx)).await;
        let beside = if early.is_ok() { None } else { second_slot(what, service, user) };
        match (early, beside) {
            (Ok(ended), _) => Err(ended),
            (Err(_), None) => Err(one.await),
            (Err(_), Some(mut beside)) => {
                shard.recorder.borrow_mut().begin_attempt(AttemptReason::Hedge);
                second = Exchange::begun(clock::now());
                let context = ExchangeContext {
                    slot: &mut beside,
                    outgoing: &outgoing,
                    deadline,
                    capture: &mut capture,
                    exchange: &mut second,
                };
                let result = either(one.as_mut(), pin!(exchange(&shard.wire, context))).await;
                Ok((result, beside))
            }
        }
    };
    let (result, mut beside) = match outcome {
        Ok(result) => result,
        Err((ended, resend)) => {
            user.slots[service] = slot;
            attempts.last = ended;
            return resend;
        }
    };
    if result.by_second {
        std::mem::swap(&mut slot, &mut beside);
        std::mem::swap(&mut attempts.capture, &mut capture);
    }
    let cancelled = if result.by_second { first } else { second };
    let other = end_other(shard, outgoing.intended, result.other, cancelled);
    call_record::note_earlier(shard, user, &other);
    beside.close();
    if let Some(pool) = shard.resilience.pool_of(attempts.context.prepared).filter(|_| !has_link) {
        pool.give_back(service, beside, &shard.wire, false, clock::now());
    }
    user.slots[service] = slot;
    attempts.last = result.ended.0;
    result.ended.1
}

/// Measures the attempt that is not the call's: it ended by itself, or is cancelled.
fn end_other(
    shard: &Shard,
    intended: RunOffset,
    ended: Option<ExchangeResult>,
    dropped: Exchange,
) -> Exchange {
    let mut recorder = shard.recorder.borrow_mut();
    if let Some((exchange, resend)) = ended {
        recorder.end_attempt(&exchange, intended, resend == Resend::Stale);
        return exchange;
    }
    let cancelled = cancelled_exchange(dropped);
    recorder.cancel_attempt(&cancelled);
    cancelled
}

/// Runs one of the two exchanges.
async fn exchange(wire: &Wire, mut context: ExchangeContext<'_>) -> ExchangeResult {
    let resend = wire.exchange(&mut context).await;
    (*context.exchange, resend)
}

/// The first of two attempts that gets a response. If both fail, the later end is the call's: the
/// user waits until then.
async fn either(
    mut one: Pin<&mut impl Future<Output = ExchangeResult>>,
    mut two: Pin<&mut impl Future<Output = ExchangeResult>>,
) -> RaceResult {
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        // An attempt that fails has not lost yet: the other may fail, too.
        if first.is_none()
            && let Poll::Ready(ended) = one.as_mut().poll(cx)
        {
            first = Some(ended);
        }
        if second.is_none()
            && let Poll::Ready(ended) = two.as_mut().poll(cx)
        {
            second = Some(ended);
        }
        let result = match (first, second) {
            (Some(ended), other) if is_response(&ended) => {
                RaceResult { ended, other, by_second: false }
            }
            (other, Some(ended)) if is_response(&ended) => {
                RaceResult { ended, other, by_second: true }
            }
            // Both failed: the call ends with the one that failed last.
            (Some(one), Some(two)) => {
                let by_second = two.0.done > one.0.done;
                let (ended, other) = if by_second { (two, one) } else { (one, two) };
                RaceResult { ended, other: Some(other), by_second }
            }
            _ => return Poll::Pending,
        };
        Poll::Ready(result)
    })
    .await
}

fn is_response(ended: &ExchangeResult) -> bool {
    matches!(ended.0.outcome, AttemptOutcome::Responded(_))
}

/// A connection slot for a second attempt. `None` if the budget does not allow it, the pool has no
/// free slot, or a rate limit would make it wait.
fn second_slot(
    (shard, prepared): (&Shard, &PreparedCall),
    service: ServiceId,
    user: &User,
) -> Option<ConnectionSlot> {
    let (resilience, wire, now) = (&shard.resilience, &shard.wire, clock::now());
    if !resilience.may_hedge(shard) {
        return None;
    }
    let pool = resilience.pool_of(prepared);
    let pool = pool.filter(|_| !user.has_emulated_link());
    let slot = match pool {
        None => Some(wire.new_slot()),
        Some(pool) => pool.lease(service, wire, now),
    };
    // The limits are asked last: a reservation that is not used is lost.
    let is_allowed = slot.is_some() && resilience.try_limits(shard, user, prepared, now);
    if is_allowed {
        return slot;
    }
    if let (Some(pool), Some(slot)) = (pool, slot) {
        pool.give_back(service, slot, wire, false, now);
    }
    resilience.refund_hedge();
    None
}

/// The exchange of an attempt that was cancelled, from what it was when it was dropped.
fn cancelled_exchange(dropped: Exchange) -> Exchange {
    Exchange {
        outcome: AttemptOutcome::Unfinished(AttemptPhase::FirstByte),
        done: clock::now(),
        reuses: dropped.connect.is_none() && dropped.sent,
        ..dropped
    }
}
