//! What changed between two reports: counts of an interval, and the times of it.
//!
//! Sinks for receivers that cannot subtract distributions use it.
//! Invariant: the changes of all intervals of a run add up to its last report.

use std::collections::HashMap;

use super::family::{Label, MetricFamily, MetricValue, Times};
use crate::stats::Histogram;
use crate::stats::latency::rank;

/// The quantiles of an interval, by name.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

/// A metric and the labels of a sample.
type SampleKey<'r> = (&'static str, Vec<Label<'r>>);

/// The samples at the beginning of an interval.
#[derive(Debug, Default)]
pub(super) struct IntervalStart<'r> {
    samples: HashMap<SampleKey<'r>, MetricValue<'r>>,
}

/// The times of an interval.
#[derive(Clone, Debug, Default)]
pub(super) struct IntervalTimes {
    known: Histogram,
    unknown: u64,
    sum_us: u64,
}

impl<'r> IntervalStart<'r> {
    /// Begins with these metrics; none are there at the beginning of a run.
    pub(super) fn at(families: &[MetricFamily<'r>]) -> Self {
        let mut samples = HashMap::new();
        for family in families {
            for sample in &family.samples {
                if !matches!(sample.value, MetricValue::Level(_)) {
                    samples.insert((family.name, sample.labels.clone()), sample.value);
                }
            }
        }
        Self { samples }
    }

    /// The count of the interval, of a counter that is `now` at its end.
    pub(super) fn count(&self, name: &'static str, labels: &[Label<'r>], now: u64) -> u64 {
        match self.samples.get(&(name, labels.to_vec())) {
            Some(MetricValue::Count(before)) => now.saturating_sub(*before),
            _ => now,
        }
    }

    /// The times of the interval, of those that are `now` there at its end.
    pub(super) fn times(
        &self,
        name: &'static str,
        labels: &[Label<'r>],
        now: &Times<'_>,
    ) -> IntervalTimes {
        let sum_us = |times: &Times<'_>| times.known.sum_us() + times.at_least_us;
        let all = || IntervalTimes {
            known: now.known.clone(),
            unknown: now.unknown,
            sum_us: sum_us(now),
        };
        match self.samples.get(&(name, labels.to_vec())) {
            Some(MetricValue::Times(before)) => IntervalTimes {
                known: now.known.without(before.known),
                unknown: now.unknown.saturating_sub(before.unknown),
                sum_us: sum_us(now).saturating_sub(sum_us(before)),
            },
            _ => all(),
        }
    }
}

impl IntervalTimes {
    /// The number of times.
    pub(super) fn count(&self) -> u64 {
        self.known.count() + self.unknown
    }

    /// Their sum, µs; of unknown times it has the lower bounds.
    pub(super) const fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// Shortest, quantiles and longest by name, µs; without those that are not known: calls without
    /// a response are above all others.
    pub(super) fn figures_us(&self) -> Vec<(&'static str, u64)> {
        let (known, count) = (self.known.count(), self.count());
        let mut figures = Vec::new();
        if known > 0 {
            figures.push(("min", self.known.min_us()));
            let ranks = QUANTILES.map(|(name, p)| (name, rank(p, count)));
            let ranks = ranks.into_iter().filter(|(_, rank)| *rank <= known);
            figures.extend(ranks.map(|(name, rank)| (name, self.known.at_rank(rank))));
            if self.unknown == 0 {
                figures.push(("max", self.known.max_us()));
            }
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::super::family::{MetricKind, MetricSample, MetricUnit};
    use super::*;
    use crate::stats::{Latency, Untimed};

    fn family(value: MetricValue<'_>) -> [MetricFamily<'_>; 1] {
        let labels = vec![("step".into(), "a".into())];
        let samples = vec![MetricSample::new(labels, value)];
        let (kind, unit) = (MetricKind::Counter, MetricUnit::One);
        [MetricFamily { name: "m", help: "", kind, unit, samples }]
    }

    #[test]
    fn an_interval_has_what_came_since_its_beginning() {
        let start = IntervalStart::at(&family(MetricValue::Count(7)));
        let of = |step: &'static str| [(("step").into(), step.into())];
        assert_eq!(start.count("m", &of("a"), 9), 2);
        assert_eq!(start.count("m", &of("b"), 9), 9);
        assert_eq!(IntervalStart::default().count("m", &of("a"), 9), 9);

        let mut before = Latency::default();
        before.record_response(900_000_000);
        before.record_untimed(Untimed::NoResponse);
        let mut now = before.clone();
        (1..=99).for_each(|ms| now.record_response(ms * 1_000_000));
        let start = IntervalStart::at(&family(MetricValue::Times(Times::from(&before))));
        let times = start.times("m", &of("a"), &Times::from(&now));
        assert_eq!((times.count(), times.sum_us()), (99, 4_950_000));
        let figures = times.figures_us();
        let names: Vec<_> = figures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["min", "p50", "p90", "p95", "p99", "p999", "max"]);
        for ((_, us), ms) in figures.iter().zip([1, 50, 90, 95, 99, 99, 99]) {
            assert!((*us as f64 / (f64::from(ms) * 1e3) - 1.0).abs() < 0.001, "{figures:?}");
        }
    }

    #[test]
    fn figures_that_lie_among_calls_without_a_response_are_left_out() {
        let mut latency = Latency::default();
        (0..9).for_each(|_| latency.record_response(2_000_000));
        latency.record_at_least(5_000_000);
        let labels = [];
        let times = IntervalStart::default().times("m", &labels, &Times::from(&latency));
        assert_eq!(times.figures_us(), [("min", 2_000), ("p50", 2_000), ("p90", 2_000)]);
        assert_eq!((times.count(), times.sum_us()), (10, 23_000));
        assert!(IntervalTimes::default().figures_us().is_empty());
    }
}
