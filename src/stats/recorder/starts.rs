//! Recording starts, users and iterations.
//!
//! `engine` calls it for each start, user and iteration; the parent module records the calls.
//! Invariant: a due start is dropped, suppressed, not reached or begun, once.

use super::{NOTABLE_LAG_NS, Recorder};
use crate::clock::RunOffset;
use crate::ids::WorkloadId;
use crate::stats::counts::FirstStart;
use crate::stats::latency::{Latency, Untimed};
use crate::stats::own_delay::Delayed;
use crate::stats::sample::IterationEnd;

const SECOND_NS: u64 = 1_000_000_000;

/// A start later than this does not count as on time when the achieved rate is judged.
const ON_TIME_NS: u64 = 1_000_000_000;

/// A dropped start that we tried more than 100 ms late counts as the generator's fault: late starts
/// bunch up and need more users than on-time ones.
const OUR_FAULT_NS: u64 = 100_000_000;

impl Recorder {
    /// Records a start that is due. It counts as `assigned` until it begins or is dropped.
    pub fn record_due(&mut self, workload: WorkloadId, intended: RunOffset) {
        self.delta.workloads[workload].0.due += 1;
        self.load_window(workload, intended).due += 1;
        self.assigned += 1;
    }

    /// Records a due start that found no user; `lag_ns` is how late we tried.
    pub fn record_dropped(&mut self, workload: WorkloadId, intended: RunOffset, lag_ns: u64) {
        self.assigned -= 1;
        self.delta.workloads[workload].0.dropped += 1;
        let window = self.load_window(workload, intended);
        window.lost += 1;
        window.lost_to_us += u64::from(lag_ns > OUR_FAULT_NS);
    }

    /// Records a due start that policy suppressed to protect the generator.
    pub fn record_suppressed_start(&mut self, workload: WorkloadId, intended: RunOffset) {
        self.assigned -= 1;
        self.delta.workloads[workload].0.suppressed += 1;
        let window = self.load_window(workload, intended);
        window.lost += 1;
        window.suppressed += 1;
        window.lost_to_us += 1;
    }

    /// Records starts that would have become due, had the run not been stopped.
    pub fn record_not_reached(&mut self, workload: WorkloadId, count: u64) {
        self.delta.workloads[workload].0.due += count;
        self.delta.workloads[workload].0.not_reached += count;
    }

    /// Records a due start of a shard whose process was lost.
    pub fn record_unserved(&mut self, workload: WorkloadId, intended: RunOffset) {
        self.delta.workloads[workload].0.due += 1;
        self.delta.workloads[workload].0.unserved += 1;
        let window = self.load_window(workload, intended);
        window.due += 1;
        window.lost += 1;
    }

    /// Records iterations of a count that no process will take any more.
    pub fn record_unserved_iterations(&mut self, workload: WorkloadId, count: u64) {
        self.delta.workloads[workload].0.unserved += count;
    }

    /// Records that from `from` to `to`, `target` users were due and `present` running: each second
    /// in its window, and what lies before the end of the warm-up apart.
    pub fn record_users(
        &mut self,
        workload: WorkloadId,
        from: RunOffset,
        to: RunOffset,
        (target, present): (u64, u64),
    ) {
        let warmup = self.shape.warmup;
        let mut at = from;
        while target > 0 && at < to {
            let second = RunOffset::from_ns((at.ns() / SECOND_NS + 1) * SECOND_NS);
            let mut next = second.min(to);
            if at < warmup {
                next = next.min(warmup);
            }
            let (ns, window) = (next.since(at), self.load_window(workload, at));
            window.target_user_ns += ns * target;
            window.present_user_ns += ns * target.min(present);
            at = next;
        }
    }

    /// Notes the first arrival that begins, or the first user of the closed model that comes,
    /// `lag_ns` after it was intended. Later ones change nothing.
    #[inline]
    pub fn note_first_start(&mut self, intended: RunOffset, lag_ns: u64) {
        if self.first_start.is_none() {
            self.first_start = Some(FirstStart { intended, lag_ns });
        }
    }

    /// Records that the generator admitted a user of the closed model `late_ns` after `at`.
    pub fn record_late_user(&mut self, workload: WorkloadId, at: RunOffset, late_ns: u64) {
        self.load_window(workload, at).late_user_ns += late_ns;
    }

    /// Records that a due start begins, `lag_ns` after it was intended.
    pub fn begin_start(&mut self, workload: WorkloadId, intended: RunOffset, lag_ns: u64) {
        self.assigned -= 1;
        self.note_first_start(intended, lag_ns);
        self.begin_iteration(workload, intended, lag_ns);
    }

    /// Records that an iteration begins, `lag_ns` after it was intended.
    pub fn begin_iteration(&mut self, workload: WorkloadId, intended: RunOffset, lag_ns: u64) {
        self.running_iterations += 1;
        self.delta.workloads[workload].0.started += 1;
        let window = self.load_window(workload, intended);
        window.started += 1;
        window.on_time += u64::from(lag_ns <= ON_TIME_NS);
        window.start_lag.record_ns(lag_ns);
    }

    /// Records that an iteration ends at `done`; `took_ns` excludes thinks, and `delay_ns` of it
    /// were delays of the generator.
    pub fn end_iteration(
        &mut self,
        workload: WorkloadId,
        intended: RunOffset,
        end: IterationEnd,
        (took_ns, delay_ns): (u64, u64),
        done: RunOffset,
    ) {
        self.running_iterations -= 1;
        self.last_done = self.last_done.max(done);
        let iterations = &mut self.delta.workloads[workload].0;
        match end {
            IterationEnd::Completed => iterations.completed += 1,
            IterationEnd::Early => iterations.ended_early += 1,
            IterationEnd::Interrupted => iterations.interrupted += 1,
        }
        let load = self.load_window(workload, intended);
        let record = |latency: &mut Latency, ns: u64| match end {
            IterationEnd::Completed => latency.record_response(ns),
            IterationEnd::Interrupted => latency.record_at_least(ns),
            // It did not reach its end: its duration is not the duration of an iteration.
            IterationEnd::Early => latency.record_untimed(Untimed::NoResponse),
        };
        record(&mut load.iteration, took_ns);
        if delay_ns > NOTABLE_LAG_NS {
            let Delayed { measured, less } =
                load.iteration_delayed.get_or_insert_default().as_mut();
            record(measured, took_ns);
            record(less, took_ns.saturating_sub(delay_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Time;
    use crate::stats::Gauges;
    use crate::stats::sample::SeriesLayout;

    #[test]
    fn every_delta_has_the_first_start_of_the_shard() {
        let layout = SeriesLayout { workloads: 1, checks: vec![0], ..SeriesLayout::default() };
        let mut recorder = Recorder::new(layout, 0, Time(0));
        let gauges =
            |recorder: &mut Recorder| recorder.take_interval(Gauges::default(), Time(9)).gauges;
        assert_eq!(gauges(&mut recorder).first_start, None);
        let workload = WorkloadId::default();
        for (at, lag_ns) in [(70, 5), (10, 9)] {
            recorder.record_due(workload, RunOffset::from_ns(at));
            recorder.begin_start(workload, RunOffset::from_ns(at), lag_ns);
            let expected = FirstStart { intended: RunOffset::from_ns(70), lag_ns: 5 };
            assert_eq!(gauges(&mut recorder).first_start, Some(expected));
        }
    }
}
