//! Latencies with censoring: what got no answer never looks fast.
//!
//! A distribution of three parts: answered (the duration is known), at least (a timeout, a call
//! cut at the hard end: it took no less than its age) and beyond (refused, reset, malformed,
//! never sent: above every answer).
//! Invariant: every recorded call counts in `count`, so a percentile is over all of them.

use super::histogram::Histogram;

/// Durations of calls, also of those that never got an answer.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    pub(crate) answered: Histogram,
    pub(crate) at_least: Histogram,
    /// By [`Untimed`].
    pub(crate) beyond: [u64; Untimed::ALL.len()],
}

/// Why there is no time of a call at all: it ranks above every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimed {
    /// It was sent, or its connection was tried, and no complete response came.
    NoResponse,
    /// A call that policy did not let out.
    Suppressed,
    /// A call that could not be made: a generator error, or a value it could not use.
    NotMade,
    /// A start that found no free user.
    Dropped,
    /// A start that policy held back.
    StartSuppressed,
}

impl Untimed {
    /// All of them, in the order of their rows.
    pub const ALL: [Self; 5] =
        [Self::NoResponse, Self::Suppressed, Self::NotMade, Self::Dropped, Self::StartSuppressed];

    /// The name of its row.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoResponse => "no response",
            Self::Suppressed => "suppressed",
            Self::NotMade => "not made",
            Self::Dropped => "dropped",
            Self::StartSuppressed => "not started",
        }
    }
}

/// A percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// The value in µs, or the bound it is not below.
    pub us: u64,
    /// The true value is not below `us` and may lie anywhere above it.
    pub at_least: bool,
    /// Fewer than ten calls lie above it: it may move with the next run.
    pub thin: bool,
}

impl Quantile {
    /// The value or bound in µs; `None` if not even a bound is known: no call got an answer, none
    /// had an age.
    pub fn known_us(self) -> Option<u64> {
        (!self.at_least || self.us > 0).then_some(self.us)
    }
}

impl Latency {
    /// A complete answer after `ns`.
    #[inline]
    pub fn answered(&mut self, ns: u64) {
        self.answered.record_ns(ns);
    }

    /// No answer within `ns`.
    pub fn at_least(&mut self, ns: u64) {
        self.at_least.record_ns(ns);
    }

    /// `n` without an answer, each after no less than `ns`.
    pub fn at_least_n(&mut self, ns: u64, n: u64) {
        self.at_least.record_n(ns / 1_000, n);
    }

    /// One without any time.
    pub fn beyond(&mut self, why: Untimed) {
        self.beyond_n(why, 1);
    }

    /// `n` without any time.
    pub fn beyond_n(&mut self, why: Untimed, n: u64) {
        self.beyond[why as usize] += n;
    }

    /// How many have no time at all, for this reason.
    pub fn untimed(&self, why: Untimed) -> u64 {
        self.beyond[why as usize]
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.answered.merge(&other.answered);
        self.at_least.merge(&other.at_least);
        self.beyond.iter_mut().zip(&other.beyond).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// What is left when `part` is taken out, whose calls are all recorded here.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        Self {
            answered: self.answered.without(&part.answered),
            at_least: self.at_least.without(&part.at_least),
            beyond: std::array::from_fn(|why| self.beyond[why].saturating_sub(part.beyond[why])),
        }
    }

    /// All recorded calls.
    pub fn count(&self) -> u64 {
        self.answered.count() + self.censored()
    }

    /// Those whose duration is not known.
    pub fn censored(&self) -> u64 {
        self.at_least.count() + self.beyond.iter().sum::<u64>()
    }

    /// The answered part.
    pub fn answers(&self) -> &Histogram {
        &self.answered
    }

    /// The part that took no less than its age.
    pub fn timeouts(&self) -> &Histogram {
        &self.at_least
    }

    /// The percentile at `p` in 0..=1; `None` when nothing was recorded.
    ///
    /// With rank r = ⌈p·n⌉: as long as r answers exist, the true percentile is not above the r-th
    /// answer, wherever those without an answer may lie; that is the value. Beyond the answers it
    /// is not below the r-th duration with each timeout at its age, and nothing is known above:
    /// that is the bound.
    pub fn quantile(&self, p: f64) -> Option<Quantile> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = rank(p, count);
        let thin = (count as f64) * (1.0 - p) < 10.0 - 1e-9;
        if rank <= self.answered.count() {
            return Some(Quantile { us: self.answered.at_rank(rank), at_least: false, thin });
        }
        let us = if rank > self.answered.count() + self.at_least.count() {
            self.answered.max_us().max(self.at_least.max_us())
        } else {
            let mut both = self.answered.clone();
            both.merge(&self.at_least);
            both.at_rank(rank)
        };
        Some(Quantile { us, at_least: true, thin })
    }

    /// The longest; `at_least` when some call has no known duration.
    pub fn longest(&self) -> Option<Quantile> {
        (self.count() > 0).then(|| Quantile {
            us: self.answered.max_us().max(self.at_least.max_us()),
            at_least: self.censored() > 0,
            thin: false,
        })
    }

    /// The shortest answer; `None` when there was no answer.
    pub fn shortest_us(&self) -> Option<u64> {
        (self.answered.count() > 0).then(|| self.answered.min_us())
    }

    /// The mean of the answered part; `None` when there was no answer. It says nothing of the rest.
    pub fn mean_us(&self) -> Option<f64> {
        (self.answered.count() > 0).then(|| self.answered.mean_us())
    }
}

