//! The measurements of one exchange and one call.
//!
//! `wire` fills an Exchange, `engine::call` builds the Sample, the Recorder counts it.
//! Invariant: neither ever leaves its shard.

use std::collections::BTreeMap;
use std::num::NonZero;

use super::outcome::{AttemptOutcome, AttemptPhase, CallResult};
use crate::clock::{RunOffset, Time};
use crate::ids::{ServiceId, StepId, WorkloadId};

/// The dimensions of a recorder: how many workloads, series, checks, groups and pools it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesLayout {
    /// Workloads of the plan.
    pub workloads: usize,
    /// Number of checks by series; its length is the number of series.
    pub checks: Vec<usize>,
    /// Number of groups.
    pub groups: usize,
    /// Number of pools.
    pub pools: usize,
    /// Number of series by backend.
    pub backends: usize,
    /// The place of a step's first backend among them, by step and service.
    pub backend_places: BTreeMap<(StepId, ServiceId), usize>,
    /// End of the warm-up.
    pub warmup: RunOffset,
    /// By workload: end of its load; later calls are drain. A workload that is missing here, or
    /// that only a count ends, has none.
    pub load_ends: Vec<RunOffset>,
}

/// The place of a backend among those of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendNumber(NonZero<u16>);

impl BackendNumber {
    /// The backend at a place.
    pub fn new(place: usize) -> Self {
        let number = u16::try_from(place + 1).unwrap_or(u16::MAX);
        Self(NonZero::new(number).unwrap_or(NonZero::<u16>::MIN))
    }

    /// Its place.
    pub fn place(self) -> usize {
        usize::from(self.0.get()) - 1
    }
}

/// One attempt on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// How the exchange ended.
    pub outcome: AttemptOutcome,
    /// When the first external action of the exchange began: DNS query, connect, or write.
    pub dispatched: Time,
    /// When the first byte of the response arrived; `NEVER` if there is none.
    pub first_byte: Time,
    /// When the last byte of the response arrived, or the attempt failed; `NEVER` before that.
    pub done: Time,
    /// Timings of a connection opened for it; `None` if it used an open one.
    pub connect: Option<ConnectTimings>,
    /// Whether the connection had carried an earlier exchange.
    pub reuses: bool,
    /// Whether the last byte of the request was handed to the kernel.
    pub sent: bool,
    /// Bytes handed to the kernel.
    pub bytes_sent: u64,
    /// Bytes read.
    pub bytes_received: u64,
    /// The backend that it went to; `None` if its service has a single address.
    pub backend: Option<BackendNumber>,
}

impl Exchange {
    /// An exchange that begins at `dispatched`, as it is before anything has happened; `wire` fills
    /// it in as it goes, so it is right also if it is dropped half-way.
    pub const fn begun(dispatched: Time) -> Self {
        Self {
            outcome: AttemptOutcome::Unfinished(AttemptPhase::Connect),
            dispatched,
            first_byte: Time::NEVER,
            done: Time::NEVER,
            connect: None,
            reuses: false,
            sent: false,
            bytes_sent: 0,
            bytes_received: 0,
            backend: None,
        }
    }
}

/// How long it took to open a connection, ns; `None` for a phase that did not occur. Never zero:
/// the niche halves its size, and an exchange is part of every user's task.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectTimings {
    /// Name look-up.
    pub dns_ns: Option<NonZero<u64>>,
    /// TCP connect, up to success.
    pub connect_ns: Option<NonZero<u64>>,
    /// TLS handshake, up to success.
    pub tls_ns: Option<NonZero<u64>>,
    /// Whether all phases succeeded.
    pub open: bool,
}

impl ConnectTimings {
    /// The duration of all phases, ns.
    pub fn total_ns(&self) -> u64 {
        [self.dns_ns, self.connect_ns, self.tls_ns].into_iter().flatten().map(NonZero::get).sum()
    }

    /// The duration of a phase, ns, at least one.
    pub fn took(ns: u64) -> Option<NonZero<u64>> {
        NonZero::new(ns.max(1))
    }
}

/// One completed call.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Workload of the sample.
    pub workload: WorkloadId,
    /// Series of the sample.
    pub step: StepId,
    /// Intended start.
    pub intended: RunOffset,
    /// Picked up − intended.
    pub lag_ns: u64,
    /// Dispatched − picked up.
    pub blocked_ns: u64,
    /// Service time of the last attempt: from dispatch to its end.
    pub service_ns: u64,
    /// Done − intended.
    pub response_ns: u64,
    /// Done − picked up: its time in the in-flight gauge.
    pub in_flight_ns: u64,
    /// How long the shard's event loop had stalled when the call was picked up, ns, since the run's
    /// start: the result of [`Recorder::begin_call`](super::recorder::Recorder::begin_call).
    pub stalled_ns: u64,
    /// How the last attempt of the call ended.
    pub outcome: AttemptOutcome,
    /// How the call ended.
    pub result: CallResult,
    /// The service and the backend that its last attempt went to; `None` if the service has a
    /// single address, or nothing was sent.
    pub backend: Option<(ServiceId, BackendNumber)>,
}

/// How an iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterationEnd {
    /// Reached the end of the flow.
    Completed,
    /// Ended by a failed `expect` or an error of the generator.
    Early,
    /// Cancelled at the hard end.
    Interrupted,
}
