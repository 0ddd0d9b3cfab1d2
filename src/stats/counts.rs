//! Ledgers: counters whose sums must balance.
//!
//! Recorders count, deltas carry, tallies add and check.
//! Invariant: each sum named here holds at every second, for every shard and for all of them.

use super::outcome::CallResult;
use crate::clock::RunOffset;

/// Iterations by result.
///
/// `due = started + dropped + suppressed + not_reached + unserved` if there is a schedule, and
/// `started = completed + ended_early + interrupted + running`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iterations {
    /// Starts that the schedule has required so far; meaningless in the closed model.
    pub due: u64,
    /// Begun by a user.
    pub started: u64,
    /// Reached the end of the flow.
    pub completed: u64,
    /// Ended by a failed `expect` or a generator error.
    pub ended_early: u64,
    /// Cancelled at the hard end.
    pub interrupted: u64,
    /// Due, but no user was free.
    pub dropped: u64,
    /// Due, but suppressed by policy.
    pub suppressed: u64,
    /// Due after the run was stopped.
    pub not_reached: u64,
    /// Due while the process of their shard was lost: not sent, or sent and never reported. In the
    /// closed model: iterations of a count that were left.
    pub unserved: u64,
}

/// Calls by the result of their last attempt.
/// `made = ok + failed + timeout + suppressed + muted + cancelled + generator_errors + unfinished`
/// `+ running`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Request steps executed.
    pub made: u64,
    /// A complete response with an expected result.
    pub ok: u64,
    /// No complete response, or an unexpected result.
    pub failed: u64,
    /// No response in time.
    pub timeout: u64,
    /// Never sent, by policy.
    pub suppressed: u64,
    /// Skipped because the step was muted; not an error.
    pub muted: u64,
    /// Cancelled because another attempt won.
    pub cancelled: u64,
    /// Failed through an error of the generator.
    pub generator_errors: u64,
    /// Cancelled at the hard end.
    pub unfinished: u64,
}

/// Users of the closed model that departed for good before their time, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// Users whose `on_start` failed, or the first call in it.
    pub start_failed: u64,
    /// A feed had no row left for them.
    pub out_of_rows: u64,
}

/// Attempts by reason. `started = first + retries + hedges + redirects + stale_resends`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Exchanges begun.
    pub started: u64,
    /// Exchanges whose last byte was handed to the kernel.
    pub sent: u64,
    /// First attempts of a call.
    pub first: u64,
    /// Attempts after a failed one.
    pub retries: u64,
    /// Attempts beside a slow one.
    pub hedges: u64,
    /// Attempts that followed a redirect.
    pub redirects: u64,
    /// Attempts on a fresh connection, because the reused one proved closed or the target had not
    /// processed the request.
    pub stale_resends: u64,
    /// Cancelled because another attempt of the same call won; included above.
    pub cancelled: u64,
    /// Retries and hedges that the budget denied: never started.
    pub denied: u64,
}

/// Connections by result, and the bytes that went over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Opened, TLS included.
    pub opened: u64,
    /// Exchanges on a connection that had carried an earlier one.
    pub reused: u64,
    /// Attempts to open a connection that failed.
    pub failed: u64,
    /// Those of the opened ones that were opened before their user was due.
    pub prewarmed: u64,
    /// Those of the prewarmed ones whose user came.
    pub prewarmed_used: u64,
    /// Bytes handed to the kernel, without TLS framing.
    pub bytes_sent: u64,
    /// Bytes read from the kernel, without TLS framing.
    pub bytes_received: u64,
}

/// The first start of a shard, or of a process: an arrival, or a user of the closed model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstStart {
    /// When it was due.
    pub intended: RunOffset,
    /// How late it was, ns.
    pub lag_ns: u64,
}

