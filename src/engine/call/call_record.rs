//! Calls and iterations that are kept one by one.
//!
//! `conclude` calls it for each call and `iteration_summary` for each iteration, if the run keeps
//! any.
//! Invariant: a call is described only if the recorder keeps it.

use std::num::NonZero;

use super::context::CallContext;
use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::stats::call_record::{AttemptPhases, KeptBecause};
use crate::stats::sample::IterationEnd;
use crate::stats::{CallRecord, Exchange, IterationId, IterationRecord, Sample, TraceIds};

/// The iteration that a user makes.
#[inline]
pub(crate) fn iteration_of(user: &User) -> IterationId {
    IterationId { workload: user.workload, item: user.item, iteration: user.iteration }
}

/// Keeps a call if it is of use; `exchange` is that of its last attempt, and `attempts` their
/// number.
pub(crate) fn keep(
    call: CallContext<'_>,
    user: &User,
    (sample, exchange, attempts): (&Sample, &Exchange, u32),
    ids: &TraceIds,
) {
    let iteration = iteration_of(user);
    let key = ids.sampling_key(iteration);
    let mut recorder = call.shard.recorder.borrow_mut();
    let end = (sample.result, sample.response_ns);
    recorder.keep_call((key, sample.step), end, || CallRecord {
        iteration,
        key,
        step: sample.step,
        user: user.number,
        intended: sample.intended,
        lag_ns: sample.lag_ns,
        blocked_ns: sample.blocked_ns,
        service_ns: sample.service_ns,
        response_ns: sample.response_ns,
        phases: phases(exchange),
        attempts,
        bytes_sent: exchange.bytes_sent,
        bytes_received: exchange.bytes_received,
        outcome: sample.outcome,
        result: sample.result,
        because: KeptBecause::default(),
    });
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

/// Keeps an iteration, which was due and done at these times, if it is sampled.
pub(crate) fn keep_iteration(
    shard: &Shard,
    user: &User,
    (due, done): (Time, Time),
    end: IterationEnd,
) {
    let Some(ids) = &shard.trace_ids else { return };
    let iteration = iteration_of(user);
    shard.recorder.borrow_mut().keep_iteration(IterationRecord {
        iteration,
        key: ids.sampling_key(iteration),
        user: user.number,
        intended: RunOffset::of(due, shard.start),
        done: RunOffset::of(done, shard.start),
        end,
    });
}
