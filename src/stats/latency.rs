//! Latencies with censoring: calls without a response never look fast.
//!
//! A distribution of three parts: answered (the duration is known), at least (a timeout, or a call
//! cancelled at the hard end: it took no less than its age) and beyond (refused, reset, malformed,
//! never sent: ranked above every response). Recorders fill it, `verdict` and reports read it.
//! Invariant: every recorded call counts in `count`, so a percentile is over all of them.

use super::histogram::Histogram;

/// Durations of calls, including those without a response.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    pub(crate) responses: Histogram,
    pub(crate) at_least: Histogram,
    /// Indexed by [`Untimed`].
    pub(crate) beyond: [u64; Untimed::ALL.len()],
}

/// Why a call has no time at all: it ranks above every response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimed {
    /// The call was sent, or a connection was attempted, and no complete response came.
    NoResponse,
    /// A call that policy suppressed.
    Suppressed,
    /// A call that was not made: a generator error, or a value that it could not use.
    NotMade,
    /// A start that found no free user.
    Dropped,
    /// A start that policy suppressed.
    StartSuppressed,
    /// A message that never came.
    Lost,
}

impl Untimed {
    /// All reasons, in the order of their rows.
    pub const ALL: [Self; 6] = [
        Self::NoResponse,
        Self::Suppressed,
        Self::NotMade,
        Self::Dropped,
        Self::StartSuppressed,
        Self::Lost,
    ];

    /// The name of the reason's row.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoResponse => "no response",
            Self::Suppressed => "suppressed",
            Self::NotMade => "not made",
            Self::Dropped => "dropped",
            Self::StartSuppressed => "not started",
            Self::Lost => "lost",
        }
    }
}

/// A percentile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantile {
    /// The value in µs, or its lower bound.
    pub us: u64,
    /// Whether `us` is only a lower bound: the true value may lie anywhere above it.
    pub at_least: bool,
    /// Whether fewer than ten calls lie above it: it may differ in the next run.
    pub thin: bool,
}

impl Quantile {
    /// The value or bound in µs; `None` if not even a bound is known: no call had a response or an
    /// age.
    pub fn known_us(self) -> Option<u64> {
        (!self.at_least || self.us > 0).then_some(self.us)
    }
}

impl Latency {
    /// Records a complete response after `ns`.
    #[inline]
    pub fn record_response(&mut self, ns: u64) {
        self.responses.record_ns(ns);
    }

    /// Records a call without a response within `ns`.
    pub fn record_at_least(&mut self, ns: u64) {
        self.at_least.record_ns(ns);
    }

    /// Records `n` calls without a response, each after at least `ns`.
    pub fn record_at_least_n(&mut self, ns: u64, n: u64) {
        self.at_least.record_n(ns / 1_000, n);
    }

    /// Records a call without any time.
    pub fn record_untimed(&mut self, why: Untimed) {
        self.record_untimed_n(why, 1);
    }

    /// Records `n` calls without any time.
    pub fn record_untimed_n(&mut self, why: Untimed, n: u64) {
        self.beyond[why as usize] += n;
    }

    /// The number of calls without any time, for this reason.
    pub fn untimed(&self, why: Untimed) -> u64 {
        self.beyond[why as usize]
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.responses.merge(&other.responses);
        self.at_least.merge(&other.at_least);
        self.beyond.iter_mut().zip(&other.beyond).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Returns the distribution without `part`, all of whose calls must be included here.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        Self {
            responses: self.responses.without(&part.responses),
            at_least: self.at_least.without(&part.at_least),
            beyond: std::array::from_fn(|why| self.beyond[why].saturating_sub(part.beyond[why])),
        }
    }

    /// The number of recorded calls.
    pub fn count(&self) -> u64 {
        self.responses.count() + self.censored()
    }

    /// The number of calls whose duration is not known.
    pub fn censored(&self) -> u64 {
        self.at_least.count() + self.beyond.iter().sum::<u64>()
    }

    /// The calls with a response.
    pub fn responses(&self) -> &Histogram {
        &self.responses
    }

    /// The calls that took at least their age.
    pub fn timeouts(&self) -> &Histogram {
        &self.at_least
    }

    /// The percentile at `p` in 0..=1; `None` if nothing was recorded.
    ///
    /// With rank r = ⌈p·n⌉: if at least r responses exist, the true percentile is not above the
    /// r-th response, wherever the calls without one may rank; that is the value. Otherwise it is
    /// not below the r-th duration with each timeout at its age, and nothing is known above that;
    /// this is the bound.
    pub fn quantile(&self, p: f64) -> Option<Quantile> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = rank(p, count);
        let thin = (count as f64) * (1.0 - p) < 10.0 - 1e-9;
        if rank <= self.responses.count() {
            return Some(Quantile { us: self.responses.at_rank(rank), at_least: false, thin });
        }
        let us = if rank > self.responses.count() + self.at_least.count() {
            self.responses.max_us().max(self.at_least.max_us())
        } else {
            let mut both = self.responses.clone();
            both.merge(&self.at_least);
            both.at_rank(rank)
        };
        Some(Quantile { us, at_least: true, thin })
    }

    /// The longest duration; a bound if some call has no known duration.
    pub fn longest(&self) -> Option<Quantile> {
        (self.count() > 0).then(|| Quantile {
            us: self.responses.max_us().max(self.at_least.max_us()),
            at_least: self.censored() > 0,
            thin: false,
        })
    }

    /// The shortest response; `None` if there was none.
    pub fn shortest_us(&self) -> Option<u64> {
        (self.responses.count() > 0).then(|| self.responses.min_us())
    }

    /// The mean of the responses; `None` if there was none. It excludes calls without a response.
    pub fn mean_us(&self) -> Option<f64> {
        (self.responses.count() > 0).then(|| self.responses.mean_us())
    }
}

impl From<Histogram> for Latency {
    /// Wraps durations that are all known.
    fn from(responses: Histogram) -> Self {
        Self { responses, ..Self::default() }
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

    fn latency(responses_ms: &[u64], timeouts_ms: &[u64], beyond: u64) -> Latency {
        let mut latency = Latency::default();
        responses_ms.iter().for_each(|ms| latency.record_response(ms * 1_000_000));
        timeouts_ms.iter().for_each(|ms| latency.record_at_least(ms * 1_000_000));
        latency.record_untimed_n(Untimed::NoResponse, beyond);
        latency
    }

    #[test]
    fn calls_without_response_never_look_fast() {
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
    fn young_unfinished_call_ranks_above_every_response() {
        // Cancelled at an age of 10 ms: it may in truth have been the slowest of all, but no more.
        let found = latency(&[20; 99], &[10], 0);
        assert!(!found.quantile(0.5).unwrap().at_least);
        assert!(!found.quantile(0.99).unwrap().at_least);
        let last = found.quantile(1.0).unwrap();
        assert!(last.at_least && last.us >= 20_000);
        // With many young ones, a percentile is a bound as soon as its rank exceeds the responses.
        let found = latency(&[100; 80], &[1; 20], 0);
        let (known, bound) = (found.quantile(0.8).unwrap(), found.quantile(0.81).unwrap());
        assert!(!known.at_least && bound.at_least && bound.us >= 100_000);
    }

    #[test]
    fn outage_has_neither_value_nor_bound() {
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
