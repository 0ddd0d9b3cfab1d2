//! Calls whose traces a report names: of each step the slowest ones, and the latest one of each
//! range of response times; and the first failures.
//!
//! The Tally folds them out of the calls that deltas keep; `report` and `sinks` show them.
//! Invariant: their number is bounded by that of the steps, and they do not depend on the order of
//! deltas.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::call_record::{CallRecord, KeptCalls};
use super::exemplar::{FailureMode, FirstFailures};
use super::outcome::{AttemptOutcome, CallResult};
use crate::clock::RunOffset;
use crate::ids::StepId;

/// Upper bounds of ranges of times, µs: those of classic histograms of metrics, 100 µs to 60 s.
pub const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Maximum number of slowest calls of a step.
pub const MOST_SLOWEST: usize = 5;

/// Which of the kept calls have a trace that can be looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceSelection {
    /// The bound of the sampling keys of sampled iterations.
    pub below: u64,
    /// Whether spans are sent to a receiver, which gets those of failed and of slowest calls, too.
    /// Otherwise only the target has the traces of sampled iterations.
    pub exports_spans: bool,
}

impl TraceSelection {
    /// Whether the iteration of a call is sampled: its request says so.
    pub const fn is_sampled(self, call: &CallRecord) -> bool {
        call.because.sampled && call.key < self.below
    }

    /// Whether a call has a span at the receiver of spans.
    pub const fn has_span(self, call: &CallRecord) -> bool {
        self.is_sampled(call) || call.because.failed || call.because.slowest
    }

    /// Whether a call has a trace that can be looked up.
    const fn has_trace(self, call: &CallRecord) -> bool {
        self.is_sampled(call) || self.exports_spans && self.has_span(call)
    }
}

/// A call of a range of response times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketExemplar {
    /// The key of its iteration, from which its ids follow.
    pub key: u64,
    /// Its intended start.
    pub intended: RunOffset,
    /// From the intended start to the end, ns.
    pub response_ns: u64,
}

impl BucketExemplar {
    /// When the call ended, milliseconds after the start of the run.
    pub const fn end_ms(&self) -> u64 {
        self.intended.ns().saturating_add(self.response_ns) / 1_000_000
    }

    /// Of several calls, the one with the highest rank stays: the latest by its millisecond, since
    /// receivers refuse an exemplar that is older, or of the same millisecond and less than the
    /// one before.
    const fn rank(&self) -> (u64, u64, u64, RunOffset) {
        (self.end_ms(), self.response_ns, self.key, self.intended)
    }
}

/// The calls of a step.
#[derive(Clone, Debug, Default, PartialEq)]
struct StepTraces {
    slowest: Vec<CallRecord>,
    /// By the index of the range: that of its bound, or [`BOUNDS_US`]`.len()` above all.
    warmup: BTreeMap<usize, BucketExemplar>,
    measured: BTreeMap<usize, BucketExemplar>,
}

/// Calls whose traces can be looked up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TracedCalls {
    steps: BTreeMap<StepId, StepTraces>,
    /// By step and kind: when the first failure was due, its user, and the key of its iteration.
    failures: BTreeMap<(StepId, FailureMode), (RunOffset, u64, u64)>,
}

impl TracedCalls {
    /// The slowest calls of a step that were due after the warm-up, the slowest first.
    pub fn slowest(&self, step: StepId) -> &[CallRecord] {
        self.steps.get(&step).map_or(&[], |traces| &traces.slowest)
    }

