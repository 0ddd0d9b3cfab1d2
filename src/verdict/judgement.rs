//! A threshold with its observed value, and the margin to its limit.
//!
//! `judge` and `watch` create it, `report` and `sinks` show it.
//! Invariant: a missed threshold has no positive margin.

use super::threshold::{Comparison, Threshold};

/// A judged threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The threshold.
    pub threshold: Threshold,
    /// The observed value, in the metric's unit; `None` if there was no data.
    pub observed: Option<f64>,
    /// Whether `observed` is only a lower bound of the true value.
    pub at_least: bool,
    /// Whether fewer than ten calls lie above the percentile.
    pub thin: bool,
    /// The calls and starts without a known time that make `observed` a bound; all zero if it is
    /// not a bound.
    pub unknown: UntimedRank,
    /// Where the window with the worst value begins, seconds after the run's start; `None` for a
    /// threshold over the whole run.
    pub worst_at_s: Option<u32>,
    /// Lower bound of what would have been observed if the generator had not delayed calls itself,
    /// in the metric's unit; `None` if that is the same value.
    pub without_own_delay: Option<f64>,
    /// Whether the judgement fails only because the generator delayed calls itself: it holds
    /// without these delays.
    pub rests_on_own_delay: bool,
    /// When the threshold stopped the run, if it did; `observed` is the value at that time.
    pub stopped: Option<StoppedRun>,
    /// Whether the judgement holds.
    pub passed: bool,
}

/// When a threshold over the whole run stopped it, and the value at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoppedRun {
    /// Seconds after the run's start.
    pub at_s: u64,
    /// The value at the end, after iterations drained, in the metric's unit; `None` if there was no
    /// data.
    pub observed_at_end: Option<f64>,
    /// Whether the value at the end is only a lower bound.
    pub at_least_at_end: bool,
}

/// The starts and calls without a known time in a time statistic: they rank above every response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntimedRank {
    /// Starts that were dropped or suppressed: their calls were never made.
    pub starts: u64,
    /// Calls or iterations without a response, including timeouts and cancelled ones.
    pub calls: u64,
    /// All ranked values.
    pub all: u64,
}

impl Judgement {
    /// Creates the judgement of a threshold without data: it does not pass.
    pub fn nothing_observed(threshold: &Threshold) -> Self {
        Self {
            threshold: threshold.clone(),
            observed: None,
            at_least: false,
            thin: false,
            unknown: UntimedRank::default(),
            worst_at_s: None,
            without_own_delay: None,
            rests_on_own_delay: false,
            stopped: None,
            passed: false,
        }
    }

    /// The distance to the limit, in the metric's unit: zero or below if the threshold fails.
    /// `None` if there was no data, or if it fails because the observed value is only a bound.
    pub fn margin(&self) -> Option<f64> {
        let (observed, limit) = (self.observed?, self.threshold.limit);
        let margin = match self.threshold.op {
            Comparison::Less | Comparison::AtMost => limit - observed,
            Comparison::More | Comparison::AtLeast => observed - limit,
            Comparison::Equal => -(observed - limit).abs(),
        };
        (self.passed || margin <= 0.0 && !self.rests_on_bound()).then_some(margin)
    }

    /// Whether the threshold fails although the observed value is within its limit: the value is
    /// only a bound, because of calls without a response.
    pub fn rests_on_bound(&self) -> bool {
        let holds = |value| self.threshold.op.holds(value, self.threshold.limit);
        !self.passed && self.at_least && self.observed.is_some_and(holds)
    }

    /// Whether not even a bound is known: no call had a response or an age.
    pub fn is_unknown(&self) -> bool {
        self.at_least && self.observed == Some(0.0)
    }
}