impl From<Histogram> for Latency {
    /// Durations that are all known.
    fn from(answered: Histogram) -> Self {
        Self { answered, ..Self::default() }
    }
}

/// The rank of percentile `p` among `count`: ⌈p·count⌉, at least 1.
pub fn rank(p: f64, count: u64) -> u64 {
    // Without the nudge 0.99 × 100 would be 99.00000000000001 and round up to rank 100.
    ((p * count as f64 - 1e-6).ceil() as u64).clamp(1, count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(answers_ms: &[u64], timeouts_ms: &[u64], beyond: u64) -> Latency {
        let mut latency = Latency::default();
        answers_ms.iter().for_each(|ms| latency.answered(ms * 1_000_000));
        timeouts_ms.iter().for_each(|ms| latency.at_least(ms * 1_000_000));
        latency.beyond_n(Untimed::NoResponse, beyond);
        latency
    }

    #[test]
    fn what_got_no_answer_never_looks_fast() {
        let fast = vec![1; 90];
        // (timeouts, beyond, p) → (ms, at_least)
        for (timeouts, beyond, p, ms, at_least) in [
            (vec![], 0, 0.99, 1, false),
            (vec![], 10, 0.5, 1, false),
            (vec![], 10, 0.95, 1, true),
            (vec![30_000; 10], 0, 0.5, 1, false),
            (vec![30_000; 10], 0, 0.95, 30_000, true),
            (vec![30_000; 5], 5, 0.99, 30_000, true),
        ] {
            let found = latency(&fast, &timeouts, beyond).quantile(p).unwrap();
            assert_eq!(found.at_least, at_least, "{timeouts:?} {beyond} {p}");
            let exact = ms * 1_000;
            assert!(found.us >= exact && found.us <= exact + exact / 1_000, "{found:?}");
        }
    }

    #[test]
    fn a_young_unfinished_call_is_above_every_answer_and_spoils_no_other_rank() {
        // Cut at an age of 10 ms: it may in truth have been the slowest of all, but no more.
        let found = latency(&[20; 99], &[10], 0);
        assert!(!found.quantile(0.5).unwrap().at_least);
        assert!(!found.quantile(0.99).unwrap().at_least);
        let last = found.quantile(1.0).unwrap();
        assert!(last.at_least && last.us >= 20_000);
        // Of many young ones a percentile is a bound as soon as it leaves the answers.
        let found = latency(&[100; 80], &[1; 20], 0);
        let (known, bound) = (found.quantile(0.8).unwrap(), found.quantile(0.81).unwrap());
        assert!(!known.at_least && bound.at_least && bound.us >= 100_000);
    }

    #[test]
    fn an_outage_has_no_value_and_no_bound() {
        let outage = latency(&[], &[], 20);
        assert_eq!(outage.quantile(0.5).unwrap().known_us(), None);
        assert_eq!(outage.longest().unwrap().known_us(), None);
        assert_eq!(latency(&[0; 20], &[], 0).quantile(0.5).unwrap().known_us(), Some(0));
        assert!(latency(&[], &[9], 1).longest().unwrap().known_us().is_some());
    }

    #[test]
    fn few_calls_make_thin_percentiles() {
        let hundred = latency(&[1; 100], &[], 0);
        assert!(!hundred.quantile(0.9).unwrap().thin, "ten lie above p90");
        assert!(hundred.quantile(0.95).unwrap().thin);
        assert_eq!(Latency::default().quantile(0.5), None);
    }

    #[test]
    fn ranks_do_not_suffer_from_binary_fractions() {
        assert_eq!(rank(0.99, 100), 99);
        assert_eq!(rank(0.999, 1_000), 999);
        assert_eq!(rank(0.5, 3), 2);
        assert_eq!(rank(0.0, 3), 1);
        assert_eq!(rank(1.0, 3), 3);
    }
}
