//! What a shard measured in one interval: plain data that merges exactly.
//!
//! Recorders fill it, a DeltaSource carries it, the Tally absorbs it.
//! Invariant: `a.merge(b)` equals what one recorder would have counted for both.

use std::collections::BTreeMap;

use super::addresses::Addresses;
use super::caches::Caches;
use super::call_record::KeptCalls;
use super::contents::Contents;
use super::counts::{Attempts, Calls, Connections, Departures, Gauges, Iterations};
use super::exemplar::FirstFailures;
use super::histogram::Histogram;
use super::latency::Latency;
use super::messages::StreamCounts;
use super::named::add_name;
use super::outcome::{BlockCause, ErrorCounts};
use super::own_delay::{Delayed, merge_boxed};
use super::pool::PoolUse;
use super::resilience_snapshot::ResilienceSnapshot;
use super::sample::SeriesLayout;
use super::state_change::{MAX_INTERVAL_CHANGES, StateChanges};
use super::step_window::count_status;
use crate::ids::{StepId, WorkloadId, indexed_by};

pub use super::part::LostStarts;
pub use super::step_window::{BackendWindow, StepWindow};

indexed_by! {
    WorkloadId: LoadWindow, (Iterations, Calls), Departures;
    StepId: Option<Box<StepWindow>>;
}

/// Status codes from 100 to 999: RFC 9110 defines those below 600, and the readers of both HTTP
/// versions pass on any other code of three digits as received.
pub const STATUSES: usize = 900;

/// Everything counted since the last `take_interval`.
#[derive(Clone, Debug)]
pub struct Delta {
    /// Index of the shard.
    pub shard: usize,
    /// Whole run, by workload: iterations and calls.
    pub workloads: Vec<(Iterations, Calls)>,
    /// Whole run, by workload: users that departed early.
    pub departures: Vec<Departures>,
    /// Whole run.
    pub attempts: Attempts,
    /// Whole run.
    pub connections: Connections,
    /// Whole run: streams by what became of them.
    pub streams: StreamCounts,
    /// Whole run: results by address.
    pub addresses: Addresses,
    /// Whole run: bodies by content type.
    pub contents: Contents,
    /// The use of caches.
    pub caches: Caches,
    /// Whole run: responses by status code − 100.
    pub statuses: Box<[u64; STATUSES]>,
    /// Whole run: responses with a status of another protocol, in order of first occurrence.
    pub named_statuses: Vec<(u16, u64)>,
    /// Whole run: attempts that ended without a response, by `outcome::error_index`.
    pub errors: ErrorCounts,
    /// Whole run: calls not made because a variable was unset, by its name.
    pub unset: BTreeMap<String, u64>,
    /// Whole run: users or iterations that found no row left, by the feed's name.
    pub ran_out: BTreeMap<String, u64>,
    /// Whole run: expressions that failed on their values: the expression, the reason, and its
    /// step.
    pub failed_expressions: BTreeMap<String, u64>,
    /// Lines of `log` steps, oldest first; at most [`MAX_INTERVAL_LINES`].
    pub lines: Vec<String>,
    /// Number of lines beyond those.
    pub lines_lost: u64,
    /// Why the run has to stop, if so.
    pub halt: Option<Halt>,
    /// Whole run: failures by kind, and the first of each kind.
    pub failures: FirstFailures,
    /// State changes, oldest first; at most [`MAX_INTERVAL_CHANGES`].
    pub changes: StateChanges,
    /// By pool: counts of the interval, and the current state.
    pub pools: Vec<PoolUse>,
    /// Deadlines and breakers: counts of the interval, and the current state.
    pub resilience: ResilienceSnapshot,
    /// By intended second, oldest first.
    pub windows: Vec<Window>,
    /// Calls and iterations that are kept one by one.
    pub kept: KeptCalls,
    /// The shard at the end of the interval.
    pub gauges: Gauges,
    /// Whether this is the shard's last delta.
    pub last: bool,
}

/// Why a user's flow stops the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A check or expect with `on_fail: abort` failed.
    Check(String),
    /// A feed with `at_end: stop run` has no more rows: a regular end of the run. Names the rows,
    /// such as "`account` for workload `api`".
    DataEnd(String),
    /// A safety limit forbids the load, and will not allow it later.
    Safety(String),
}

impl Halt {
    /// The reason as text.
    pub fn reason(&self) -> String {
        match self {
            Self::Check(what) | Self::Safety(what) => what.clone(),
            Self::DataEnd(what) => format!("data exhausted: {what}"),
        }
    }
}

/// Maximum lines of `log` steps that a shard keeps per interval; the rest is counted.
pub const MAX_INTERVAL_LINES: usize = 32;

