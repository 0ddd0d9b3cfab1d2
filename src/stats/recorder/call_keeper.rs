//! Keeping calls one by one: of sampled iterations, the first failures of each kind, and the
//! slowest call of each step.
//!
//! The Recorder passes it each call of a run that keeps any.
//! Invariant: what is kept is bounded per interval; a sampled iteration has all of its calls or
//! none, unless the bound falls while it runs.

use crate::ids::StepId;
use crate::stats::call_record::{CallRecord, CallSampling, IterationRecord, KeptCalls};
use crate::stats::outcome::{AttemptOutcome, CallResult, error_index};

/// Failed calls that are kept of each step and kind of failure in an interval.
const MOST_OF_A_KIND: u32 = 8;

/// Failed calls that are kept in an interval.
const MOST_FAILURES: u32 = 128;

/// Sampled calls that a shard keeps per interval at least, whatever its share.
const LEAST: u64 = 16;

/// The calls of a shard that are kept.
#[derive(Debug, Default)]
pub(super) struct CallKeeper {
    /// Keys of sampled iterations that are wanted.
    wanted_below: u64,
    /// Keys of those that fit.
    below: u64,
    most: usize,
    sampled: usize,
    failed: u32,
    /// Failed calls of this interval, by step and kind.
    kinds: Vec<((StepId, usize), u32)>,
    /// The longest response time of this interval by step, ns, and its call.
    slowest: Vec<(u64, Option<Box<CallRecord>>)>,
    kept: KeptCalls,
}

impl CallKeeper {
    /// Keeps what `sampling` says, as one of `shards` over the whole run that have `steps` series.
    pub(super) fn new(sampling: CallSampling, shards: usize, steps: usize) -> Self {
        let most = (sampling.most_per_second / shards.max(1) as u64).max(LEAST);
        Self {
            wanted_below: sampling.below,
            below: sampling.below,
            most: usize::try_from(most).unwrap_or(usize::MAX),
            slowest: vec![(0, None); steps],
            ..Self::default()
        }
    }

    /// Whether a call is of use: the key of its iteration, its series, result and time.
    #[inline]
    pub(super) fn wants(
        &self,
        key: u64,
        step: StepId,
        result: CallResult,
        response_ns: u64,
    ) -> bool {
        key < self.wanted_below
            || !matches!(result, CallResult::Ok | CallResult::Muted)
            || response_ns > self.slowest[step.index()].0 && result == CallResult::Ok
    }

    /// Keeps a call.
    pub(super) fn keep(&mut self, mut record: CallRecord) {
        let (step, ns) = (record.step, record.response_ns);
        record.because.sampled = record.key < self.below;
        self.kept.sampled_left_out +=
            u64::from(!record.because.sampled && record.key < self.wanted_below);
        let has_failed = !matches!(record.result, CallResult::Ok | CallResult::Muted);
        // What the end of the run cuts off has not failed.
        if has_failed && record.result != CallResult::Unfinished {
            record.because.failed = self.has_room_for(&record);
            self.kept.failed_left_out +=
                u64::from(!record.because.failed && !record.because.sampled);
        }
        if record.result == CallResult::Ok && ns > self.slowest[step.index()].0 {
            self.slowest[step.index()] = (ns, Some(Box::new(record.clone())));
        }
        if record.because.sampled || record.because.failed {
            self.sampled += usize::from(record.because.sampled);
            self.kept.calls.push(record);
            while self.sampled > self.most {
                self.sample_half();
            }
        }
    }

    /// Whether few calls of the interval have failed like this one.
    fn has_room_for(&mut self, record: &CallRecord) -> bool {
        let kind = match record.outcome {
            AttemptOutcome::Responded(status) => usize::from(status),
            outcome => 1_000 + error_index(outcome).unwrap_or_default(),
        };
        let kind = (record.step, kind);
        let at = self.kinds.iter().position(|(known, _)| *known == kind).unwrap_or_else(|| {
            self.kinds.push((kind, 0));
            self.kinds.len() - 1
        });
        let count = &mut self.kinds[at].1;
        let has_room = *count < MOST_OF_A_KIND && self.failed < MOST_FAILURES;
        *count += u32::from(has_room);
        self.failed += u32::from(has_room);
        has_room
    }

    /// Samples half as many iterations from now on, and of this interval.
    fn sample_half(&mut self) {
        self.below /= 2;
        let below = self.below;
        let mut left_out = 0;
        self.kept.calls.retain_mut(|one| {
            let is_cut = one.because.sampled && one.key >= below;
            left_out += usize::from(is_cut);
            one.because.sampled &= !is_cut;
            !is_cut || one.because.failed
        });
        self.kept.iterations.retain(|one| one.key < below);
        self.sampled -= left_out;
        self.kept.sampled_left_out += left_out as u64;
    }

    /// Whether the iteration with this key is sampled.
    #[inline]
    pub(super) fn wants_iteration(&self, key: u64) -> bool {
        key < self.below
    }

    /// Keeps an iteration, unless there are too many.
    pub(super) fn keep_iteration(&mut self, record: IterationRecord) {
        if self.wants_iteration(record.key) && self.kept.iterations.len() < self.most {
            self.kept.iterations.push(record);
        }
    }

