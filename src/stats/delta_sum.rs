//! What deltas add up to, in few numbers: the second entry of double entry bookkeeping.
//!
//! Each agent of a fleet sums its own deltas, the coordinator those that it merged; at the end both
//! are compared.
//! Invariant: the order of additions does not matter, and a delta that is missing, or was added
//! twice, shows.

use super::counts::{Attempts, Calls, Iterations};
use super::delta::Delta;
use super::histogram::Histogram;
use super::latency::Latency;

/// The sum of deltas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeltaSum {
    /// By workload.
    pub iterations: Vec<Iterations>,
    /// Over the whole run.
    pub attempts: Attempts,
    /// By series.
    pub series: Vec<SeriesSum>,
}

/// The sum of a series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesSum {
    /// Its calls that ended.
    pub calls: Calls,
    /// Its response times.
    pub response: TimeSum,
    /// Its service times.
    pub service: TimeSum,
}

/// The sum of a distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSum {
    /// The number of times.
    pub count: u64,
    /// Their sum, µs.
    pub sum_us: u64,
    /// Their counts per bucket; see [`Histogram::check_sum`].
    pub buckets: u64,
}

impl TimeSum {
    fn add(&mut self, latency: &Latency) {
        for part in [latency.responses(), latency.timeouts()] {
            self.add_histogram(part);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum_us = self.sum_us.wrapping_add(other.sum_us);
        self.buckets = self.buckets.wrapping_add(other.buckets);
    }

    fn add_histogram(&mut self, part: &Histogram) {
        self.count += part.count();
        self.sum_us = self.sum_us.wrapping_add(part.sum_us());
        self.buckets = self.buckets.wrapping_add(part.check_sum());
    }
}

impl DeltaSum {
    /// Adds the sum of other deltas.
    pub fn merge(&mut self, other: &Self) {
        let (loads, series) = (other.iterations.len(), other.series.len());
        self.iterations.resize(self.iterations.len().max(loads), Iterations::default());
        self.series.resize(self.series.len().max(series), SeriesSum::default());
        self.iterations.iter_mut().zip(&other.iterations).for_each(|(mine, one)| mine.add(one));
        self.attempts.add(&other.attempts);
        for (mine, one) in self.series.iter_mut().zip(&other.series) {
            mine.calls.add(&one.calls);
            mine.response.merge(&one.response);
            mine.service.merge(&one.service);
        }
    }

    /// Adds a delta.
    pub fn add(&mut self, delta: &Delta) {
        if self.iterations.len() < delta.workloads.len() {
            self.iterations.resize(delta.workloads.len(), Iterations::default());
        }
        for (mine, (iterations, _)) in self.iterations.iter_mut().zip(&delta.workloads) {
            mine.add(iterations);
        }
        self.attempts.add(&delta.attempts);
        for window in &delta.windows {
            if self.series.len() < window.steps.len() {
                self.series.resize(window.steps.len(), SeriesSum::default());
            }
            for (mine, step) in self.series.iter_mut().zip(&window.steps) {
                let Some(step) = step else { continue };
                mine.calls.add(&step.calls);
                mine.response.add(&step.response);
                mine.service.add(&step.service);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_one_value_in_another_bucket_shows() {
        let (mut first, mut second, mut whole) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for us in 0..20_000u64 {
            let us = us * us % 3_000_017;
            let part = if us % 3 == 0 { &mut first } else { &mut second };
            part.record(us);
            whole.record(us);
        }
        let parts = first.check_sum().wrapping_add(second.check_sum());
        assert_eq!(parts, whole.check_sum());
        let mut other = whole.clone();
        other.record(500);
        let mut moved = whole;
        moved.record(501);
        // The same count and nearly the same sum.
        assert_ne!(other.check_sum(), moved.check_sum());
    }
}
