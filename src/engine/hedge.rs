//! A second attempt beside a slow first one: whichever is answered first is the answer.
//!
//! `attempt` comes here for calls that may be hedged. Source: Dean and Barroso, *The Tail at Scale*
//! (2013): a few per cent more requests cut the tail to that of the better of two.
//! Invariant: the loser is counted as a cancelled attempt, with what it put on the wire; its
//! connection is closed, for nobody will read the rest of its answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::attempt::CallAttempts;
use super::prepared::PreparedCall;
use super::shard::Shard;
use super::user::User;
use crate::clock::{self, Time};
use crate::stats::recorder::AttemptReason;
use crate::stats::sample::ConnectTimings;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange};
use crate::wire::{ConnectionSlot, Resend, ResponseCapture};

/// How an exchange ended, and whether its request may be sent again.
type ExchangeResult = (Exchange, Resend);

/// How a race ended.
struct RaceResult {
    /// The end that is the call's.
    ended: ExchangeResult,
    /// How the other one ended, if it had.
    other: Option<ExchangeResult>,
    /// The second one won.
    by_second: bool,
}

/// Makes an attempt, and another beside it when it is not answered within `after_ns` and the budget
/// pays for it; how the one ended that is the call's.
pub(super) async fn race(
    attempts: &mut CallAttempts<'_>,
    user: &mut User,
    after_ns: u64,
) -> ExchangeResult {
    let (shard, outgoing, at) = (attempts.shard, attempts.outgoing, attempts.at);
    let what = (shard, attempts.prepared);
    let (service, afar) = (outgoing.endpoint, user.has_emulated_link());
    let mut line = std::mem::replace(&mut user.slots[service], shard.wire.slot());
    let mut kept = ResponseCapture::default();
    let patience = &user.deadline;
    let raced = {
        let kept_first = &mut attempts.capture;
        let mut one = pin!(shard.wire.exchange(&mut line, &outgoing, at, patience, kept_first));
        let early = patience.wait_until(at.after(after_ns), |cx| one.as_mut().poll(cx)).await;
        let beside = if early.is_ok() { None } else { second_line(what, user) };
        match (early, beside) {
            (Ok(ended), _) => Err(ended),
            (Err(_), None) => Err(one.await),
            (Err(_), Some(mut beside)) => {
                shard.recorder.borrow_mut().begin_attempt(AttemptReason::Hedge);
                let now = clock::now();
                let won = {
                    let two = shard.wire.exchange(&mut beside, &outgoing, now, patience, &mut kept);
                    either(one.as_mut(), pin!(two)).await
                };
                Ok((won, beside, now))
            }
        }
    };
    let (won, mut beside, hedged_at) = match raced {
        Ok(won) => won,
        Err(ended) => {
            user.slots[service] = line;
            return ended;
        }
    };
    if won.by_second {
        std::mem::swap(&mut line, &mut beside);
        std::mem::swap(&mut attempts.capture, &mut kept);
    }
    let mut recorder = shard.recorder.borrow_mut();
    match won.other {
        Some((exchange, resend)) => {
            let stale = resend == Resend::Stale;
            recorder.end_attempt(&exchange, outgoing.intended_ns, stale);
        }
        None => {
            let begun = if won.by_second { at } else { hedged_at };
            recorder.cancel_attempt(&given_up(&kept, begun));
        }
    }
    drop(recorder);
    beside.close();
    if let Some(pool) = shard.resilience.pool_of(attempts.prepared).filter(|_| !afar) {
        pool.give_back(service, beside, &shard.wire, false, clock::now());
    }
    user.slots[service] = line;
    won.ended
}

/// The first of two that is answered; when neither is, the later end is the call's: until then its
/// user waits.
async fn either(
    mut one: Pin<&mut impl Future<Output = ExchangeResult>>,
    mut two: Pin<&mut impl Future<Output = ExchangeResult>>,
) -> RaceResult {
    let (mut first, mut second) = (None, None);
    poll_fn(|cx| {
        // Who fails has not lost yet: the other may fail, too.
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
        let won = match (first, second) {
            (Some(ended), other) if is_answer(&ended) => {
                RaceResult { ended, other, by_second: false }
            }
            (other, Some(ended)) if is_answer(&ended) => {
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
        Poll::Ready(won)
    })
    .await
}

fn is_answer(ended: &ExchangeResult) -> bool {
    matches!(ended.0.outcome, AttemptOutcome::Responded(_))
}

/// A line for a second attempt, if the budget pays for it, one is free, and each limit has a turn
/// for it at once.
fn second_line((shard, prepared): (&Shard, &PreparedCall), user: &User) -> Option<ConnectionSlot> {
    let (caution, wire, now) = (&shard.resilience, &shard.wire, clock::now());
    if !caution.may_hedge(shard) {
        return None;
    }
    let (service, pool) = (prepared.call.service, caution.pool_of(prepared));
    let pool = pool.filter(|_| !user.has_emulated_link());
    let line = match pool {
        None => Some(wire.slot()),
        Some(pool) => pool.lease(service, wire, now),
    };
    // A turn is asked for last: one that is not used is lost.
    let has_turn = line.is_some() && caution.try_limits(shard, user, prepared, now);
    if has_turn {
        return line;
    }
    if let (Some(pool), Some(line)) = (pool, line) {
        pool.give_back(service, line, wire, false, now);
    }
    caution.refund_hedge();
    None
}

/// What an attempt that was given up has come to.
fn given_up(kept: &ResponseCapture, begun: Time) -> Exchange {
    let opened = |open| ConnectTimings { open, ..ConnectTimings::default() };
    Exchange {
        outcome: AttemptOutcome::Unfinished(AttemptPhase::FirstByte),
        dispatched: begun,
        first_byte: Time::NEVER,
        done: clock::now(),
        connect: kept.progress.connecting.map(opened),
        reuses: kept.progress.connecting.is_none() && kept.progress.sent,
        sent: kept.progress.sent,
        bytes_sent: kept.progress.bytes_sent,
        bytes_received: kept.progress.bytes_received,
    }
}
