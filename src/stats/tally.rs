//! Merges everything that was measured.
//!
//! `run::dispatch` feeds it Deltas from any DeltaSource and takes Snapshots.
//! Invariant: order and grouping of deltas do not matter; each absorbed delta is checked against
//! its shard's ledgers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counts::Gauges;
use super::cpu_intervals::CpuInterval;
use super::delta::{Delta, Window};
use super::messages::{HeldStreams, StreamCounts};
use super::outcome::ERRORS;
use super::pool::PoolUse;
use super::process_times::ProcessTimes;
use super::resilience_snapshot::ResilienceSnapshot;
use super::sample::SeriesLayout;
use super::snapshot::{Health, Snapshot, StreamsSnapshot};
use super::state_change::{Change, ChangeSubject, MAX_RUN_CHANGES, StateChange};
use super::traced_calls::{TraceSelection, TracedCalls};
use super::user_levels::UserLevels;
use crate::clock::RunOffset;

/// Maximum ledger errors that are reported as text.
const MAX_LEDGER_ERRORS: usize = 8;

/// The sum of all deltas of a run.
#[derive(Debug)]
pub struct Tally {
    total: Delta,
    measured: Window,
    warmup: Window,
    user_levels: UserLevels,
    shards: Vec<ShardState>,
    warmup_ns: u64,
    /// The highest number of users that each process had at once.
    users_peaks: BTreeMap<usize, u64>,
    /// The number of processes; each has every n-th shard.
    processes: usize,
    /// The times of each process; empty if there is one.
    by_process: Vec<ProcessTimes>,
    connections_peak: u64,
    streams: StreamLevels,
    health: Health,
    open: Vec<bool>,
    /// Which kept calls have traces; `None` if the run has none.
    traces: Option<TraceSelection>,
    traced: Arc<TracedCalls>,
    /// When the run was stopped, ns after its start; `u64::MAX` if it was not.
    stopped_ns: u64,
}

/// One shard's own sums, to check its ledgers against its gauges.
#[derive(Debug)]
struct ShardState {
    counts: Delta,
    gauges: Gauges,
    pools: Vec<PoolUse>,
    guarded: ResilienceSnapshot,
    saturated: u64,
    /// Whether a part of its deltas is missing, as a state change tells: its ledgers lack it.
    is_partial: bool,
}

/// How many streams were open and wanted.
#[derive(Clone, Copy, Debug, Default)]
struct StreamLevels {
    peak: u64,
    wanted_peak: u64,
    /// Sums over the intervals of all shards.
    sum: HeldStreams,
}

impl StreamLevels {
    /// Adds an interval of a shard; `sum` are the gauges of all shards.
    fn observe(&mut self, shard: &Gauges, sum: &Gauges) {
        self.peak = self.peak.max(sum.streams);
        self.wanted_peak = self.wanted_peak.max(sum.streams_wanted);
        self.sum.add(&HeldStreams { wanted: shard.streams_wanted, held: shard.streams });
    }

    fn snapshot(&self, counts: &StreamCounts, gauges: &Gauges) -> StreamsSnapshot {
        StreamsSnapshot {
            counts: counts.clone(),
            open: gauges.streams,
            peak: self.peak,
            wanted_peak: self.wanted_peak,
            held: self.sum.share(),
        }
    }
}

impl Tally {
    /// Creates an empty tally for `shards` shards; `open`: whether each workload has a schedule.
    pub fn new(shape: &SeriesLayout, shards: usize, open: Vec<bool>) -> Self {
        let state = |shard| ShardState {
            counts: Delta::new(shape, shard),
            gauges: Gauges::default(),
            pools: vec![PoolUse::default(); shape.pools],
            guarded: ResilienceSnapshot::default(),
            saturated: 0,
            is_partial: false,
        };
        Self {
            total: Delta::new(shape, 0),
            measured: Window::new(0, true, shape),
            warmup: Window::new(0, false, shape),
            user_levels: UserLevels::new(shape.workloads),
            shards: (0..shards).map(state).collect(),
            warmup_ns: shape.warmup.ns(),
            users_peaks: BTreeMap::new(),
            processes: 1,
            by_process: Vec::new(),
            connections_peak: 0,
            streams: StreamLevels::default(),
            health: Health::default(),
            open,
            traces: None,
            traced: Arc::default(),
            stopped_ns: u64::MAX,
        }
    }

    /// The run has traces: of these calls.
    pub fn select_traces(&mut self, selection: TraceSelection) {
        self.traces = Some(selection);
    }

    /// The shards are in so many processes, workers or agents: each counts the users of its own
    /// process.
    pub fn set_processes(&mut self, processes: usize, are_agents: bool) {
        self.processes = processes.max(1);
        if processes > 1 {
            let name = |process| {
                if are_agents {
                    format!("agent {process}")
                } else {
                    format!("worker {}", process + 1)
                }
            };
            self.by_process = (0..processes).map(|at| ProcessTimes::new(name(at))).collect();
        }
    }

