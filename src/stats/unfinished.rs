//! What a shard has begun and not ended, derived from its deltas: needed if its last delta is
//! missing.
//!
//! `run::replay` follows each shard of a record, and ends what a killed run left open.
//! Invariant: after its last delta every ledger of the shard balances, and nothing is running.

use std::collections::BTreeMap;

use super::counts::{Calls, Gauges, Iterations};
use super::delta::{Delta, LoadWindow, StepWindow, Window};
use super::sample::SeriesLayout;
use crate::clock::RunOffset;

/// Calls and iterations of a shard that have begun and not ended.
#[derive(Debug)]
pub struct Unfinished {
    shard: usize,
    counts: Vec<(Iterations, Calls)>,
    /// By second and whether it is measured; removed once nothing of it is running.
    windows: BTreeMap<(u32, bool), UnderWay>,
    gauges: Gauges,
}

/// The running calls and iterations of one second.
#[derive(Debug)]
struct UnderWay {
    /// Iterations, by workload.
    iterations: Vec<u64>,
    /// Calls, by series.
    calls: Vec<u64>,
}

impl Unfinished {
    /// Creates the state of a shard that has begun nothing.
    pub fn new(shape: &SeriesLayout, shard: usize) -> Self {
        let counts = vec![Default::default(); shape.workloads];
        Self { shard, counts, windows: BTreeMap::new(), gauges: Gauges::default() }
    }

    /// The counts of all deltas so far, by workload.
    pub fn counts(&self) -> &[(Iterations, Calls)] {
        &self.counts
    }

    /// The gauges of the last delta.
    pub fn gauges(&self) -> Gauges {
        self.gauges
    }

    /// Adds a delta of the shard.
    pub fn absorb(&mut self, delta: &Delta) {
        for (mine, theirs) in self.counts.iter_mut().zip(&delta.workloads) {
            mine.0.add(&theirs.0);
            mine.1.add(&theirs.1);
        }
        for window in &delta.windows {
            let key = (window.second, window.measured);
            let open = self.windows.entry(key).or_insert_with(|| UnderWay {
                iterations: vec![0; window.workloads.len()],
                calls: vec![0; window.begun.len()],
            });
            for (left, load) in open.iterations.iter_mut().zip(&window.workloads) {
                *left = (*left + load.started).saturating_sub(load.iteration.count());
            }
            for ((left, begun), step) in open.calls.iter_mut().zip(&window.begun).zip(&window.steps)
            {
                let ended = step.as_ref().map_or(0, |step| step.calls.made);
                *left = (*left + begun).saturating_sub(ended);
            }
            if open.iterations.iter().chain(&open.calls).all(|left| *left == 0) {
                self.windows.remove(&key);
            }
        }
        self.gauges = delta.gauges;
    }

    /// Returns the delta that ends everything at `at`, as the hard end of a run does. `open`:
    /// whether each workload has a schedule.
    pub fn cut(self, shape: &SeriesLayout, open: &[bool], at: RunOffset) -> Delta {
        let mut delta = Delta::new(shape, self.shard);
        for ((cut, sum), open) in delta.workloads.iter_mut().zip(&self.counts).zip(open) {
            let (iterations, calls) = sum;
            let accounted = iterations.started
                + iterations.dropped
                + iterations.suppressed
                + iterations.not_reached
                + iterations.unserved;
            if *open {
                cut.0.not_reached = iterations.due.saturating_sub(accounted);
            }
            cut.0.interrupted = iterations.running();
            cut.1.unfinished = calls.made.saturating_sub(calls.ended());
        }
        for ((second, measured), left) in self.windows {
            let mut window = Window::new(second, measured, shape);
            // It was intended within its second: its age is at least that from the second's end.
            let age_ns = at.since(RunOffset::from_ns((u64::from(second) + 1) * 1_000_000_000));
            for (load, count) in window.workloads.iter_mut().zip(left.iterations) {
                end_iterations(load, age_ns, count);
            }
            for (step, count) in window.steps.iter_mut().zip(left.calls) {
                *step = (count > 0).then(|| Box::new(ended_calls(age_ns, count)));
            }
            delta.windows.push(window);
        }
        let gauges = self.gauges;
        delta.gauges = Gauges {
            assigned: 0,
            running_iterations: 0,
            running_calls: 0,
            call_time: gauges.call_time + gauges.running_call_time,
            running_call_time: 0,
            ..gauges
        };
        delta.last = true;
        delta
    }
}

fn end_iterations(load: &mut LoadWindow, age_ns: u64, count: u64) {
    if count > 0 {
        load.iteration.record_at_least_n(age_ns, count);
    }
}

fn ended_calls(age_ns: u64, count: u64) -> StepWindow {
    let calls = Calls { made: count, unfinished: count, ..Calls::default() };
    let mut step = StepWindow { calls, ..StepWindow::default() };
    step.response.record_at_least_n(age_ns, count);
    step.service.record_at_least_n(age_ns, count);
    step
}

#[cfg(test)]
mod tests {
    use super::super::part::LostStarts;
    use super::*;
    use crate::clock::Time;
    use crate::ids::{StepId, WorkloadId};
    use crate::stats::{Recorder, Tally};

    #[test]
    fn running_work_is_ended_and_all_ledgers_balance() {
        let shape =
            SeriesLayout { workloads: 1, checks: vec![0], pools: 0, ..SeriesLayout::default() };
        let mut recorder = Recorder::new(shape.clone(), 0, Time(0));
        let mut tally = Tally::new(&shape, 1, vec![true]);
        let mut unfinished = Unfinished::new(&shape, 0);
        let second = 1_000_000_000u64;
        for k in 0..3 {
            let at = RunOffset::from_ns(k * second);
            recorder.record_due(WorkloadId::default(), at);
            recorder.begin_start(WorkloadId::default(), at, 0);
            recorder.begin_call(WorkloadId::default(), StepId::default(), at, Time(k * second));
            let delta = recorder.take_interval(Gauges::default(), Time((k + 1) * second));
            unfinished.absorb(&delta);
            tally.absorb(&delta);
        }
        tally.absorb(&unfinished.cut(&shape, &[true], RunOffset::from_ns(3 * second)));
        let snapshot = tally.snapshot(None);
        let calls = snapshot.calls();
        assert_eq!((calls.made, calls.unfinished), (3, 3));
        assert_eq!(snapshot.iterations().interrupted, 3);
        assert_eq!(snapshot.health.ledger, Vec::<String>::new());
        let response = snapshot.measured.response(|_| true, LostStarts::default());
        let longest = response.longest().unwrap();
        assert!(longest.at_least && longest.us.abs_diff(2_000_000) < 2_000, "{longest:?}");
        assert_eq!(response.censored(), 3);
    }
}
