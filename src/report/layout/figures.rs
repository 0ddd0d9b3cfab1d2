//! Figures that the layouts share.
//!
//! Invariant: all are over the measured calls of the run.

use std::fmt::Write;

use crate::event::Report;
use crate::report::rows;
use crate::stats::{Histogram, Latency};

/// The response times of all calls of the run.
pub(super) fn response(report: &Report) -> Latency {
    let measured = &report.snapshot.measured;
    measured.response(|_| true, measured.lost())
}

/// A percentile, as a share, or the longest time for 1, µs; 0 if there is none.
pub(super) fn quantile_us(latency: &Latency, p: f64) -> u64 {
    rows::percentile(latency, p).map_or(0, |quantile| quantile.us)
}

/// How widely values spread around their mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Spread {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) max: f64,
    /// Share of the values within one deviation of the mean.
    pub(super) within: f64,
}

impl Spread {
    /// Of values with their counts.
    pub(super) fn of(values: &[(f64, u64)]) -> Self {
        let all: u64 = values.iter().map(|(_, count)| count).sum();
        if all == 0 {
            return Self::default();
        }
        let sum = |of: &dyn Fn(f64) -> f64| -> f64 {
            values.iter().map(|&(value, count)| of(value) * count as f64).sum()
        };
        let mean = sum(&|value| value) / all as f64;
        let deviation = (sum(&|value| (value - mean).powi(2)) / all as f64).sqrt();
        let is_within = |value: f64| (value - mean).abs() <= deviation;
        Self {
            mean,
            deviation,
            max: values.iter().fold(0.0, |max, (value, _)| value.max(max)),
            within: sum(&|value| if is_within(value) { 1.0 } else { 0.0 }) / all as f64,
        }
    }
}

/// The values of a histogram, µs, with their counts.
pub(super) fn values(histogram: &Histogram) -> Vec<(f64, u64)> {
    histogram.buckets().map(|(us, count)| (us as f64, count)).collect()
}

/// A size in the largest of `units` that it has one of; each is 1,024 of the one before.
pub(super) fn in_binary_unit(bytes: f64, units: &[&'static str]) -> (f64, &'static str) {
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    (value, units[unit])
}

/// A line of the layout.
pub(super) fn line(out: &mut String, text: impl std::fmt::Display) {
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_its_values() {
        // Mean 5, deviation 2: the textbook's eight values.
        let values = [(2.0, 1), (4.0, 3), (5.0, 2), (7.0, 1), (9.0, 1)];
        let spread = Spread::of(&values);
        let expected = Spread { mean: 5.0, deviation: 2.0, max: 9.0, within: 0.75 };
        assert_eq!(spread, expected);
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
