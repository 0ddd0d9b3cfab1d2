//! Everything known about a run at one moment.
//!
//! The Tally creates it; `verdict` judges it, `report` and `sinks` show it.
//! Invariant: it is complete: judging and showing the run needs nothing else.

use std::sync::Arc;

use super::addresses::Addresses;
use super::caches::Caches;
use super::contents::Contents;
use super::counts::{Attempts, Calls, Connections, Departures, Iterations};
use super::cpu_intervals::CpuIntervals;
use super::delta::{LoadWindow, LostStarts, StepWindow, Window};
use super::exemplar::Exemplar;
use super::latency::Latency;
use super::messages::{MessageWindow, StreamCounts};
use super::pool::PoolUse;
use super::process_times::ProcessFigures;
use super::resilience_snapshot::ResilienceSnapshot;
use super::state_change::StateChanges;
use super::traced_calls::TracedCalls;
use super::user_levels::WorstUsers;
use crate::ids::{StepId, WorkloadId};

/// All figures of a run up to now.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Time since the run's start, ns.
    pub elapsed_ns: u64,
    /// Whole run, by workload.
    pub workloads: Vec<(Iterations, Calls)>,
    /// Whole run, by workload: users that departed early.
    pub departures: Vec<Departures>,
    /// Whole run.
    pub attempts: Attempts,
    /// Whole run.
    pub connections: Connections,
    /// Whole run: results by address.
    pub addresses: Addresses,
    /// Whole run: bodies by content type, of services that count them.
    pub contents: Contents,
    /// The use of caches.
    pub caches: Caches,
    /// Responses by status code, ascending.
    pub statuses: Vec<(u16, u64)>,
    /// Attempts without a response: `outcome::error_at` index and count, most frequent first.
    pub errors: Vec<(usize, u64)>,
    /// The first failures of each kind with their count, most frequent first.
    pub exemplars: Vec<(u64, Arc<Exemplar>)>,
    /// Calls whose traces can be looked up; none if the run has no traces.
    pub traced: Arc<TracedCalls>,
    /// By pool: counts of the whole run, and the current state.
    pub pools: Vec<PoolUse>,
    /// Deadlines and breakers: counts of the whole run, and the current state.
    pub resilience: ResilienceSnapshot,
    /// State changes during the run, in the order they became known.
    pub changes: StateChanges,
    /// Calls not made because a variable was unset, by its name.
    pub unset: Vec<(String, u64)>,
    /// Users or iterations that found no row left, by the feed's name.
    pub ran_out: Vec<(String, u64)>,
    /// Expressions that failed on their values: the expression, the reason, and its step.
    pub failed_expressions: Vec<(String, u64)>,
    /// Everything due after the warm-up; its `second` is meaningless.
    pub measured: Window,
    /// Everything due during the warm-up.
    pub warmup: Window,
    /// By workload: the second after the warm-up with the lowest share of its users; `None` if its
    /// load sets no number of users.
    pub worst_users: Vec<Option<WorstUsers>>,
    /// Measured time: from the end of the warm-up to the last planned second, or to now, ns.
    pub measured_ns: u64,
    /// When the load ended or was stopped, or now, ns after the run's start.
    pub until_ns: u64,
    /// When the last iteration so far ended, ns after the run's start.
    pub last_done_ns: u64,
    /// Iterations running at the end of the shards' last intervals.
    pub running_iterations: u64,
    /// Calls in flight at the end of the shards' last intervals.
    pub running_calls: u64,
    /// Users running at the end of the shards' last intervals.
    pub users: u64,
    /// Maximum concurrent users; of several processes the sum of their maxima, an upper bound.
    pub users_peak: u64,
    /// Maximum concurrent connections.
    pub connections_peak: u64,
    /// How long services took to be healthy after the load; `None` if that was not measured.
    pub recovery: Option<Recovery>,
    /// Streams over the whole run.
    pub streams: StreamsSnapshot,
    /// The generator's own health.
    pub health: Health,
}

/// How long the services with health checks took to be healthy after the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// From the end of the load until all were healthy, or until nothing more was awaited, µs.
    pub us: u64,
    /// Whether all were healthy then.
    pub is_healthy: bool,
}

