//! Ids of iterations and calls in traces, as functions of numbers: nothing is stored for them.
//!
//! `engine` writes them into requests, `sinks` into what leaves a run.
//! Invariant: the same run, iteration and call have the same ids wherever they are computed; what
//! is sampled follows from the seed, so that runs with one seed sample the same iterations.

use crate::clock::RunOffset;
use crate::ids::{StepId, WorkloadId};
use crate::seed::{added, mixed};

/// An iteration of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IterationId {
    /// Its workload.
    pub workload: WorkloadId,
    /// The number of its arrival, its user, or itself, whichever the workload counts.
    pub item: u64,
    /// Its number among those of its user.
    pub iteration: u64,
}

/// The ids of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceIds {
    run: u64,
}

/// The ids of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IterationIds {
    run: u64,
    low: u64,
}

impl TraceIds {
    /// The ids of the run `run_id`.
    pub fn new(run_id: &str) -> Self {
        let words = run_id
            .as_bytes()
            .chunks(8)
            .map(|part| part.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
        Self { run: mixed(words).max(1) }
    }

    /// The ids of the iteration with this key: a number that follows from the seed, and is evenly
    /// spread over all iterations ([`CallRecord::key`](super::CallRecord::key)).
    #[inline]
    pub fn of(self, key: u64) -> IterationIds {
        IterationIds { run: self.run, low: added(self.run, key) }
    }
}

impl IterationIds {
    /// The trace (W3C Trace Context, 16 bytes, not all of them zero). Its first half is the same in
    /// all traces of a run.
    pub fn trace(self) -> u128 {
        u128::from(self.run) << 64 | u128::from(self.low)
    }

    /// The second half of the trace, which is its own.
    #[inline]
    pub fn own_half(self) -> u64 {
        self.low
    }

    /// The span of the whole iteration (8 bytes, not all of them zero).
    pub fn span(self) -> u64 {
        added(self.low, 1).max(1)
    }

    /// The span of the call of a step that was intended at a time.
    #[inline]
    pub fn call_span(self, step: StepId, intended: RunOffset) -> u64 {
        // Steps are 2⁴⁸ ns apart, which is three days: one word for both.
        let place = (2 + step.index() as u64) << 48;
        added(self.low, place.wrapping_add(intended.ns())).max(1)
    }

    /// The span of the attempt of a call with this number, from 1 on.
    pub fn attempt_span(call: u64, number: u32) -> u64 {
        mixed([call, u64::from(number)]).max(1)
    }
}

/// The share `ratio` of all sampling keys: those below the result. All of them for one and more.
pub fn keys_of_share(ratio: f64) -> u64 {
    // Exact: a float of 53 bits, scaled by a power of two; the conversion saturates.
    (ratio * 2f64.powi(64)) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::seed::{Seed, Stream};

    /// The keys of the iterations of some users.
    fn keys(seed: u64) -> impl Iterator<Item = u64> {
        let seed = Seed::new(seed).unwrap();
        (0..10_000).map(move |n| seed.key(Stream::Content, n / 10, n % 10))
    }

    #[test]
    fn ids_differ_and_depend_on_the_run() {
        let (ids, others) = (TraceIds::new("19a-1"), TraceIds::new("19a-2"));
        let mut traces = BTreeSet::new();
        let mut spans = BTreeSet::new();
        for (n, key) in keys(7).enumerate() {
            assert!(traces.insert(ids.of(key).trace()));
            assert!(traces.insert(others.of(key).trace()));
            assert!(spans.insert(ids.of(key).span()));
            for step in 0..2 {
                let intended = RunOffset::from_ns(n as u64 % 7);
                let call = ids.of(key).call_span(StepId::new(step), intended);
                assert!(spans.insert(call));
                assert!(
                    (1..3).all(|number| spans.insert(IterationIds::attempt_span(call, number)))
                );
            }
        }
    }

    #[test]
    fn a_share_of_the_keys_is_that_share_of_the_iterations() {
        assert_eq!((keys_of_share(0.0), keys_of_share(1.0)), (0, u64::MAX));
        assert_eq!(keys_of_share(0.25), 1 << 62);
        for ratio in [0.01, 0.1, 0.5] {
            let below = keys_of_share(ratio);
            let all = keys(11).count() as f64;
            let sampled = keys(11).filter(|key| *key < below).count() as f64;
            // Four standard deviations of a binomial distribution; the seed is fixed.
            let bound = 4.0 * (all * ratio * (1.0 - ratio)).sqrt();
            assert!((sampled - all * ratio).abs() < bound, "{sampled} of {all} for {ratio}");
        }
    }
}