    /// Of each range of response times, the latest call: with the index of the range.
    pub fn buckets(
        &self,
        step: StepId,
        is_measured: bool,
    ) -> impl Iterator<Item = (usize, BucketExemplar)> + '_ {
        let traces = self.steps.get(&step);
        let all = traces.map(|one| if is_measured { &one.measured } else { &one.warmup });
        all.into_iter().flatten().map(|(bucket, one)| (*bucket, *one))
    }

    /// The key of the iteration of the first failure of a kind, which this user was to make at this
    /// time; `None` if its call has no trace.
    pub fn failure(
        &self,
        kind: (StepId, FailureMode),
        intended: RunOffset,
        user: u64,
    ) -> Option<u64> {
        let (at, of, key) = self.failures.get(&kind)?;
        (*at == intended && *of == user).then_some(*key)
    }

    /// Adds the calls that a delta keeps, and its first failures. `warmup_ns`: calls that were due
    /// before do not count as measured.
    pub(super) fn absorb(
        &mut self,
        kept: &KeptCalls,
        failures: &FirstFailures,
        selection: TraceSelection,
        warmup_ns: u64,
    ) {
        let traced = || kept.calls.iter().filter(|call| selection.has_trace(call));
        for call in traced() {
            self.add(call, call.intended.ns() >= warmup_ns);
        }
        for (kind, first) in &failures.first {
            let when = (first.intended, first.user);
            if self.failures.get(kind).is_some_and(|(at, user, _)| (*at, *user) <= when) {
                continue;
            }
            let is_it = |call: &&CallRecord| {
                call.step == first.step
                    && call.intended == first.intended
                    && call.user == first.user
            };
            if let Some(call) = traced().find(is_it) {
                self.failures.insert(*kind, (call.intended, call.user, call.key));
            }
        }
    }

    /// Removes failures that are not among these.
    pub(super) fn retain_failures(&mut self, failures: &FirstFailures) {
        self.failures.retain(|kind, _| failures.first.contains_key(kind));
    }

    fn add(&mut self, call: &CallRecord, is_measured: bool) {
        // Others were not sent, or did not end by themselves.
        let was_sent =
            matches!(call.result, CallResult::Ok | CallResult::Failed | CallResult::Timeout)
                && call.attempts > 0;
        if !was_sent {
            return;
        }
        let traces = self.steps.entry(call.step).or_default();
        if is_measured {
            let rank = |one: &CallRecord| (Reverse(one.response_ns), one.key, one.intended);
            let at = traces.slowest.partition_point(|one| rank(one) < rank(call));
            if at < MOST_SLOWEST {
                traces.slowest.insert(at, call.clone());
                traces.slowest.truncate(MOST_SLOWEST);
            }
        }
        if let (
            CallResult::Ok | CallResult::Failed,
            AttemptOutcome::Responded(_) | AttemptOutcome::Done,
        ) = (call.result, call.outcome)
        {
            let one = BucketExemplar {
                key: call.key,
                intended: call.intended,
                response_ns: call.response_ns,
            };
            let bucket =
                BOUNDS_US.partition_point(|bound| bound.saturating_mul(1_000) < call.response_ns);
            let buckets = if is_measured { &mut traces.measured } else { &mut traces.warmup };
            let known = buckets.entry(bucket).or_insert(one);
            if known.rank() < one.rank() {
                *known = one;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::stats::call_record::KeptBecause;
    use crate::stats::exemplar::Exemplar;
    use crate::stats::outcome::{AttemptPhase, BlockCause};

    const EXPORTED: TraceSelection = TraceSelection { below: 500, exports_spans: true };

    /// A call of step `item % 2`; a tenth of them failed.
    fn call(item: u64) -> CallRecord {
        let status = if item.is_multiple_of(10) { 500 } else { 200 };
        let response_ns = item * item % 7_919 * 50_000;
        CallRecord {
            key: item * 617 % 1_000,
            intended: RunOffset::from_ns(item * 10_000_000),
            because: KeptBecause {
                sampled: true,
                failed: status == 500,
                slowest: item.is_multiple_of(7),
            },
            ..CallRecord::made_up(item, (item % 2) as usize, response_ns, status)
        }
    }

    fn failure(call: &CallRecord) -> FirstFailures {
        let exemplar = Exemplar {
            step: call.step,
            failing: FailureMode::Status(500),
            intended: call.intended,
            user: call.user,
            curl: String::new(),
            cut: false,
            status: Some(500),
            error: None,
            error_text: String::new(),
            failed: Vec::new(),
            head: String::new(),
            body: String::new(),
        };
        let mut failures = FirstFailures::default();
        failures.keep(Arc::new(exemplar));
        failures
    }

    /// Deltas of one call each.
    fn folded(calls: impl Iterator<Item = CallRecord>, selection: TraceSelection) -> TracedCalls {
        let (mut all, mut first) = (TracedCalls::default(), FirstFailures::default());
        for call in calls {
            let failures =
                if call.because.failed { failure(&call) } else { FirstFailures::default() };
            let kept = KeptCalls { calls: vec![call], ..KeptCalls::default() };
            first.merge(&failures);
            all.absorb(&kept, &failures, selection, 1_000_000_000);
            all.retain_failures(&first);
        }
        all
    }

    #[test]
    fn calls_are_the_same_in_any_order() {
        let forward = folded((0..2_000).map(call), EXPORTED);
        assert_eq!(forward, folded((0..2_000).rev().map(call), EXPORTED));
        // By a stride that meets each once.
        assert_eq!(forward, folded((0..2_000).map(|n| call(n * 777 % 2_000)), EXPORTED));
    }

    #[test]
    fn slowest_and_latest_are_those_of_all_calls_with_a_trace() {
        let all = folded((0..2_000).map(call), EXPORTED);
        let has_trace =
            |one: &CallRecord| one.key < 500 || one.because.failed || one.because.slowest;
        for step in [0, 1].map(StepId::new) {
            let of_step = || (0..2_000).map(call).filter(|one| one.step == step && has_trace(one));
            let mut slowest: Vec<u64> = of_step()
                .filter(|one| one.intended.ns() >= 1_000_000_000)
                .map(|one| one.response_ns)
                .collect();
            slowest.sort_unstable_by_key(|ns| Reverse(*ns));
            let got: Vec<u64> = all.slowest(step).iter().map(|one| one.response_ns).collect();
            assert_eq!(got, slowest[..MOST_SLOWEST]);
            for is_measured in [false, true] {
                let mut ranges = 0;
                for (bucket, one) in all.buckets(step, is_measured) {
                    ranges += 1;
                    let within = |ns: u64| {
                        let low = bucket.checked_sub(1).map(|at| BOUNDS_US[at] * 1_000);
                        let high = BOUNDS_US.get(bucket).map(|us| us * 1_000);
                        low.is_none_or(|low| low < ns) && high.is_none_or(|high| ns <= high)
                    };
                    assert!(within(one.response_ns), "{bucket} {one:?}");
                    let last = of_step()
                        .filter(|call| within(call.response_ns))
                        .filter(|call| (call.intended.ns() >= 1_000_000_000) == is_measured)
                        .map(|call| (call.intended.ns() + call.response_ns) / 1_000_000)
                        .max();
                    assert_eq!(Some(one.end_ms()), last);
                }
                assert!(ranges >= 3, "{ranges}");
            }
        }
    }

    #[test]
    fn failures_have_the_key_of_the_first_one() {
        let all = folded((10..2_000).rev().map(call), EXPORTED);
        let kind = (StepId::new(0), FailureMode::Status(500));
        let first = call(10);
        assert_eq!(all.failure(kind, first.intended, first.user), Some(first.key));
        assert_eq!(all.failure(kind, first.intended, first.user + 1), None);
        assert_eq!(all.failure((kind.0, FailureMode::Status(404)), first.intended, 10), None);
    }

    #[test]
    fn without_a_receiver_only_sampled_iterations_have_traces() {
        let selection = TraceSelection { exports_spans: false, ..EXPORTED };
        let all = folded((0..2_000).map(call), selection);
        let steps = [0, 1].map(StepId::new);
        assert!(steps.iter().flat_map(|step| all.slowest(*step)).all(|one| one.key < 500));
        let none = TraceSelection { below: 0, ..selection };
        assert_eq!(folded((0..2_000).map(call), none), TracedCalls::default());
        // A file of samples has all calls kept as sampled ones: their traces are fewer.
        let mut left_out = call(2);
        assert!(selection.is_sampled(&left_out) && !selection.is_sampled(&call(1)));
        left_out.because.sampled = false;
        assert!(!selection.is_sampled(&left_out));
    }

    #[test]
    fn what_was_not_sent_or_has_no_response_is_in_no_range() {
        let of = |result, outcome, attempts| {
            let one = CallRecord { attempts, outcome, result, ..call(500) };
            let all = folded([one].into_iter(), TraceSelection { below: 1_000, ..EXPORTED });
            let step = StepId::new(0);
            (all.slowest(step).len(), all.buckets(step, true).count())
        };
        let responded = AttemptOutcome::Responded(200);
        assert_eq!(of(CallResult::Ok, responded, 1), (1, 1));
        assert_eq!(of(CallResult::Ok, responded, 0), (0, 0));
        let timeout = AttemptOutcome::Timeout(AttemptPhase::FirstByte);
        assert_eq!(of(CallResult::Timeout, timeout, 1), (1, 0));
        let suppressed = AttemptOutcome::Suppressed(BlockCause::Breaker);
        assert_eq!(of(CallResult::Suppressed, suppressed, 0), (0, 0));
        let unfinished = AttemptOutcome::Unfinished(AttemptPhase::Body);
        assert_eq!(of(CallResult::Unfinished, unfinished, 1), (0, 0));
    }
}