    /// Returns what was kept since the last call.
    pub(super) fn take(&mut self) -> KeptCalls {
        for (ns, slowest) in &mut self.slowest {
            *ns = 0;
            let Some(mut slowest) = slowest.take() else { continue };
            let is_same = |one: &&mut CallRecord| {
                one.iteration == slowest.iteration
                    && one.step == slowest.step
                    && one.intended == slowest.intended
            };
            match self.kept.calls.iter_mut().find(is_same) {
                Some(known) => known.because.slowest = true,
                None => {
                    slowest.because.sampled = false;
                    slowest.because.slowest = true;
                    self.kept.calls.push(*slowest);
                }
            }
        }
        if self.sampled < self.most / 4 {
            self.below = self.below.saturating_mul(2).max(1).min(self.wanted_below);
        }
        (self.sampled, self.failed) = (0, 0);
        self.kinds.clear();
        std::mem::take(&mut self.kept)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recorder;
    use super::*;
    use crate::clock::Time;
    use crate::seed::mixed;
    use crate::stats::Gauges;
    use crate::stats::sample::SeriesLayout;
    use crate::stats::trace_ids::keys_of_share;

    fn recorder(below: u64, most_per_second: u64) -> Recorder {
        let layout = SeriesLayout { workloads: 1, checks: vec![0, 0], ..SeriesLayout::default() };
        let mut recorder = Recorder::new(layout, 0, Time(0));
        recorder.keep_calls(CallSampling { below, most_per_second }, 1);
        recorder
    }

    fn record(item: u64, step: usize, response_ns: u64, status: u16) -> CallRecord {
        let one = CallRecord::made_up(item, step, response_ns, status);
        CallRecord { key: mixed([item]), ..one }
    }

    fn add(recorder: &mut Recorder, one: CallRecord) {
        let keeper = recorder.keeper.as_ref().unwrap();
        if keeper.wants(one.key, one.step, one.result, one.response_ns) {
            recorder.keep_call(one);
        }
    }

    fn take(recorder: &mut Recorder) -> KeptCalls {
        recorder.take_interval(Gauges::default(), Time(1)).kept
    }

    #[test]
    fn iterations_are_sampled_whole() {
        let below = keys_of_share(0.25);
        let mut recorder = recorder(below, 10_000);
        for item in 0..1_000 {
            for step in 0..2 {
                // The second step is the slowest at the end; it is kept for that as well.
                add(&mut recorder, record(item, step, 1_000 - item, 200));
            }
        }
        let kept = take(&mut recorder);
        let sampled: Vec<u64> = (0..1_000).filter(|item| mixed([*item]) < below).collect();
        let of_step = |step: usize| -> Vec<u64> {
            let calls = kept.calls.iter().filter(|one| one.because.sampled);
            calls.filter(|one| one.step.index() == step).map(|one| one.iteration.item).collect()
        };
        assert_eq!((of_step(0), of_step(1)), (sampled.clone(), sampled.clone()));
        let slowest: Vec<u64> = kept
            .calls
            .iter()
            .filter(|one| one.because.slowest)
            .map(|one| one.iteration.item)
            .collect();
        assert_eq!(slowest, [0, 0]);
        assert!(kept.calls.len() <= 2 * sampled.len() + 2);
        assert_eq!((kept.sampled_left_out, kept.failed_left_out), (0, 0));
        assert!(take(&mut recorder).is_empty());
    }

    #[test]
    fn too_many_sampled_calls_lower_the_share_and_are_counted() {
        let mut recorder = recorder(u64::MAX, 100);
        for item in 0..10_000 {
            add(&mut recorder, record(item, 0, 5, 200));
        }
        let kept = take(&mut recorder);
        let sampled = kept.calls.iter().filter(|one| one.because.sampled).count();
        assert!((40..=100).contains(&sampled), "{sampled}");
        assert_eq!(sampled as u64 + kept.sampled_left_out, 10_000);
        // Those with the lowest keys: no part of the interval is preferred.
        let highest = kept.calls.iter().filter(|one| one.because.sampled).map(|one| one.key).max();
        let lower = (0..10_000).filter(|item| Some(mixed([*item])) <= highest).count();
        assert_eq!(lower, sampled);
        // With little load the share rises again.
        for _ in 0..20 {
            take(&mut recorder);
        }
        (0..50).for_each(|item| add(&mut recorder, record(item, 0, 5, 200)));
        let kept = take(&mut recorder);
        assert_eq!((kept.calls.len(), kept.sampled_left_out), (50, 0));
    }

    #[test]
    fn failures_are_kept_by_kind_and_the_rest_is_counted() {
        let mut recorder = recorder(0, 1_000);
        for item in 0..1_000 {
            add(&mut recorder, record(item, 0, 5, 500));
            add(&mut recorder, record(item, 1, 5, if item % 2 == 0 { 404 } else { 503 }));
        }
        let kept = take(&mut recorder);
        assert_eq!(kept.calls.len() as u32, 3 * MOST_OF_A_KIND);
        assert!(kept.calls.iter().all(|one| one.because.failed && !one.because.sampled));
        assert_eq!(kept.failed_left_out, 2_000 - kept.calls.len() as u64);
        add(&mut recorder, record(1, 0, 5, 500));
        assert_eq!(take(&mut recorder).calls.len(), 1);
    }
}
