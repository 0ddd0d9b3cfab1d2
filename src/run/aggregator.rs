//! The results of a run so far: the sum of all deltas, state changes, judgements.
//!
//! `dispatch` feeds it during the run, `replay` from a record.
//! Invariant: the same deltas in the same order give the same report, live and replayed.

use std::sync::Arc;

use super::exit_status::{self, CallSummary, EndOfRun};
use crate::clock::RunOffset;
use crate::event::record::RecordEnd;
use crate::event::{Report, RunInfo, StopCause};
use crate::exit::ExitStatus;
use crate::plan::RunManifest;
use crate::plan::prices::Prices;
use crate::stats::run_usage::RunUsage;
use crate::stats::shift::ShiftReport;
use crate::stats::{
    CompletedSecond, Delta, GaugeSample, Gauges, Monitor, MonitorOwner, Point, Seconds, Snapshot,
    StateChange, Tally, Timeline,
};
use crate::units::nanos;
use crate::verdict::{Judgement, Trust, Watch};

/// The results of a run so far.
#[derive(Debug)]
pub struct RunAggregator {
    info: Arc<RunInfo>,
    tally: Tally,
    watch: Watch,
    seconds: Seconds,
    timeline: Timeline,
    stopped: Option<StopCause>,
    /// Descriptions of shards that did not end.
    lost: Vec<String>,
    /// When, ns after the run's start; never, by default.
    stopped_at: RunOffset,
    /// What became of the shift, if the run had one.
    shift: Option<ShiftReport>,
    memory: MemoryMean,
    prices: Option<Arc<Prices>>,
}

impl RunAggregator {
    /// The results of a run on `shards` shards that has not begun.
    pub fn new(info: Arc<RunInfo>, shards: usize) -> Self {
        let plan = &*info.plan;
        let scheduled = plan.workloads.iter().map(|load| load.open).collect();
        let warmup_ns = nanos(plan.warmup);
        let mut tally = Tally::new(&plan.series_layout(), shards, scheduled);
        tally.set_processes(info.generator.processes, info.generator.is_fleet);
        if let Some(traces) = &plan.traces {
            tally.select_traces(traces.selection);
        }
        Self {
            tally,
            watch: Watch::new(&plan.thresholds, plan.subjects(), shards, warmup_ns),
            seconds: Seconds::default(),
            timeline: Timeline::default(),
            stopped: None,
            lost: Vec::new(),
            stopped_at: RunOffset::NEVER,
            shift: None,
            memory: MemoryMean::new(&info),
            prices: None,
            info,
        }
    }

    /// Has reports tell what the run cost.
    pub fn set_prices(&mut self, prices: Option<Arc<Prices>>) {
        self.prices = prices;
    }

    /// Adds the delta of a shard; returns the seconds that are complete now, oldest first.
    pub fn absorb(&mut self, delta: &Delta) -> Vec<CompletedSecond> {
        self.tally.absorb(delta);
        self.watch.absorb(delta);
        let closed = self.seconds.absorb(delta);
        closed.iter().for_each(|one| self.timeline.close(Point::of(&one.window)));
        closed
    }

    /// Records a change that no shard caused.
    pub fn record_change(&mut self, notice: StateChange) {
        self.tally.push_change(notice);
    }

    /// Records that the run is stopped.
    pub fn stop(&mut self, stop: StopCause, at: RunOffset) {
        self.tally.stop(at);
        self.stopped_at = self.stopped_at.min(at);
        self.stopped = Some(stop);
    }

    /// Records what became of the shift.
    pub fn set_shift(&mut self, shift: ShiftReport) {
        self.shift = Some(shift);
    }

    /// What became of the shift, if the run had one.
    pub fn shift(&self) -> Option<&ShiftReport> {
        self.shift.as_ref()
    }

    /// What stopped the run; `None` if nothing did.
    pub fn stopped(&self) -> Option<&StopCause> {
        self.stopped.as_ref()
    }

    /// Ends a second with these gauges; returns all numbers, and a rule that stops the run.
    pub fn second(&mut self, moment: GaugeSample) -> (Arc<Snapshot>, Option<String>) {
        self.memory.add(&moment);
        self.timeline.record_gauges(moment);
        let snapshot = self.snapshot();
        // If only a count ends the load, windows are judged as far as iterations have come: whether
        // more will follow is not known.
        let planned = load_end_ns(&self.info.plan);
        let end = planned.unwrap_or(snapshot.last_done_ns).min(self.stopped_at.ns());
        let rule = self.watch.judge(Some(end), &snapshot);
        (Arc::new(snapshot), rule)
    }

