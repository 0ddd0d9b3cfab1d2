//! What one exchange and one call measured.
//!
//! `wire` fills an Exchange, `engine::attempt` makes the Sample, the Recorder counts it.
//! Invariant: neither ever leaves its shard.

use std::num::NonZero;

use super::outcome::{AttemptOutcome, CallResult};
use crate::clock::Time;

/// How many workloads, steps and checks a recorder has to tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesLayout {
    /// Workloads of the plan.
    pub workloads: usize,
    /// Checks of each series; its length is the number of series.
    pub checks: Vec<usize>,
    /// Number of groups.
    pub groups: usize,
    /// Number of pools.
    pub pools: usize,
    /// What is due before this, ns after the run's start, is warm-up.
    pub warmup_ns: u64,
    /// By workload: what is due from then on, ns after the run's start, is drain. A workload that
    /// is not named here, or that only a count ends, has none.
    pub load_ends_ns: Vec<u64>,
}

/// One attempt on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The first act outside: DNS query, connect, or write.
    pub dispatched: Time,
    /// The first byte of the answer; `NEVER` without one.
    pub first_byte: Time,
    /// Its end: the last byte of the answer, or the moment it failed.
    pub done: Time,
    /// The times of a connection opened for it.
    pub connect: Option<ConnectTimings>,
    /// Whether it went over a connection that had carried one before.
    pub reuses: bool,
    /// Whether the last byte of the request was handed to the kernel.
    pub sent: bool,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
}

/// The times it took to open a connection, ns; `None` where there was no such phase. Never zero: an
/// exchange is in every user's task, and so takes half the room.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectTimings {
    /// Looking up the name.
    pub dns_ns: Option<NonZero<u64>>,
    /// TCP connect, up to success.
    pub connect_ns: Option<NonZero<u64>>,
    /// TLS handshake, up to success.
    pub tls_ns: Option<NonZero<u64>>,
    /// All its phases succeeded.
    pub open: bool,
}

impl ConnectTimings {
    /// A phase took so long, ns.
    pub fn took(ns: u64) -> Option<NonZero<u64>> {
        NonZero::new(ns.max(1))
    }
}

/// One call, complete.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Its workload.
    pub workload: usize,
    /// Its series.
    pub step: usize,
    /// When the schedule wanted it, ns after the run's start.
    pub intended_ns: u64,
    /// Picked up − intended.
    pub lag_ns: u64,
    /// Dispatched − picked up.
    pub blocked_ns: u64,
    /// Done − dispatched, of the last attempt.
    pub service_ns: u64,
    /// Done − intended.
    pub response_ns: u64,
    /// Done − picked up: what the in-flight gauge saw.
    pub in_flight_ns: u64,
    /// How long the shard's event loop had stood still when the call was picked up, ns, since the
    /// run's start: what [`Recorder::begin_call`](super::recorder::Recorder::begin_call) gave.
    pub stalled_ns: u64,
    /// How its last attempt ended.
    pub outcome: AttemptOutcome,
    /// How it ended.
    pub fate: CallResult,
}

/// How an iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterationEnd {
    /// Gone through to the end.
    Completed,
    /// Ended by a failed `expect` or our own fault.
    Early,
    /// Cut at the hard end.
    Interrupted,
}
