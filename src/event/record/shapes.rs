//! The fields of all types in a record, each in one place.
//!
//! Invariant: a change of a type here, or of the order of its fields, changes `error::VERSION`.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::packed::{Packed, listed, packed};
use crate::clock::RunOffset;
use crate::event::{GeneratorInfo, Interrupt, RunInfo, StopCause};
use crate::ids::{ArchetypeId, ServiceId, StepId, WorkloadId};
use crate::plan::manifest::{ClientInfo, WorkloadInfo};
use crate::plan::policy::BreakerName;
use crate::plan::{RunManifest, Series, SourceFile};
use crate::seed::Seed;
use crate::stats::delta::{Halt, LoadWindow, StepWindow};
use crate::stats::exemplar::{Exemplar, FailureMode, FirstFailures};
use crate::stats::outcome::ERRORS;
use crate::stats::{
    AddressUse, Addresses, Attempts, BlockCause, BreakerUse, Calls, ChangeKind, CircuitState,
    Connections, Delayed, Delta, Departures, GaugeSample, Gauges, Histogram, Iterations, Latency,
    Monitor, MonitorOwner, MonitorUnit, OwnDelay, PoolUse, ResilienceSnapshot, StateChange,
    StateChanges, Window,
};
use crate::verdict::{Threshold, TrustContext};

listed! {
    ChangeKind: Breaker, Pool, Connect, Degradation, Healing, Memory, Admission, Control;
    CircuitState: Closed, Open, HalfOpen;
    BlockCause: Breaker, Pool, Limit, Retry, Connect, Degradation, Admission, Muted, Pace, Parallel;
    MonitorUnit: Percent, Bytes, Count, Micros, Plain;
    MonitorOwner: Generator, Target;
    Interrupt: Int, Term, Control, Hup, Quit;
}

packed! {
    Iterations {
        due, started, completed, ended_early, interrupted, dropped, suppressed, not_reached,
    }
    Calls {
        made, ok, failed, timeout, suppressed, muted, cancelled, generator_errors, unfinished
    }
    Departures { start_failed, out_of_rows }
    Attempts {
        started, sent, first, retries, hedges, redirects, stale_resends, cancelled, denied,
    }
    AddressUse { connected, failed, slower }
    Addresses { known, others }
    Connections { opened, reused, failed, bytes_sent, bytes_received }
    Gauges {
        assigned, running_iterations, running_calls, users, users_peak, connections, cpu_ns,
        run_queue_ns, run_queue_waits, stalled_ns, longest_stall_ns, elapsed_ns, last_done_ns,
        in_flight_integral, call_time, running_call_time,
    }
    Latency { responses, at_least, beyond }
    LoadWindow {
        due, on_time, started, lost, suppressed, lost_to_us, target_user_ns, present_user_ns,
        late_user_ns, lag, start_lag, blocked, stall, iteration, iteration_delayed,
    }
    StepWindow { calls, in_drain, response, service, unwanted, own_delay, checks, statuses }
    Delayed { measured, less }
    OwnDelay { response, service }
    Window { second, measured, workloads, steps, groups, begun, phases, waits }
    Exemplar {
        step, failing, intended, user, curl, cut, status, error, error_text, failed, head, body,
    }
    FirstFailures { counts, first }
    StateChange { at, kind, subject, change, cause }
    StateChanges { list, lost }
    PoolUse {
        size, in_use, idle, waiting, leases, gave_up, failed, waits, busy, room,
    }
    BreakerUse { state, opened, refused }
    ResilienceSnapshot { timeouts_ns, breakers }
    GaugeSample { second, target, users, running, connections, monitors }
    Monitor { name, unit, owner }
    GeneratorInfo { tier, shards, reason, remarks }
    RunInfo { plan, started_at, generator, command, machine, monitors }
    RunManifest {
        scenario, description, run_id, seed, services, archetypes, workloads, steps, groups, checks,
        thresholds, warmup, grace, kind, client, sources,
    }
    WorkloadInfo { name, open, start, end, archetypes, max_users }
    Series { name, archetype, workload, tags }
    ClientInfo { kind, parts, pools, breakers, endpoints, timeouts_from, degrades }
    SourceFile { name, text }
    TrustContext { scheduled, workload_of, has_unpaced, unthrottled }
    Delta {
        shard, workloads, departures, attempts, connections, addresses, statuses, errors, unset,
        ran_out, failed_expressions, lines, lines_lost, halt, failures, changes, pools, resilience,
        windows, gauges, last,
    }
}