    /// Notes that the load was stopped: later calls are drain.
    pub fn stop(&mut self, at: RunOffset) {
        self.stopped_ns = self.stopped_ns.min(at.ns());
    }

    /// Stores a state change that belongs to no shard.
    pub fn push_change(&mut self, change: StateChange) {
        if let (ChangeSubject::Agent(agent), Change::Unmerged { .. }) =
            (&change.subject, &change.change)
        {
            let (agent, step) = (usize::try_from(*agent).unwrap_or(usize::MAX), self.processes);
            let own = self.shards.iter_mut().skip(agent).step_by(step);
            own.for_each(|shard| shard.is_partial = true);
        }
        self.total.changes.push(change, MAX_RUN_CHANGES);
    }

    /// Adds a shard's delta, and checks that shard's ledgers.
    pub fn absorb(&mut self, delta: &Delta) {
        self.total.add_counts(delta);
        self.total.failures.merge(&delta.failures);
        self.total.changes.extend(delta.changes.clone(), MAX_RUN_CHANGES);
        self.absorb_traces(delta);
        for window in &delta.windows {
            self.user_levels.absorb(window);
            if window.measured {
                self.measured.merge(window);
            } else {
                self.warmup.merge(window);
            }
        }
        if let Some(times) = self.by_process.get_mut(delta.shard % self.processes) {
            times.absorb(delta);
        }
        let Some(shard) = self.shards.get_mut(delta.shard) else { return };
        let before = std::mem::replace(&mut shard.gauges, delta.gauges);
        shard.counts.add_counts(delta);
        shard.pools.iter_mut().zip(&delta.pools).for_each(|(mine, now)| mine.then(now));
        shard.guarded.then(&delta.resilience);
        self.health.cpu.add(delta.gauges.elapsed_ns, cpu_interval(delta, &before));
        self.check_ledgers(delta.shard, &before);
        let sum = self.gauges();
        let peak = self.users_peaks.entry(delta.shard % self.processes).or_default();
        *peak = delta.gauges.users_peak.max(*peak);
        self.connections_peak = self.connections_peak.max(sum.connections);
        self.streams.observe(&delta.gauges, &sum);
    }

    /// Adds the kept calls of a delta that have traces.
    fn absorb_traces(&mut self, delta: &Delta) {
        let Some(selection) = self.traces.filter(|_| !delta.kept.calls.is_empty()) else { return };
        // A snapshot that shares them keeps its own.
        let traced = Arc::make_mut(&mut self.traced);
        traced.absorb(&delta.kept, &delta.failures, selection, self.warmup_ns);
        traced.retain_failures(&self.total.failures);
    }

    /// Returns the run so far. `load_end_ns` is the planned end of the load: rates are over the
    /// time up to it, not over the drain that follows.
    pub fn snapshot(&self, load_end_ns: Option<u64>) -> Snapshot {
        let gauges = self.gauges();
        let mut errors: Vec<(usize, u64)> =
            (0..ERRORS).map(|i| (i, self.total.errors[i])).filter(|(_, n)| *n > 0).collect();
        errors.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let counts = self.total.statuses.iter().copied();
        let mut statuses: Vec<(u16, u64)> =
            (100u16..).zip(counts).filter(|(_, count)| *count > 0).collect();
        statuses.extend(&self.total.named_statuses);
        statuses.sort_unstable();
        // A workload that only a count ends is over with its last iteration; only `on_stop` steps
        // follow.
        let counted = (gauges.running_iterations == 0).then_some(gauges.last_done_ns);
        let end = load_end_ns.or(counted).unwrap_or(u64::MAX).min(self.stopped_ns);
        let until = end.min(gauges.elapsed_ns);
        Snapshot {
            recovery: None,
            elapsed_ns: gauges.elapsed_ns,
            workloads: self.total.workloads.clone(),
            departures: self.total.departures.clone(),
            attempts: self.total.attempts,
            connections: self.total.connections,
            addresses: self.total.addresses.clone(),
            contents: self.total.contents.clone(),
            caches: self.total.caches.clone(),
            statuses,
            errors,
            exemplars: self.total.failures.list(),
            traced: Arc::clone(&self.traced),
            changes: self.total.changes.clone(),
            pools: self.pools(),
            resilience: self.guarded(),
            unset: self.total.unset.clone().into_iter().collect(),
            ran_out: self.total.ran_out.clone().into_iter().collect(),
            failed_expressions: self.total.failed_expressions.clone().into_iter().collect(),
            measured: self.measured.clone(),
            warmup: self.warmup.clone(),
            worst_users: self.user_levels.worst(),
            measured_ns: until.saturating_sub(self.warmup_ns),
            until_ns: until,
            last_done_ns: gauges.last_done_ns,
            running_iterations: gauges.running_iterations,
            running_calls: gauges.running_calls,
            users: gauges.users,
            users_peak: self.users_peaks.values().sum(),
            connections_peak: self.connections_peak,
            streams: self.streams.snapshot(&self.total.streams, &gauges),
            health: Health {
                little_error: little_error(&gauges),
                processes: self.by_process.iter().map(ProcessTimes::figures).collect(),
                ..self.health.clone()
            },
        }
    }

