//! Calls and iterations that are kept one by one.
//!
//! `conclude` calls it for each call and `iteration_summary` for each iteration that the recorder
//! wants; `attempt` and `hedge` note the attempts before the last one.
//! Invariant: a call is described only if the recorder keeps it.

use std::num::NonZero;

use super::context::CallContext;
use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::stats::call_record::{AttemptPhases, EarlierAttempt, KeptBecause, MAX_EARLIER};
use crate::stats::sample::IterationEnd;
use crate::stats::{CallRecord, Exchange, IterationId, IterationRecord, Sample};

fn iteration_of(user: &User) -> IterationId {
    IterationId { workload: user.workload, item: user.item, iteration: user.iteration }
}

/// Notes an attempt after which another is made, or beside which another was.
#[cold]
pub(crate) fn note_earlier(shard: &Shard, user: &mut User, exchange: &Exchange) {
    if shard.plan.call_records.is_none() {
        return;
    }
    let earlier = &mut user.extras().earlier_attempts;
    if earlier.len() < MAX_EARLIER {
        earlier.push(EarlierAttempt {
            begun: RunOffset::of(exchange.dispatched, shard.start),
            service_ns: exchange.done.since(exchange.dispatched),
            phases: phases(exchange),
            outcome: exchange.outcome,
        });
    }
}

/// Describes a call; `exchange` is that of its last attempt, and `attempts` their number.
#[cold]
pub(crate) fn describe(
    call: CallContext<'_>,
    user: &User,
    (sample, exchange, attempts): (&Sample, &Exchange, u32),
    earlier: Vec<EarlierAttempt>,
) -> CallRecord {
    CallRecord {
        iteration: iteration_of(user),
        key: user.key,
        step: call.step(user),
        user: user.number,
        intended: sample.intended,
        lag_ns: sample.lag_ns,
        blocked_ns: sample.blocked_ns,
        service_ns: sample.service_ns,
        response_ns: sample.response_ns,
        phases: phases(exchange),
        attempts,
        earlier,
        bytes_sent: exchange.bytes_sent,
        bytes_received: exchange.bytes_received,
        outcome: sample.outcome,
        result: sample.result,
        because: KeptBecause::default(),
    }
}

fn phases(exchange: &Exchange) -> AttemptPhases {
    let ns = |phase: Option<NonZero<u64>>| phase.map_or(0, NonZero::get);
    let connect = exchange.connect.unwrap_or_default();
    let has_begun = exchange.first_byte != Time::NEVER;
    AttemptPhases {
        dns_ns: ns(connect.dns_ns),
        connect_ns: ns(connect.connect_ns),
        tls_ns: ns(connect.tls_ns),
        first_byte_ns: if has_begun { exchange.first_byte.since(exchange.dispatched) } else { 0 },
    }
}

/// Describes an iteration, which was due and done at these times.
#[cold]
pub(crate) fn describe_iteration(
    user: &User,
    (intended, done): (RunOffset, RunOffset),
    end: IterationEnd,
) -> IterationRecord {
    let (iteration, key) = (iteration_of(user), user.key);
    IterationRecord { iteration, key, user: user.number, intended, done, end }
}
