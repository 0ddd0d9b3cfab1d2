//! One call, from the moment a user turns to it until it is counted: the one visible stack.
//!
//! `user` walks its flow and calls this for each request step.
//! Invariant: a call that was begun is recorded exactly once, also when it is cut.

use super::checks::{self, Failed, Judged};
use super::prepared::PreparedCall;
use super::shard::Shard;
use super::user::User;
use super::{exemplar, hop};
use crate::clock::Time;
use crate::plan::template::RenderError;
use crate::stats::recorder::Attempt;
use crate::stats::{Exchange, Fate, Kind, Outcome, Phase, Sample};
use crate::wire::{Kept, Outgoing};

/// What the user needs to know to go on.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallEnd {
    /// How it ended.
    pub(super) fate: Fate,
    /// When.
    pub(super) done: Time,
    /// An answer came, whatever it said.
    pub(super) answered: bool,
    /// The iteration goes on.
    pub(super) goes_on: bool,
}

/// When a call was wanted, when it could be made, and when we turned to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// When the schedule wanted it.
    pub(super) intended: Time,
    /// When its user was free for it: later than intended only when a paced user still waited for
    /// the target. That wait is blocked time, not lateness of ours.
    pub(super) ready: Time,
    /// When the shard turned to it.
    pub(super) picked_up: Time,
}

/// Makes one call.
pub(super) async fn call(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    turn: &Turn,
) -> CallEnd {
    let Turn { intended, picked_up, .. } = *turn;
    let intended_ns = intended.since(shard.start);
    let step = user.step(prepared.call.series);
    shard.recorder.borrow_mut().begin_call(user.workload, step, intended_ns, picked_up);

    // Admit: the default client holds nothing back, so a call is dispatched when it is picked up.
    let mut dispatched = picked_up;

    // Render before anything goes out: a call that cannot be made is our fault, not the target's,
    // and must not open a connection.
    let mut buffer = shard.take_buffer(prepared);
    let mut scope = user.scope(shard, intended);
    let bytes = prepared.request.render(&mut scope, &mut buffer, &mut shard.scratch.borrow_mut());
    let mut bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return refuse(shard, user, prepared, turn, &error),
    };
    let service = prepared.call.service;
    if user.jar.is_some()
        && prepared.cookies
        && let Some(dressed) = hop::with_cookies(shard, user, service, bytes)
    {
        buffer = dressed;
        bytes = &buffer;
    }
    let way = user.way();
    let outgoing = Outgoing {
        endpoint: service,
        bytes,
        wanted: prepared.wanted,
        idempotent: prepared.idempotent,
        user: user.number,
        way: way.as_deref(),
        number: user.item,
        intended_ns,
    };

    // Send under deadline. The clock of the deadline starts at dispatch: lateness of ours must not
    // eat the target's time.
    user.patience.begin(dispatched.after(prepared.timeout_ns));
    let mut kept = Kept::default();
    let mut why = Attempt::First;
    let mut exchange = loop {
        shard.recorder.borrow_mut().begin_attempt(why);
        let line = &mut user.lines[outgoing.endpoint];
        let (mut exchange, stale) =
            shard.wire.exchange(line, &outgoing, dispatched, &user.patience, &mut kept).await;
        if kept.encoded {
            hop::decode(prepared, &mut exchange, &mut kept);
        }
        // Observe each attempt, also the one that found a stale connection.
        shard.recorder.borrow_mut().end_attempt(&exchange, outgoing.intended_ns, stale);
        if !stale {
            break exchange;
        }
        (why, dispatched) = (Attempt::StaleResend, exchange.done);
    };
    if kept.sets_cookie {
        hop::keep_cookies(shard, user, outgoing.endpoint, outgoing.bytes, &kept);
    }
    if let Outcome::Answered(status) = exchange.outcome
        && prepared.redirects > 0
        && hop::is_redirect(status)
    {
        exchange = hop::follow(shard, user, prepared, outgoing, exchange, &mut kept).await;
    }
    user.patience.end();

    // Outside any future that could be dropped half-way.
    let ended = conclude(shard, user, prepared, turn, dispatched, (&exchange, &kept), bytes);
    shard.give_buffer(buffer);
    ended
}

