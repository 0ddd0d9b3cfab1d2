//! Calls and iterations that are kept one by one: for traces, logs and samples.
//!
//! The Recorder keeps them, deltas carry them, sinks read them. No figure of a report comes from
//! them.
//! Invariant: their number is bounded, and what is left out is counted.

use super::outcome::{AttemptOutcome, CallResult};
use super::sample::IterationEnd;
use super::trace_ids::IterationId;
use crate::clock::RunOffset;
use crate::ids::StepId;

/// The bound of records that a delta has after it was merged with later ones.
const MAX_MERGED: usize = 1 << 16;

/// Maximum number of attempts before the last one that a call keeps.
pub const MAX_EARLIER: usize = 32;

/// Which calls are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallSampling {
    /// All calls of iterations whose sampling key is below it are kept.
    pub below: u64,
    /// Maximum number of sampled calls that are kept per second over the whole run. If there are
    /// more, fewer iterations are sampled.
    pub most_per_second: u64,
}

/// Why a call is kept; several reasons may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptBecause {
    /// Its iteration is sampled.
    pub sampled: bool,
    /// It failed, and is one of the first that failed like this in the interval.
    pub failed: bool,
    /// It took longer than all other calls of its step in the interval of its shard.
    pub slowest: bool,
}

/// How long the phases of an attempt took, ns; 0 for one that did not occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptPhases {
    /// Name look-up.
    pub dns_ns: u64,
    /// TCP connect.
    pub connect_ns: u64,
    /// TLS handshake.
    pub tls_ns: u64,
    /// From the first action of the attempt to the first byte of the response.
    pub first_byte_ns: u64,
}

/// An attempt of a call before its last one, or beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAttempt {
    /// When its first action began.
    pub begun: RunOffset,
    /// From there to its end, ns.
    pub service_ns: u64,
    /// Its phases.
    pub phases: AttemptPhases,
    /// How it ended.
    pub outcome: AttemptOutcome,
}

/// A call that was kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CallRecord {
    /// Its iteration.
    pub iteration: IterationId,
    /// The key of its iteration, from which its ids and its sampling follow.
    pub key: u64,
    /// Its series.
    pub step: StepId,
    /// The number of its user.
    pub user: u64,
    /// Intended start.
    pub intended: RunOffset,
    /// How late the generator was, ns.
    pub lag_ns: u64,
    /// How long policies held it back, ns.
    pub blocked_ns: u64,
    /// From the first action of the last attempt to its end, ns.
    pub service_ns: u64,
    /// From the intended start to the end, ns.
    pub response_ns: u64,
    /// The phases of the last attempt.
    pub phases: AttemptPhases,
    /// Attempts that were made one after the other, without redirects; 0 if it was never sent.
    pub attempts: u32,
    /// The attempts before the last one, and those beside another, in the order in which they
    /// ended; at most [`MAX_EARLIER`].
    pub earlier: Vec<EarlierAttempt>,
    /// Bytes that the last attempt sent.
    pub bytes_sent: u64,
    /// Bytes that the last attempt received.
    pub bytes_received: u64,
    /// How the last attempt ended.
    pub outcome: AttemptOutcome,
    /// How the call ended.
    pub result: CallResult,
    /// Why it is kept.
    pub because: KeptBecause,
}

#[cfg(test)]
impl CallRecord {
    /// A call of one attempt that ended with this status, and was kept for no reason yet.
    pub(crate) fn made_up(item: u64, step: usize, response_ns: u64, status: u16) -> Self {
        Self {
            iteration: IterationId { item, ..IterationId::default() },
            key: item,
            step: StepId::new(step),
            user: item,
            intended: RunOffset::from_ns(item),
            lag_ns: 0,
            blocked_ns: 0,
            service_ns: response_ns,
            response_ns,
            phases: AttemptPhases::default(),
            attempts: 1,
            earlier: Vec::new(),
            bytes_sent: 1,
            bytes_received: 1,
            outcome: AttemptOutcome::Responded(status),
            result: if status < 400 { CallResult::Ok } else { CallResult::Failed },
            because: KeptBecause::default(),
        }
    }
}

/// A sampled iteration that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct IterationRecord {
    /// The iteration.
    pub iteration: IterationId,
    /// Its key, from which its ids and its sampling follow.
    pub key: u64,
    /// The number of its user.
    pub user: u64,
    /// Intended start.
    pub intended: RunOffset,
    /// When its last call was done.
    pub done: RunOffset,
    /// How it ended.
    pub end: IterationEnd,
}

/// What was kept in an interval of a shard.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptCalls {
    /// Calls, in the order in which they ended.
    pub calls: Vec<CallRecord>,
    /// Iterations, in the order in which they ended.
    pub iterations: Vec<IterationRecord>,
    /// Calls of sampled iterations that were left out, since there were too many.
    pub sampled_left_out: u64,
    /// Failed calls that were left out, since many failed like them.
    pub failed_left_out: u64,
}

impl KeptCalls {
    /// Whether nothing was kept or left out.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what the same shard kept later.
    pub(super) fn merge(&mut self, later: Self) {
        self.calls.extend(later.calls);
        self.iterations.extend(later.iterations);
        self.sampled_left_out += later.sampled_left_out;
        self.failed_left_out += later.failed_left_out;
        for cut in self.calls.drain(self.calls.len().min(MAX_MERGED)..) {
            self.sampled_left_out += u64::from(cut.because.sampled);
            self.failed_left_out += u64::from(cut.because.failed && !cut.because.sampled);
        }
        self.iterations.truncate(MAX_MERGED);
    }
}
