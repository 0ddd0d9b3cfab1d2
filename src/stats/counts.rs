//! The ledgers: whole numbers in which nothing vanishes.
//!
//! Recorders count, deltas carry, tallies add and check.
//! Invariant: each sum named here holds at every second, on every shard and over all of them.

use super::outcome::CallResult;

/// What became of iterations. `due = started + dropped + suppressed + not_reached` where there is
/// a schedule, and `started = completed + ended_early + interrupted + running`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Iterations {
    /// Starts that a schedule asked for, up to now; meaningless in the closed model.
    pub due: u64,
    /// Begun by a user.
    pub started: u64,
    /// Gone through to the end.
    pub completed: u64,
    /// Ended by a failed `expect` or by our own fault.
    pub ended_early: u64,
    /// Cut at the hard end.
    pub interrupted: u64,
    /// Due, but no user was free.
    pub dropped: u64,
    /// Due, but held back by policy.
    pub suppressed: u64,
    /// Due after the run was stopped.
    pub not_reached: u64,
}

/// What became of calls, by their last attempt.
/// `made = ok + failed + timeout + suppressed + muted + cancelled + generator_errors + unfinished`
/// `+ running`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Steps carried out.
    pub made: u64,
    /// A wanted answer.
    pub ok: u64,
    /// No complete answer, or an unwanted one.
    pub failed: u64,
    /// No answer in time.
    pub timeout: u64,
    /// Never sent, by policy.
    pub suppressed: u64,
    /// Left out, since the step was muted: no error.
    pub muted: u64,
    /// Given up because another attempt won.
    pub cancelled: u64,
    /// Our own fault.
    pub generator_errors: u64,
    /// Cut at the hard end.
    pub unfinished: u64,
}

/// Users of the closed model that left for good before their time, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    /// Their `on_start` failed, or the first call in it.
    pub start_failed: u64,
    /// A feed had no row left for them.
    pub out_of_rows: u64,
}

/// What was put on the wire. `started = first + retries + hedges + redirects + stale_resends`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Exchanges begun.
    pub started: u64,
    /// Those whose last byte was handed to the kernel.
    pub sent: u64,
    /// The first of a call.
    pub first: u64,
    /// Made again after a failure.
    pub retries: u64,
    /// Made beside a slow one.
    pub hedges: u64,
    /// Made because an answer pointed elsewhere.
    pub redirects: u64,
    /// Made again on a fresh connection: the kept one proved closed, or the target had not
    /// processed the request.
    pub stale_resends: u64,
    /// Given up because another attempt of the same call was answered first; among the above.
    pub cancelled: u64,
    /// Retries and hedges that the budget did not allow: never made.
    pub denied: u64,
}

/// What became of connections, and what went over them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Opened, TLS included.
    pub opened: u64,
    /// Exchanges on a connection that had carried one before.
    pub reused: u64,
    /// Attempts to open one that failed.
    pub failed: u64,
    /// Bytes handed to the kernel, TLS framing left out.
    pub bytes_sent: u64,
    /// Bytes read from the kernel, TLS framing left out.
    pub bytes_received: u64,
}

/// What a shard looks like at the moment it sheds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Starts due and handed to a user that has not turned to them yet.
    pub seated: u64,
    /// Iterations that have begun and not ended.
    pub running_iterations: u64,
    /// Calls that have begun and not ended.
    pub running_calls: u64,
    /// Users at work.
    pub users: u64,
    /// The most users at work at once in the whole run so far, over all shards.
    pub users_peak: u64,
    /// The most connections open since the last shed.
    pub connections: u64,
    /// CPU time of the shard's thread since it began, ns.
    pub cpu_ns: u64,
    /// Time the shard's thread was runnable but waited for a core, since it began, ns.
    pub run_queue_ns: u64,
    /// How often the shard's thread was given a core, since it began.
    pub run_queue_waits: u64,
    /// How long its event loop stood still since the run began, ns.
    pub stalled_ns: u64,
    /// The longest of these stalls, ns.
    pub longest_stall_ns: u64,
    /// Time since the run began, ns.
    pub elapsed_ns: u64,
    /// When its last iteration so far was done, ns after the run's start.
    pub last_done_ns: u64,
    /// ∫ calls in flight dt since the run began, call·ns, from the engine's own gauge.
    pub in_flight_integral: u128,
    /// Σ time in flight of calls ended since the run began, ns, from their samples.
    pub call_time: u128,
    /// In-flight time so far of the calls still running, ns.
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
    due, started, completed, ended_early, interrupted, dropped, suppressed, not_reached);
add_fields!(Calls:
    made, ok, failed, timeout, suppressed, muted, cancelled, generator_errors, unfinished);
add_fields!(Departures: start_failed, out_of_rows);
add_fields!(Attempts:
    started, sent, first, retries, hedges, redirects, stale_resends, cancelled, denied);
add_fields!(Connections: opened, reused, failed, bytes_sent, bytes_received);
add_fields!(Gauges:
    seated, running_iterations, running_calls, users, connections, cpu_ns, run_queue_ns,
    run_queue_waits, stalled_ns, in_flight_integral, call_time, running_call_time);

impl Iterations {
    /// Those that have ended.
    pub const fn ended(&self) -> u64 {
        self.completed + self.ended_early + self.interrupted
    }
}

impl Calls {
    /// Counts the end of one call.
    #[inline]
    pub fn end(&mut self, fate: CallResult) {
        match fate {
            CallResult::Ok => self.ok += 1,
            CallResult::Failed => self.failed += 1,
            CallResult::Timeout => self.timeout += 1,
            CallResult::Unfinished => self.unfinished += 1,
            CallResult::Own => self.generator_errors += 1,
            CallResult::Suppressed => self.suppressed += 1,
            CallResult::Muted => self.muted += 1,
        }
    }

    /// Those that have ended.
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

    /// `(made − ok − cancelled − muted) / (made − cancelled − muted)` over ended calls; `None`
    /// without any.
    pub fn error_share(&self) -> Option<f64> {
        let judged = self.ended() - self.cancelled - self.muted;
        (judged > 0).then(|| (judged - self.ok) as f64 / judged as f64)
    }
}

impl Attempts {
    /// Attempts for each call that made one at all: what the target gets more than was asked for;
    /// `None` without any.
    pub fn amplification(&self) -> Option<f64> {
        (self.first > 0).then(|| self.started as f64 / self.first as f64)
    }

    /// Whether the ledger of attempts holds.
    pub const fn holds(&self) -> bool {
        self.started
            == self.first + self.retries + self.hedges + self.redirects + self.stale_resends
    }
}