/// Everything that was intended in one second of the run.
#[derive(Clone, Debug)]
pub struct Window {
    /// Seconds since the run's start.
    pub second: u32,
    /// Whether the window was due after the warm-up.
    pub measured: bool,
    /// By workload.
    pub workloads: Vec<LoadWindow>,
    /// By series; allocated when first used.
    pub steps: Vec<Option<Box<StepWindow>>>,
    /// By group: from its first call to its last, without thinks.
    pub groups: Vec<Latency>,
    /// By series and backend; allocated when first used.
    pub backends: Vec<Option<Box<BackendWindow>>>,
    /// Calls begun, by series: more than ended while some still run.
    pub begun: Vec<u64>,
    /// Phases of attempts: dns, connect, tls, first byte, body.
    pub phases: [Histogram; 5],
    /// Of attempts that opened a connection: the time of its login, between TLS and first byte.
    pub login: Histogram,
    /// Waits required by policy, by cause, without zero waits; a call may have several.
    pub waits: BTreeMap<BlockCause, Histogram>,
    /// How late the generator was to read messages of streams, by message, in the second of the
    /// receipt.
    pub receive_lag: Histogram,
}

/// A workload in one second.
#[derive(Clone, Debug, Default)]
pub struct LoadWindow {
    /// Starts due; zero in the closed model.
    pub due: u64,
    /// Starts begun within one second of their due time.
    pub on_time: u64,
    /// Iterations begun.
    pub started: u64,
    /// Starts that were dropped or suppressed.
    pub lost: u64,
    /// Suppressed ones among them.
    pub suppressed: u64,
    /// Those among them that are lost through the generator's own fault.
    pub lost_to_us: u64,
    /// Time of users that the load required, user·ns; zero in the open model.
    pub target_user_ns: u64,
    /// The part of that time in which those users were present, user·ns.
    pub present_user_ns: u64,
    /// Time in which users were missing because the generator admitted them late, user·ns.
    pub late_user_ns: u64,
    /// The generator's lateness per call.
    pub lag: Histogram,
    /// The generator's lateness per iteration: the steps that follow at once would only dilute it.
    pub start_lag: Histogram,
    /// Blocked time per call.
    pub blocked: Histogram,
    /// Event-loop stall time of calls that were running during a stall.
    pub stall: Histogram,
    /// Iterations, from due to the end of the last step, without thinks.
    pub iteration: Latency,
    /// Those of them that the generator itself delayed.
    pub iteration_delayed: Option<Box<Delayed>>,
}

impl Delta {
    /// Creates an empty delta.
    pub fn new(shape: &SeriesLayout, shard: usize) -> Self {
        Self {
            shard,
            workloads: vec![Default::default(); shape.workloads],
            departures: vec![Departures::default(); shape.workloads],
            attempts: Attempts::default(),
            connections: Connections::default(),
            streams: StreamCounts::default(),
            addresses: Addresses::default(),
            contents: Contents::default(),
            caches: Caches::default(),
            statuses: Box::new([0; STATUSES]),
            named_statuses: Vec::new(),
            errors: ErrorCounts::default(),
            unset: BTreeMap::new(),
            ran_out: BTreeMap::new(),
            failed_expressions: BTreeMap::new(),
            lines: Vec::new(),
            lines_lost: 0,
            halt: None,
            failures: FirstFailures::default(),
            changes: StateChanges::default(),
            pools: vec![PoolUse::default(); shape.pools],
            resilience: ResilienceSnapshot::default(),
            windows: Vec::new(),
            kept: KeptCalls::default(),
            gauges: Gauges::default(),
            last: false,
        }
    }

    /// Whether the delta has the layout `shape`, and refers to nothing outside it.
    pub fn fits(&self, shape: &SeriesLayout) -> bool {
        let steps = shape.checks.len();
        let checks = |(step, known): (&Option<Box<StepWindow>>, &usize)| {
            step.as_ref().is_none_or(|step| step.checks.len() <= *known)
        };
        let window = |window: &Window| {
            window.workloads.len() == shape.workloads
                && window.steps.len() == steps
                && window.begun.len() == steps
                && window.backends.len() == shape.backends
                && window.groups.len() == shape.groups
                && window.steps.iter().zip(&shape.checks).all(checks)
        };
        self.workloads.len() == shape.workloads
            && self.departures.len() == shape.workloads
            && self.windows.iter().all(window)
            && self.failures.first.values().all(|one| one.step.index() < steps)
            && self.kept.calls.iter().all(|one| {
                one.step.index() < steps && one.iteration.workload.index() < shape.workloads
            })
            && self
                .kept
                .iterations
                .iter()
                .all(|one| one.iteration.workload.index() < shape.workloads)
    }