/// A shard's state at the end of an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Due starts that were assigned to a user task and have not begun yet.
    pub assigned: u64,
    /// Iterations that have begun and not ended.
    pub running_iterations: u64,
    /// Calls that have begun and not ended.
    pub running_calls: u64,
    /// Users running.
    pub users: u64,
    /// Maximum users running at once in the whole run so far, over all shards of the process.
    pub users_peak: u64,
    /// Maximum connections open at once in the interval.
    pub connections: u64,
    /// Streams that users hold open.
    pub streams: u64,
    /// Streams that users want open: those, and the ones that open or reconnect.
    pub streams_wanted: u64,
    /// CPU time of the shard's thread since it began, ns.
    pub cpu_ns: u64,
    /// Time the shard's thread was runnable but waited for a core, since it began, ns.
    pub run_queue_ns: u64,
    /// How often the shard's thread was scheduled on a core since it began.
    pub run_queue_waits: u64,
    /// How long the event loop has stalled since the run began, ns.
    pub stalled_ns: u64,
    /// The longest stall, ns.
    pub longest_stall_ns: u64,
    /// Time since the run began, ns.
    pub elapsed_ns: u64,
    /// The first start of the shard; `None` if there was none.
    pub first_start: Option<FirstStart>,
    /// When the shard's last iteration so far ended, ns after the run's start.
    pub last_done_ns: u64,
    /// ∫ calls in flight dt since the run began, call·ns, from the engine's own gauge.
    pub in_flight_integral: u128,
    /// Σ time in flight of calls that have ended since the run began, ns, from their samples.
    pub call_time: u128,
    /// Time in flight so far of the calls still running, ns.
    pub running_call_time: u128,
}

macro_rules! add_fields {
    ($type:ty: $($field:ident),+) => {
        impl $type {
            /// Adds all counts of another.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)+
            }
        }
    };
}

add_fields!(Iterations:
    due, started, completed, ended_early, interrupted, dropped, suppressed, not_reached, unserved);
add_fields!(Calls:
    made, ok, failed, timeout, suppressed, muted, cancelled, generator_errors, unfinished);
add_fields!(Departures: start_failed, out_of_rows);
add_fields!(Attempts:
    started, sent, first, retries, hedges, redirects, stale_resends, cancelled, denied);
add_fields!(Connections:
    opened, reused, failed, prewarmed, prewarmed_used, bytes_sent, bytes_received);
add_fields!(Gauges:
    assigned, running_iterations, running_calls, users, connections, streams, streams_wanted,
    cpu_ns, run_queue_ns, run_queue_waits, stalled_ns, in_flight_integral, call_time,
    running_call_time);

impl Iterations {
    /// Those that have begun and not ended; zero if deltas with their starts are missing, since
    /// they were left out of the sum.
    pub fn running(&self) -> u64 {
        self.started.saturating_sub(self.ended())
    }

    /// Iterations that have ended.
    pub const fn ended(&self) -> u64 {
        self.completed + self.ended_early + self.interrupted
    }
}

impl Calls {
    /// Counts the end of one call.
    #[inline]
    pub fn end(&mut self, result: CallResult) {
        match result {
            CallResult::Ok => self.ok += 1,
            CallResult::Failed => self.failed += 1,
            CallResult::Timeout => self.timeout += 1,
            CallResult::Unfinished => self.unfinished += 1,
            CallResult::Own => self.generator_errors += 1,
            CallResult::Suppressed => self.suppressed += 1,
            CallResult::Muted => self.muted += 1,
        }
    }

    /// Calls that have ended.
    pub const fn ended(&self) -> u64 {
        self.ok
            + self.failed
            + self.timeout
            + self.suppressed
            + self.muted
            + self.cancelled
            + self.generator_errors
            + self.unfinished
    }

    /// `(made − ok − cancelled − muted) / (made − cancelled − muted)` over ended calls; `None` if
    /// there are none.
    pub fn error_share(&self) -> Option<f64> {
        let judged = self.ended() - self.cancelled - self.muted;
        (judged > 0).then(|| (judged - self.ok) as f64 / judged as f64)
    }
}

impl Attempts {
    /// Attempts per call that started any: by how much retries, hedges and redirects multiply the
    /// load on the target; `None` if there were no calls.
    pub fn amplification(&self) -> Option<f64> {
        (self.first > 0).then(|| self.started as f64 / self.first as f64)
    }

    /// Whether the ledger of attempts balances.
    pub const fn holds(&self) -> bool {
        self.started
            == self.first + self.retries + self.hedges + self.redirects + self.stale_resends
    }
}
