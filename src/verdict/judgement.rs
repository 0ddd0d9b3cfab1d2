//! A rule with what was observed, and how far that is from its limit.
//!
//! Invariant: a missed rule has no margin left.

use super::threshold::{Comparison, Threshold};

/// A rule as it was judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The rule.
    pub threshold: Threshold,
    /// What was observed, in the metric's unit; `None` when there was nothing to look at.
    pub observed: Option<f64>,
    /// The true value is not below `observed` and may be anything above it.
    pub at_least: bool,
    /// The percentile rests on fewer than ten calls above it.
    pub thin: bool,
    /// What has no known time and so makes `observed` a bound; all zero where it is none.
    pub unknown: UntimedRank,
    /// Where the window begins that `observed` is of, seconds after the run's start; `None` for a
    /// rule over the whole run.
    pub worst_at_s: Option<u32>,
    /// What would have been observed at least, had the generator not delayed calls itself, in the
    /// metric's unit; `None` if that is no other value.
    pub without_own_delay: Option<f64>,
    /// It fails only because the generator delayed calls itself: it holds without these delays.
    pub rests_on_own_delay: bool,
    /// It stopped the run; `observed` is what was observed then.
    pub stopped: Option<StoppedRun>,
    /// Whether it holds.
    pub passed: bool,
}

/// When a rule over the whole run stopped it, and what was observed at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoppedRun {
    /// When, seconds after the run's start.
    pub at_s: u64,
    /// What was observed at the end, after iterations drained, in the metric's unit; `None` if
    /// there was nothing to look at.
    pub observed_at_end: Option<f64>,
    /// The true value at the end is not below it and may be anything above.
    pub at_least_at_end: bool,
}

/// What a time statistic rests on that has no known time: it ranks above every response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UntimedRank {
    /// Starts that were dropped or suppressed: their calls were never made.
    pub starts: u64,
    /// Calls or iterations without a response, a timeout or a cut one among them.
    pub calls: u64,
    /// All that was ranked.
    pub all: u64,
}

impl Judgement {
    /// A rule with nothing to look at: it does not pass.
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

    /// How far it is from its limit, in the metric's unit: zero or below if it is missed. `None` if
    /// nothing was observed, or if it is missed because the observed value is only a bound.
    pub fn margin(&self) -> Option<f64> {
        let (observed, limit) = (self.observed?, self.threshold.limit);
        let margin = match self.threshold.op {
            Comparison::Less | Comparison::AtMost => limit - observed,
            Comparison::More | Comparison::AtLeast => observed - limit,
            Comparison::Equal => -(observed - limit).abs(),
        };
        (self.passed || margin <= 0.0 && !self.rests_on_bound()).then_some(margin)
    }

    /// Whether it is missed although the bound that was observed is within its limit.
    pub fn rests_on_bound(&self) -> bool {
        let holds = |value| self.threshold.op.holds(value, self.threshold.limit);
        !self.passed && self.at_least && self.observed.is_some_and(holds)
    }

    /// Whether not even a bound is known: no call was answered and none has an age.
    pub fn is_unknown(&self) -> bool {
        self.at_least && self.observed == Some(0.0)
    }
}