/// Packs a numbered id as its number.
macro_rules! numbered {
    ($($type:ty),+) => {$(
        impl Packed for $type {
            fn pack(&self, out: &mut Vec<u8>) {
                self.index().pack(out);
            }

            fn unpack(from: &mut &[u8]) -> Option<Self> {
                usize::unpack(from).map(Self::new)
            }
        }
    )+};
}

numbered!(ServiceId, ArchetypeId, WorkloadId, StepId);

/// An offset is its ns.
impl Packed for RunOffset {
    fn pack(&self, out: &mut Vec<u8>) {
        self.ns().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        u64::unpack(from).map(Self::from_ns)
    }
}

impl Packed for Histogram {
    fn pack(&self, out: &mut Vec<u8>) {
        let buckets: Vec<(u64, u64)> = self.buckets().collect();
        (self.sum_us(), self.min_us()).pack(out);
        (self.max_us(), buckets).pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let (sum_us, min_us) = Packed::unpack(from)?;
        let (max_us, buckets): (u64, Vec<(u64, u64)>) = Packed::unpack(from)?;
        // No real run counts that far, and sums stay within range.
        let is_plausible =
            buckets.len() < 1 << 16 && buckets.iter().all(|(_, count)| *count < 1 << 30);
        is_plausible.then(|| Self::restored(&buckets, sum_us, min_us, max_us))
    }
}

impl Packed for SocketAddr {
    fn pack(&self, out: &mut Vec<u8>) {
        self.to_string().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        String::unpack(from)?.parse().ok()
    }
}

impl Packed for Seed {
    fn pack(&self, out: &mut Vec<u8>) {
        self.value().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        Self::new(u64::unpack(from)?)
    }
}

impl Packed for SystemTime {
    fn pack(&self, out: &mut Vec<u8>) {
        self.duration_since(UNIX_EPOCH).unwrap_or_default().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        UNIX_EPOCH.checked_add(Duration::unpack(from)?)
    }
}

impl Packed for Threshold {
    fn pack(&self, out: &mut Vec<u8>) {
        self.rule.pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        Self::parse(&String::unpack(from)?).ok()
    }
}

impl Packed for BreakerName {
    fn pack(&self, out: &mut Vec<u8>) {
        (self.name.clone(), self.is_configured).pack(out);
        self.level.to_owned().pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        let (name, is_configured) = Packed::unpack(from)?;
        let level = String::unpack(from)?;
        let level = ["endpoint", "service", "system"].into_iter().find(|one| *one == level)?;
        Some(Self { name, level, is_configured })
    }
}

impl Packed for FailureMode {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Error(index) => (0u8, *index),
            Self::Status(status) => (1, usize::from(*status)),
            Self::Check(check) => (2, *check),
        }
        .pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        match <(u8, usize)>::unpack(from)? {
            (0, index) => (index < ERRORS).then_some(Self::Error(index)),
            (1, status) => Some(Self::Status(status.try_into().ok()?)),
            (2, check) => Some(Self::Check(check)),
            _ => None,
        }
    }
}

impl Packed for Halt {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Check(what) => (0u8, what.clone()),
            Self::DataEnd(what) => (1, what.clone()),
            Self::Safety(what) => (2, what.clone()),
        }
        .pack(out);
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        match <(u8, String)>::unpack(from)? {
            (0, what) => Some(Self::Check(what)),
            (1, what) => Some(Self::DataEnd(what)),
            (2, what) => Some(Self::Safety(what)),
            _ => None,
        }
    }
}

impl Packed for StopCause {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Signal(interrupt) => (0u8, *interrupt).pack(out),
            Self::Flow(halt) => (1u8, halt.clone()).pack(out),
            Self::Rule(rule) => (2u8, rule.clone()).pack(out),
            Self::ErrorRate(why) => (3u8, why.clone()).pack(out),
            Self::Lost => 4u8.pack(out),
        }
    }

    fn unpack(from: &mut &[u8]) -> Option<Self> {
        match u8::unpack(from)? {
            0 => Packed::unpack(from).map(Self::Signal),
            1 => Packed::unpack(from).map(Self::Flow),
            2 => Packed::unpack(from).map(Self::Rule),
            3 => Packed::unpack(from).map(Self::ErrorRate),
            4 => Some(Self::Lost),
            _ => None,
        }
    }
}