    /// All numbers so far.
    pub fn snapshot(&self) -> Snapshot {
        self.tally.snapshot(load_end_ns(&self.info.plan))
    }

    /// The gauges of all shards at their last delta, added up.
    pub fn gauges(&self) -> Gauges {
        self.tally.gauges()
    }

    /// The report as it would be if the run ended now.
    pub fn so_far(&mut self, snapshot: Arc<Snapshot>) -> Report {
        let points = self.seconds.points();
        self.timeline.open(points);
        let judgements = self.watch.judge_so_far(&snapshot);
        self.report(snapshot, judgements, self.timeline.clone(), true)
    }

    /// The seconds that were held open: no further delta will come.
    pub fn finish(&mut self) -> Vec<CompletedSecond> {
        let closed = self.seconds.finish();
        self.timeline.open(Vec::new());
        closed.iter().for_each(|one| self.timeline.close(Point::of(&one.window)));
        closed
    }

    /// Records that a shard did not end: what it measured since its last delta is missing.
    pub fn lose(&mut self, shard: usize) {
        self.lost.push(format!(
            "shard {shard} did not stop: a user's work does not end; its running calls are missing"
        ));
    }

    /// Judges the finished run. `end` says how its generators ended.
    pub fn conclude(mut self, end: RecordEnd) -> Report {
        let RecordEnd { broken, rss_peak, workers, recovery, shift, usage } = end;
        let usage = *usage;
        self.finish();
        let mut snapshot = Snapshot { recovery, ..self.snapshot() };
        snapshot.health.ledger.extend(broken.iter().chain(&self.lost).cloned());
        let (timeline, snapshot) = (std::mem::take(&mut self.timeline), Arc::new(snapshot));
        let judgements = self.watch.conclude(snapshot.until_ns, &snapshot);
        let report = self.report(snapshot, judgements, timeline, false);
        let (status, why) = exit_status::with_shift((report.status, report.why), shift.as_ref());
        let status = if broken.is_empty() { status } else { ExitStatus::Broken };
        Report { broken, status, why, rss_peak, workers, shift, usage, ..report }
    }

    fn report(
        &self,
        snapshot: Arc<Snapshot>,
        judgements: Vec<Judgement>,
        timeline: Timeline,
        goes_on: bool,
    ) -> Report {
        let trust = Trust::evaluate(&snapshot, &self.info.plan.kind);
        // A rule that has not been judged yet may still hold.
        let judged = |one: &&Judgement| !goes_on || one.observed.is_some();
        let has_steps = !self.info.plan.steps.is_empty();
        let answers = (!goes_on).then(|| CallSummary::of(&snapshot, has_steps));
        let judged = judgements.iter().filter(judged);
        let EndOfRun { ending, why } =
            exit_status::of(&judged, &trust, self.stopped.as_ref(), answers);
        Report {
            info: Arc::clone(&self.info),
            snapshot,
            timeline,
            judgements,
            trust,
            stopped: self.stopped.as_ref().map(ToString::to_string),
            broken: Vec::new(),
            is_running: goes_on,
            status: ending,
            why,
            rss_peak: None,
            workers: Vec::new(),
            shift: None,
            usage: RunUsage::default(),
            memory_mean: self.memory.mean(),
            prices: self.prices.clone(),
        }
    }
}

/// The mean of the readings of the generator's own memory.
#[derive(Clone, Copy, Debug, Default)]
struct MemoryMean {
    /// The monitor that reads it; `None` if the run has none.
    monitor: Option<usize>,
    sum: f64,
    count: u64,
}

impl MemoryMean {
    fn new(info: &RunInfo) -> Self {
        let is_it = |one: &Monitor| one.owner == MonitorOwner::Generator && one.name == "memory";
        Self { monitor: info.monitors.iter().position(is_it), ..Self::default() }
    }

    fn add(&mut self, sample: &GaugeSample) {
        let reading = self.monitor.and_then(|at| sample.monitors.get(at).copied().flatten());
        if let Some(bytes) = reading {
            self.sum += bytes;
            self.count += 1;
        }
    }

    fn mean(self) -> Option<u64> {
        (self.count > 0).then(|| (self.sum / self.count as f64).round() as u64)
    }
}

/// When the load ends by plan, ns after the run's start.
fn load_end_ns(plan: &RunManifest) -> Option<u64> {
    plan.load_end().map(nanos)
}
