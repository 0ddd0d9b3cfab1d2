//! What the shards of an agent measured since the last interval, until it is complete.
//!
//! `agent` puts each delta in, and takes an interval once every shard has sent its part.
//! Invariant: each delta is in one interval; an interval ends at a time up to which every shard has
//! reported.

use crate::clock::{self, RunOffset, Time};
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::MemberHealth;
use crate::host;
use crate::stats::run_usage::process_cpu;
use crate::stats::{Delta, Gauges, Histogram};

/// How long an interval waits for a shard that is late, ns.
const PATIENCE: u64 = 1_500_000_000;

/// The deltas of an interval.
#[derive(Debug, Default)]
pub(super) struct MeasuredInterval {
    shards: Vec<ShardProgress>,
    deltas: ShardDeltas,
    /// When the interval has waited long enough; `None` if nothing came.
    due: Option<Time>,
    until: RunOffset,
    count: u64,
    lag: Histogram,
    busy_permille: u64,
    health: MemberHealth,
}

/// How far a shard is.
#[derive(Debug)]
struct ShardProgress {
    shard: usize,
    gauges: Gauges,
    has_sent: bool,
    has_ended: bool,
}

impl MeasuredInterval {
    /// The shards at work.
    pub(super) fn begin(&mut self, shards: Vec<usize>) {
        let progress = |shard| ShardProgress {
            shard,
            gauges: Gauges::default(),
            has_sent: false,
            has_ended: false,
        };
        self.shards = shards.into_iter().map(progress).collect();
    }

    /// Adds a delta.
    pub(super) fn push(&mut self, delta: Delta) {
        self.due.get_or_insert(clock::now().after(PATIENCE));
        if let Some(shard) = self.shards.iter_mut().find(|shard| shard.shard == delta.shard) {
            let before = std::mem::replace(&mut shard.gauges, delta.gauges);
            let wall = delta.gauges.elapsed_ns.saturating_sub(before.elapsed_ns).max(1);
            let busy = delta.gauges.cpu_ns.saturating_sub(before.cpu_ns) * 1_000 / wall;
            self.busy_permille = self.busy_permille.max(busy);
            (shard.has_sent, shard.has_ended) = (true, delta.last);
        }
        let first = [self.health.first_start, delta.gauges.first_start].into_iter().flatten();
        self.health.first_start = first.min_by_key(|start| start.intended);
        for load in delta.windows.iter().flat_map(|window| &window.workloads) {
            self.lag.merge(&load.lag);
        }
        self.deltas.push(delta);
    }

    /// How long to wait for more at most, ns.
    pub(super) fn wait(&self) -> u64 {
        self.due.map_or(u64::MAX, |due| due.since(clock::now()))
    }

    /// Takes the interval if it is complete, or `is_last`; with the time up to which every shard
    /// has reported.
    pub(super) fn take(&mut self, is_last: bool) -> Option<(RunOffset, ShardDeltas)> {
        let due = self.due?;
        let is_complete = self.shards.iter().all(|shard| shard.has_sent || shard.has_ended);
        if !(is_complete || is_last || clock::now() >= due) {
            return None;
        }
        let elapsed = |shard: &ShardProgress| shard.gauges.elapsed_ns;
        let running = self.shards.iter().filter(|shard| !shard.has_ended);
        let until = running.map(elapsed).min();
        let until = until.or_else(|| self.shards.iter().map(elapsed).max()).unwrap_or(0);
        self.until = self.until.max(RunOffset::from_ns(until));
        self.shards.iter_mut().for_each(|shard| shard.has_sent = false);
        (self.due, self.count) = (None, self.count + 1);
        let lag = std::mem::take(&mut self.lag);
        self.health.lag_us = lag.percentile_us(99.0);
        self.health.cpu_permille = std::mem::take(&mut self.busy_permille);
        self.health.rss = host::rss_bytes().unwrap_or(0);
        self.health.cpu = process_cpu().unwrap_or_default();
        Some((self.until, std::mem::take(&mut self.deltas)))
    }

    /// How the agent fares, by the last interval.
    pub(super) fn health(&self) -> MemberHealth {
        self.health
    }

    /// The number of intervals.
    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