    /// Adds what the same shard counted later.
    pub fn merge(&mut self, later: Self) {
        self.add_counts(&later);
        self.lines.extend(later.lines);
        self.lines_lost +=
            later.lines_lost + self.lines.len().saturating_sub(MAX_INTERVAL_LINES) as u64;
        self.lines.truncate(MAX_INTERVAL_LINES);
        self.halt = self.halt.take().or(later.halt);
        self.failures.merge(&later.failures);
        self.changes.extend(later.changes, MAX_INTERVAL_CHANGES);
        self.pools.iter_mut().zip(&later.pools).for_each(|(mine, theirs)| mine.then(theirs));
        self.resilience.then(&later.resilience);
        for window in later.windows {
            match self.windows.iter_mut().find(|mine| mine.is_like(&window)) {
                Some(mine) => mine.merge(&window),
                None => self.windows.push(window),
            }
        }
        self.windows.sort_by_key(|window| (window.second, window.measured));
        self.kept.merge(later.kept);
        self.gauges = later.gauges;
        self.last |= later.last;
    }

    /// Adds the whole-run counts of any shard; windows and gauges are not touched.
    pub fn add_counts(&mut self, other: &Self) {
        for (mine, theirs) in self.workloads.iter_mut().zip(&other.workloads) {
            mine.0.add(&theirs.0);
            mine.1.add(&theirs.1);
        }
        for (mine, theirs) in self.departures.iter_mut().zip(&other.departures) {
            mine.add(theirs);
        }
        self.attempts.add(&other.attempts);
        self.connections.add(&other.connections);
        self.streams.add(&other.streams);
        self.addresses.merge(&other.addresses);
        self.contents.merge(&other.contents);
        self.caches.merge(&other.caches);
        self.statuses.iter_mut().zip(other.statuses.iter()).for_each(|(mine, n)| *mine += n);
        for &(status, count) in &other.named_statuses {
            count_status(&mut self.named_statuses, status, count);
        }
        self.errors.0.iter_mut().zip(other.errors.0.iter()).for_each(|(mine, n)| *mine += n);
        other.unset.iter().for_each(|(name, n)| add_name(&mut self.unset, name, *n));
        other.ran_out.iter().for_each(|(name, n)| add_name(&mut self.ran_out, name, *n));
        let failed = &mut self.failed_expressions;
        other.failed_expressions.iter().for_each(|(text, n)| add_name(failed, text, *n));
    }
}

impl Window {
    pub(super) fn new(second: u32, measured: bool, shape: &SeriesLayout) -> Self {
        Self {
            second,
            measured,
            workloads: vec![LoadWindow::default(); shape.workloads],
            steps: vec![None; shape.checks.len()],
            backends: vec![None; shape.backends],
            groups: vec![Latency::default(); shape.groups],
            begun: vec![0; shape.checks.len()],
            phases: Default::default(),
            login: Histogram::default(),
            waits: BTreeMap::new(),
            receive_lag: Histogram::default(),
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        self.second == other.second && self.measured == other.measured
    }

    /// Adds another window's counts; its second does not matter.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.workloads.iter_mut().zip(&other.workloads) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.steps.iter_mut().zip(&other.steps) {
            merge_boxed(mine, theirs.as_deref(), StepWindow::merge);
        }
        for (mine, theirs) in self.backends.iter_mut().zip(&other.backends) {
            merge_boxed(mine, theirs.as_deref(), BackendWindow::merge);
        }
        self.groups.iter_mut().zip(&other.groups).for_each(|(mine, theirs)| mine.merge(theirs));
        self.begun.iter_mut().zip(&other.begun).for_each(|(mine, theirs)| *mine += theirs);
        self.phases.iter_mut().zip(&other.phases).for_each(|(mine, theirs)| mine.merge(theirs));
        self.login.merge(&other.login);
        for (cause, theirs) in &other.waits {
            self.waits.entry(*cause).or_default().merge(theirs);
        }
        self.receive_lag.merge(&other.receive_lag);
    }
}

impl LoadWindow {
    fn merge(&mut self, other: &Self) {
        self.due += other.due;
        self.on_time += other.on_time;
        self.started += other.started;
        self.lost += other.lost;
        self.suppressed += other.suppressed;
        self.lost_to_us += other.lost_to_us;
        self.target_user_ns += other.target_user_ns;
        self.present_user_ns += other.present_user_ns;
        self.late_user_ns += other.late_user_ns;
        self.lag.merge(&other.lag);
        self.start_lag.merge(&other.start_lag);
        self.blocked.merge(&other.blocked);
        self.stall.merge(&other.stall);
        self.iteration.merge(&other.iteration);
        let delayed = other.iteration_delayed.as_deref();
        merge_boxed(&mut self.iteration_delayed, delayed, Delayed::merge);
    }
}