/// Streams over the whole run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamsSnapshot {
    /// What became of them.
    pub counts: StreamCounts,
    /// Open at the end of the shards' last intervals.
    pub open: u64,
    /// Maximum open at the end of a second.
    pub peak: u64,
    /// Maximum wanted at the end of a second.
    pub wanted_peak: u64,
    /// Open ones as a share of wanted ones, over all seconds; `None` if none were wanted.
    pub held: Option<f64>,
}

/// The generator's own health.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// The busiest second of the busiest shard, percent of one core.
    pub cpu_percent_max: f64,
    /// Time that a shard's thread waited for a core, as a share of the run's time; worst shard.
    pub run_queue_share: f64,
    /// Mean wait of a shard's thread for a core each time it wakes, µs; worst shard.
    pub run_queue_wait_us: f64,
    /// The longest stall of a shard's event loop, ns.
    pub longest_stall_ns: u64,
    /// CPU time of the shards over the run.
    pub cpu: CpuIntervals,
    /// Seconds in which the busiest shard used 97 % of a core or more.
    pub saturated_seconds: u64,
    /// Ledgers that do not balance, as text; empty in a correct run.
    pub ledger: Vec<String>,
    /// ∫ calls in flight dt over Σ time in flight of calls, minus one.
    pub little_error: f64,
    /// The times of each process; empty if there is one.
    pub processes: Vec<ProcessFigures>,
}

impl Snapshot {
    /// The whole run's iterations. `due` is the sum over workloads with a schedule.
    pub fn iterations(&self) -> Iterations {
        let mut all = Iterations::default();
        self.workloads.iter().for_each(|(iterations, _)| all.add(iterations));
        all
    }

    /// The whole run's calls.
    pub fn calls(&self) -> Calls {
        let mut all = Calls::default();
        self.workloads.iter().for_each(|(_, calls)| all.add(calls));
        all
    }
}

impl Window {
    /// The measured calls of all series.
    pub fn calls(&self) -> Calls {
        let mut all = Calls::default();
        self.steps.iter().flatten().for_each(|step| all.add(&step.calls));
        all
    }

    /// The response times of the series that `choose` selects; `lost` starts rank above all.
    pub fn response(&self, choose: impl Fn(StepId) -> bool, lost: LostStarts) -> Latency {
        let mut all = self.merged(choose, |step| &step.response);
        lost.rank_in(&mut all);
        all
    }

    /// The service times of the series that `choose` selects.
    pub fn service(&self, choose: impl Fn(StepId) -> bool) -> Latency {
        self.merged(choose, |step| &step.service)
    }

    /// A whole workload: the steps that `own` selects, and the starts it lost.
    pub fn of_workload(&self, workload: WorkloadId, own: impl Fn(StepId) -> bool) -> StepWindow {
        let mut whole = StepWindow::default();
        let steps = StepId::number(&self.steps).filter(|(id, _)| own(*id));
        steps.filter_map(|(_, step)| step.as_deref()).for_each(|step| {
            whole.calls.add(&step.calls);
            whole.in_drain += step.in_drain;
            whole.response.merge(&step.response);
            whole.service.merge(&step.service);
        });
        self.workloads[workload.index()].lost_starts().rank_in(&mut whole.response);
        whole
    }

    /// The messages of the series that `choose` selects.
    pub fn messages(&self, choose: impl Fn(StepId) -> bool) -> MessageWindow {
        let mut all = MessageWindow::default();
        for (id, step) in StepId::number(&self.steps) {
            if let Some(messages) = step.as_ref().and_then(|step| step.messages.as_deref())
                && choose(id)
            {
                all.merge(messages);
            }
        }
        all
    }

    /// Starts that were due and never began, over all workloads.
    pub fn lost(&self) -> LostStarts {
        let lost = self.workloads.iter().map(LoadWindow::lost_starts);
        lost.fold(LostStarts::default(), LostStarts::and)
    }

    fn merged(
        &self,
        choose: impl Fn(StepId) -> bool,
        part: impl Fn(&StepWindow) -> &Latency,
    ) -> Latency {
        let mut all = Latency::default();
        for (id, step) in StepId::number(&self.steps) {
            if let Some(step) = step
                && choose(id)
            {
                all.merge(part(step));
            }
        }
        all
    }
}