    fn pools(&self) -> Vec<PoolUse> {
        let mut sum = vec![PoolUse::default(); self.total.pools.len()];
        for shard in &self.shards {
            sum.iter_mut().zip(&shard.pools).for_each(|(sum, part)| sum.add(part));
        }
        sum
    }

    fn guarded(&self) -> ResilienceSnapshot {
        // A breaker's state is the one of the shard that read it last: others may have ended
        // before.
        let mut shards: Vec<&ShardState> = self.shards.iter().collect();
        shards.sort_by_key(|shard| shard.gauges.elapsed_ns);
        let mut sum = ResilienceSnapshot::default();
        shards.iter().for_each(|shard| sum.add(&shard.guarded));
        sum
    }

    /// The sum of the shards' latest gauges.
    pub fn gauges(&self) -> Gauges {
        let mut sum = Gauges::default();
        for shard in &self.shards {
            sum.add(&shard.gauges);
            sum.elapsed_ns = sum.elapsed_ns.max(shard.gauges.elapsed_ns);
            sum.last_done_ns = sum.last_done_ns.max(shard.gauges.last_done_ns);
        }
        sum
    }

    /// Checks a shard's ledgers and updates the worst health values.
    fn check_ledgers(&mut self, index: usize, before: &Gauges) {
        let ShardState { counts, gauges, saturated, is_partial, .. } = &mut self.shards[index];
        let mut broken = Vec::new();
        let (mut running, mut calls_running) = (0, 0);
        let (mut due, mut accounted) = (0, gauges.assigned);
        for (workload, (iterations, calls)) in counts.workloads.iter().enumerate() {
            running += iterations.running();
            calls_running += calls.made - calls.ended().min(calls.made);
            if self.open[workload] {
                due += iterations.due;
                accounted += iterations.started
                    + iterations.dropped
                    + iterations.suppressed
                    + iterations.not_reached
                    + iterations.unserved;
            }
        }
        if due != accounted {
            broken.push(format!("{due} starts due, {accounted} accounted for"));
        }
        if running != gauges.running_iterations {
            broken.push(format!(
                "{running} iterations started and not ended, {} running",
                gauges.running_iterations
            ));
        }
        if calls_running != gauges.running_calls {
            broken.push(format!(
                "{calls_running} calls started and not ended, {} running",
                gauges.running_calls
            ));
        }
        if !counts.attempts.holds() {
            broken.push(format!("attempt counts do not add up: {:?}", counts.attempts));
        }
        for text in broken.into_iter().filter(|_| !*is_partial) {
            if self.health.ledger.len() < MAX_LEDGER_ERRORS {
                let second = gauges.elapsed_ns / 1_000_000_000;
                self.health.ledger.push(format!("shard {index}, second {second}: {text}"));
            }
        }
        let wall = gauges.elapsed_ns.saturating_sub(before.elapsed_ns);
        // An interval much shorter than a second says nothing about a rate.
        if wall > 500_000_000 {
            let busy = gauges.cpu_ns.saturating_sub(before.cpu_ns) as f64 / wall as f64;
            self.health.cpu_percent_max = self.health.cpu_percent_max.max(busy * 100.0);
            *saturated += u64::from(busy >= 0.97);
            self.health.saturated_seconds = self.health.saturated_seconds.max(*saturated);
        }
        if gauges.elapsed_ns > 0 {
            let share = gauges.run_queue_ns as f64 / gauges.elapsed_ns as f64;
            self.health.run_queue_share = self.health.run_queue_share.max(share);
        }
        let wait_us = gauges.run_queue_ns as f64 / 1e3 / gauges.run_queue_waits.max(1) as f64;
        self.health.run_queue_wait_us = self.health.run_queue_wait_us.max(wait_us);
        self.health.longest_stall_ns = self.health.longest_stall_ns.max(gauges.longest_stall_ns);
    }
}

/// What a shard used and did in a delta; `before` are its gauges at the end of the one before.
fn cpu_interval(delta: &Delta, before: &Gauges) -> CpuInterval {
    CpuInterval {
        cpu_ns: delta.gauges.cpu_ns.saturating_sub(before.cpu_ns),
        calls: delta.attempts.sent,
        opened: delta.connections.opened,
    }
}

/// Little's law as an identity over the whole run: the integral of the engine's in-flight gauge
/// equals the sum of the times in flight of the samples (J. D. C. Little, 1961). Losing or doubling
/// one call in a thousand shows.
fn little_error(gauges: &Gauges) -> f64 {
    let samples = gauges.call_time + gauges.running_call_time;
    if samples == 0 {
        return if gauges.in_flight_integral == 0 { 0.0 } else { 1.0 };
    }
    gauges.in_flight_integral as f64 / samples as f64 - 1.0
}