/// Judges a call by the exchange of its last attempt, and records it.
fn conclude(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    turn: &Turn,
    dispatched: Time,
    (exchange, kept): (&Exchange, &Kept),
    bytes: &[u8],
) -> CallEnd {
    let intended_ns = turn.intended.since(shard.start);
    let none = |fate| Judged { fate, goes_on: false, failed: Failed::NONE };
    let judged = match exchange.outcome {
        Outcome::Answered(status) => {
            checks::judge(shard, user, prepared, intended_ns, status, exchange, kept)
        }
        Outcome::Failed(_, kind) => {
            if kind == Kind::Forbidden {
                shard.forbid(None);
            }
            checks::nothing_to_judge(shard, user, prepared, intended_ns, Fate::Failed)
        }
        Outcome::Timeout(_) => {
            checks::nothing_to_judge(shard, user, prepared, intended_ns, Fate::Timeout)
        }
        Outcome::Unfinished(_) => none(Fate::Unfinished),
        Outcome::Own(_) => none(Fate::Own),
        Outcome::Suppressed(_) => {
            checks::nothing_to_judge(shard, user, prepared, intended_ns, Fate::Suppressed)
        }
    };
    let Judged { fate, goes_on, failed } = judged;
    if fate != Fate::Ok || failed != Failed::NONE || shard.witness.is_some() {
        look_at(shard, user, prepared, turn, &judged, (exchange, kept, bytes));
    }
    let ended = record(shard, user, prepared, turn, dispatched, exchange, fate);
    CallEnd { goes_on: ended.goes_on && goes_on, ..ended }
}

/// Shows a call to whoever looks on, and keeps one that failed.
#[cold]
fn look_at(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &Turn,
    judged: &Judged,
    (exchange, kept, bytes): (&Exchange, &Kept, &[u8]),
) {
    if let Some(witness) = &shard.witness {
        witness.call((shard, user), prepared, exchange, judged, bytes);
    }
    let failed = judged.fate != Fate::Ok || judged.failed != Failed::NONE;
    if failed && judged.fate != Fate::Unfinished {
        exemplar::keep(shard, user, prepared, turn, (exchange, kept), (judged.failed, bytes));
    }
}

/// Counts a call whose first attempt was made at `dispatched`; the exchange is that of its last.
fn record(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &Turn,
    dispatched: Time,
    exchange: &Exchange,
    fate: Fate,
) -> CallEnd {
    let (Turn { intended, ready, picked_up }, done) = (*turn, exchange.done);
    let sample = Sample {
        workload: user.workload,
        step: user.step(prepared.call.series),
        intended_ns: intended.since(shard.start),
        lag_ns: picked_up.since(ready),
        blocked_ns: ready.since(intended) + dispatched.since(picked_up),
        service_ns: done.since(exchange.dispatched),
        response_ns: done.since(intended),
        in_flight_ns: done.since(picked_up),
        outcome: exchange.outcome,
        fate,
    };
    shard.recorder.borrow_mut().end_call(&sample, done);
    // A redirect that is not followed was an answer, too: the target is alive.
    let answered =
        matches!(exchange.outcome, Outcome::Answered(_) | Outcome::Failed(Phase::Redirect, _));
    let broken_off = matches!(fate, Fate::Own | Fate::Unfinished);
    let expected = fate == Fate::Ok || prepared.call.expects.is_empty();
    CallEnd { fate, done, answered, goes_on: !broken_off && expected }
}

/// A call that cannot be made: counted as ours, with the name of what is missing.
fn refuse(
    shard: &Shard,
    user: &User,
    prepared: &PreparedCall,
    turn: &Turn,
    error: &RenderError,
) -> CallEnd {
    let fault = shard.own_fault(error);
    if let Some(witness) = &shard.witness {
        let series = &shard.plan.archetypes[user.archetype].series;
        let name = &series[usize::from(prepared.call.series)];
        witness.fault(Some(name), &error.to_string());
    }
    let exchange = Exchange {
        outcome: Outcome::Own(fault),
        dispatched: turn.picked_up,
        first_byte: Time::NEVER,
        done: turn.picked_up,
        opening: None,
        wired: false,
        sent: false,
        bytes_sent: 0,
        bytes_received: 0,
    };
    record(shard, user, prepared, turn, turn.picked_up, &exchange, Fate::Own)
}
