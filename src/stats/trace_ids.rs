//! Ids of iterations and calls in traces, as functions of numbers: nothing is stored for them.
//!
//! `engine` writes them into requests, `sinks` into what leaves a run.
//! Invariant: the same run, iteration and call have the same ids wherever they are computed; what
//! is sampled follows from the seed, so that runs with one seed sample the same iterations.

use crate::clock::RunOffset;
use crate::ids::{StepId, WorkloadId};
use crate::seed::{Seed, added, mixed};

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
    seed: u64,
}

/// The ids of an iteration, computed once for all that a call needs of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IterationIds {
    /// The sampling key.
    pub key: u64,
    /// The lower half of the trace.
    low: u64,
}

impl TraceIds {
    /// The ids of the run `run_id`.
    pub fn new(run_id: &str, seed: Seed) -> Self {
        let words = run_id
            .as_bytes()
            .chunks(8)
            .map(|part| part.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte)));
        Self { run: mixed(words), seed: mixed([seed.value()]) }
    }

    /// A number of an iteration, evenly spread over all of them: an iteration is sampled if it is
    /// below the share that is wanted.
    #[inline]
    pub fn sampling_key(&self, of: IterationId) -> u64 {
        let workload = added(self.seed, of.workload.index() as u64);
        added(added(workload, of.item), of.iteration)
    }

    /// The ids of an iteration.
    #[inline]
    pub fn of(&self, iteration: IterationId) -> IterationIds {
        let key = self.sampling_key(iteration);
        IterationIds { key, low: added(self.run, key) }
    }

    /// The trace of an iteration (W3C Trace Context, 16 bytes, not all of them zero).
    pub fn trace_id(&self, of: IterationId) -> u128 {
        self.of(of).trace_id()
    }

    /// The span of a whole iteration (8 bytes, not all of them zero).
    pub fn iteration_span(&self, of: IterationId) -> u64 {
        added(self.of(of).low, 1).max(1)
    }

    /// The span of the call of a step that was intended at a time.
    pub fn call_span(&self, of: IterationId, step: StepId, intended: RunOffset) -> u64 {
        self.of(of).call_span(step, intended)
    }
}

impl IterationIds {
    /// As [`TraceIds::trace_id`].
    #[inline]
    pub fn trace_id(&self) -> u128 {
        (u128::from(added(self.low, 0)) << 64 | u128::from(self.low)).max(1)
    }

    /// As [`TraceIds::call_span`].
    #[inline]
    pub fn call_span(&self, step: StepId, intended: RunOffset) -> u64 {
        added(added(self.low, 2 + step.index() as u64), intended.ns()).max(1)
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

    fn iterations() -> impl Iterator<Item = IterationId> {
        (0..4).flat_map(|workload| {
            (0..2_500).map(move |item| IterationId {
                workload: WorkloadId::new(workload),
                item: item / 10,
                iteration: item % 10,
            })
        })
    }

    #[test]
    fn ids_differ_and_depend_on_the_run() {
        let seed = Seed::new(7).unwrap();
        let (ids, others) = (TraceIds::new("19a-1", seed), TraceIds::new("19a-2", seed));
        let mut traces = BTreeSet::new();
        let mut spans = BTreeSet::new();
        for one in iterations() {
            assert!(traces.insert(ids.trace_id(one)));
            assert!(traces.insert(others.trace_id(one)));
            assert!(spans.insert(ids.iteration_span(one)));
            for step in 0..2 {
                let intended = RunOffset::from_ns(one.item);
                assert!(spans.insert(ids.call_span(one, StepId::new(step), intended)));
            }
            assert_eq!(ids.sampling_key(one), others.sampling_key(one));
        }
    }

    #[test]
    fn a_share_of_the_keys_is_that_share_of_the_iterations() {
        let ids = TraceIds::new("19a-1", Seed::new(11).unwrap());
        assert_eq!((keys_of_share(0.0), keys_of_share(1.0)), (0, u64::MAX));
        assert_eq!(keys_of_share(0.25), 1 << 62);
        for ratio in [0.01, 0.1, 0.5] {
            let below = keys_of_share(ratio);
            let all = iterations().count() as f64;
            let sampled = iterations().filter(|one| ids.sampling_key(*one) < below).count() as f64;
            // Four standard deviations of a binomial distribution; the seed is fixed.
            let bound = 4.0 * (all * ratio * (1.0 - ratio)).sqrt();
            assert!((sampled - all * ratio).abs() < bound, "{sampled} of {all} for {ratio}");
        }
    }
}
