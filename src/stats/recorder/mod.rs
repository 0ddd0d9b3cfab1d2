//! One shard's private measuring: no lock, no message, no allocation per call.
//!
//! The engine of the same thread records; once a second `take_interval` returns a Delta.
//! Invariant: each recorded event is in exactly one Delta.

mod attempts;
mod backends;
mod call_keeper;
mod messages;
mod remarks;
mod starts;

use std::collections::BTreeSet;

use super::caches::CacheUse;
use super::call_record::{CallRecord, CallSampling, IterationRecord};
use super::contents::ContentUse;
use super::counts::{FirstStart, Gauges};
use super::delta::{Delta, LoadWindow, StepWindow, Window};
use super::exemplar::FailureMode;
use super::latency::{Latency, Untimed};
use super::named::add_name;
use super::outcome::{AttemptOutcome, AttemptPhase, CallResult, GeneratorError, error_index};
use super::receive_lag::ReceiveLag;
use super::sample::{Sample, SeriesLayout};
use super::stall::LoopStalls;
use crate::clock::{RunOffset, Time};
use crate::ids::{GroupId, StepId, WorkloadId};
pub use attempts::AttemptReason;
use call_keeper::CallKeeper;

/// A call with more lag than this is also recorded without its lag.
const NOTABLE_LAG_NS: u64 = 1_000_000;

/// The recorder of one shard.
#[derive(Debug)]
pub struct Recorder {
    shape: SeriesLayout,
    delta: Delta,
    /// Kinds of failures so far.
    seen_kinds: BTreeSet<(StepId, FailureMode)>,
    /// Whether the first failure of each kind is captured.
    is_capturing: bool,
    /// Index of the last sample's window: nearly always that of the next one.
    current: usize,
    /// Due starts that were assigned to a user task and have not begun yet.
    assigned: u64,
    running_iterations: u64,
    first_start: Option<FirstStart>,
    last_done: RunOffset,
    running_calls: u64,
    in_flight_integral: u128,
    in_flight_since: Time,
    stalls: LoopStalls,
    receive_lag: ReceiveLag,
    call_time: u128,
    /// Σ pick-up time of running calls, to compute how long they have been running.
    running_since: u128,
    /// Keeps calls one by one; `None` if the run needs none.
    keeper: Option<Box<CallKeeper>>,
}

impl Recorder {
    /// Creates the recorder of shard `shard` of a run that starts at `start`.
    pub fn new(shape: SeriesLayout, shard: usize, start: Time) -> Self {
        Self {
            delta: Delta::new(&shape, shard),
            shape,
            seen_kinds: BTreeSet::new(),
            is_capturing: true,
            current: 0,
            assigned: 0,
            running_iterations: 0,
            first_start: None,
            last_done: RunOffset::ZERO,
            running_calls: 0,
            in_flight_integral: 0,
            in_flight_since: start,
            stalls: LoopStalls::new(start),
            receive_lag: ReceiveLag::default(),
            call_time: 0,
            running_since: 0,
            keeper: None,
        }
    }

    /// Sets the end of all workloads' load to `at`, if it has not ended before.
    pub fn end_load(&mut self, at: RunOffset) {
        let ends = &mut self.shape.load_ends;
        ends.resize(self.shape.workloads, RunOffset::NEVER);
        ends.iter_mut().for_each(|end| *end = at.min(*end));
    }

    /// Notes that the shard's event loop begins at `now`.
    pub fn begin_loop(&mut self, now: Time) {
        self.stalls = LoopStalls::new(now);
    }

    /// Notes that the shard's event loop runs at `now`, `at` of the run: it had a tick that was due
    /// `late_ns` before.
    pub fn note_loop(&mut self, now: Time, at: RunOffset, late_ns: u64) {
        self.stalls.seen(now);
        self.record_receive_lag(at, late_ns);
    }

    /// How long the event loop has stalled so far, ns.
    pub fn stalled_ns(&self) -> u64 {
        self.stalls.total_ns()
    }

    /// Records that a call is picked up. Returns how long the event loop has stalled so far, ns.
    #[inline]
    pub fn begin_call(
        &mut self,
        workload: WorkloadId,
        step: StepId,
        intended: RunOffset,
        now: Time,
    ) -> u64 {
        self.advance_in_flight(now);
        self.running_calls += 1;
        self.running_since += u128::from(now.0);
        self.delta.workloads[workload].1.made += 1;
        self.window(intended).begun[step.index()] += 1;
        self.stalls.total_ns()
    }

    /// Records that a call has ended at `now`.
    #[inline]
    pub fn end_call(&mut self, sample: &Sample, now: Time) {
        // First: a call that ends late because the loop stalled counts with that stall.
        self.advance_in_flight(now);
        let stall_ns = self.stalls.total_ns() - sample.stalled_ns;
        self.running_calls -= 1;
        self.running_since -= u128::from(now.0 - sample.in_flight_ns);
        self.call_time += u128::from(sample.in_flight_ns);
        self.delta.workloads[sample.workload].1.end(sample.result);

        let workload = sample.workload;
        let end = self.shape.load_ends.get(workload.index());
        let is_drain = end.is_some_and(|end| sample.intended >= *end);
        let window = self.window(sample.intended);
        window.workloads[workload].lag.record_ns(sample.lag_ns);
        window.workloads[workload].blocked.record_ns(sample.blocked_ns);
        let step = window.steps[sample.step].get_or_insert_default();
        record_call(step, sample, is_drain);
        if stall_ns > 0 || sample.lag_ns > NOTABLE_LAG_NS {
            self.record_own_delay(sample, stall_ns);
        }
        if sample.backend.is_some() {
            self.record_backend(sample, is_drain);
        }
    }

    /// Records a call that the generator itself delayed, `stall_ns` of it by a stall: once as
    /// measured, and once without the delay.
    #[cold]
    fn record_own_delay(&mut self, sample: &Sample, stall_ns: u64) {
        let window = self.window(sample.intended);
        if stall_ns > 0 {
            window.workloads[sample.workload].stall.record_ns(stall_ns);
        }
        let step = window.steps[sample.step].get_or_insert_default();
        let own = step.own_delay.get_or_insert_default();
        // A resend or a retry has a service time of its own, which may be shorter than the stall.
        let less = |ns: u64, delay_ns: u64| ns.saturating_sub(delay_ns);
        let response_delay_ns = sample.lag_ns + stall_ns;
        let (response, service) = (sample.response_ns, sample.service_ns);
        record_time(&mut own.response.measured, sample, response);
        record_time(&mut own.response.less, sample, less(response, response_delay_ns));
        record_time(&mut own.service.measured, sample, service);
        record_time(&mut own.service.less, sample, less(service, stall_ns));
    }

    /// Records a user of the closed model that departed because its `on_start` failed.
    pub fn record_start_failed(&mut self, workload: WorkloadId) {
        self.delta.departures[workload].start_failed += 1;
    }

    /// Records a user of the closed model that departed because a feed had no row left.
    pub fn record_out_of_rows(&mut self, workload: WorkloadId) {
        self.delta.departures[workload].out_of_rows += 1;
    }

    /// Records the result of a check.
    pub fn record_check(&mut self, step: StepId, intended: RunOffset, check: usize, passed: bool) {
        let checks = self.shape.checks[step.index()];
        let step = self.step_window(step, intended);
        if step.checks.is_empty() {
            step.checks.resize(checks, [0; 2]);
        }
        step.checks[check][usize::from(!passed)] += 1;
    }

    /// Records a call that was not made through an error of the generator.
    pub fn record_generator_error(&mut self, fault: GeneratorError) {
        self.record_error(AttemptOutcome::Own(fault));
    }

    /// Records a call's error that is not the outcome of its last attempt.
    pub fn record_error(&mut self, outcome: AttemptOutcome) {
        if let Some(index) = error_index(outcome) {
            self.delta.errors[index] += 1;
        }
    }

    /// Records a call that was not made because the variable `name` was unset.
    pub fn record_unset(&mut self, name: &str) {
        add_name(&mut self.delta.unset, name, 1);
    }

    /// Records a body; `content_type` is the value of that header.
    pub fn record_content(&mut self, content_type: Option<&[u8]>, body: &ContentUse) {
        self.delta.contents.count(content_type, body);
    }

    /// Returns the counts of a cache.
    pub fn cache(&mut self, name: &str) -> &mut CacheUse {
        self.delta.caches.cache(name)
    }

    /// Records an expression that failed on its values; `text` says which, why and where.
    pub fn record_failed_expression(&mut self, text: &str) {
        add_name(&mut self.delta.failed_expressions, text, 1);
    }

    /// Records a user or an iteration that found no row left in the feed `name`.
    pub fn record_exhausted_feed(&mut self, name: &str) {
        add_name(&mut self.delta.ran_out, name, 1);
    }

    /// Records the end of a group, `took_ns` after it was intended, without thinks; `None` if it
    /// was aborted.
    pub fn record_group(&mut self, group: GroupId, intended: RunOffset, took_ns: Option<u64>) {
        let latency = &mut self.window(intended).groups[group.index()];
        match took_ns {
            Some(ns) => latency.record_response(ns),
            None => latency.record_untimed(Untimed::NoResponse),
        }
    }

    /// Keeps calls one by one from now on; `shards` is their number over the whole run.
    pub fn keep_calls(&mut self, sampling: CallSampling, shards: usize) {
        let steps = self.shape.checks.len();
        self.keeper = Some(Box::new(CallKeeper::new(sampling, shards, steps)));
    }

    /// Whether calls are kept one by one.
    #[inline]
    pub fn keeps_calls(&self) -> bool {
        self.keeper.is_some()
    }

    /// Whether a call of the iteration with this key is to be kept.
    #[inline]
    pub fn wants_call(&self, key: u64, sample: &Sample) -> bool {
        self.keeper
            .as_ref()
            .is_some_and(|keeper| keeper.wants(key, sample.step, sample.result, sample.response_ns))
    }

    /// Keeps a call that is wanted.
    pub fn keep_call(&mut self, record: CallRecord) {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep(record);
        }
    }

    /// Whether the iteration with this key is to be kept.
    #[inline]
    pub fn wants_iteration(&self, key: u64) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.wants_iteration(key))
    }

    /// Keeps an iteration that is wanted.
    pub fn keep_iteration(&mut self, record: IterationRecord) {
        if let Some(keeper) = &mut self.keeper {
            keeper.keep_iteration(record);
        }
    }

    /// Iterations that have begun and not ended.
    pub fn running_iterations(&self) -> u64 {
        self.running_iterations
    }

    /// Returns everything recorded since the last call. `gauges` holds what only the shard knows;
    /// the recorder adds its own values.
    pub fn take_interval(&mut self, mut gauges: Gauges, now: Time) -> Delta {
        self.advance_in_flight(now);
        gauges.assigned = self.assigned;
        gauges.running_iterations = self.running_iterations;
        gauges.first_start = self.first_start;
        gauges.last_done_ns = self.last_done.ns();
        gauges.running_calls = self.running_calls;
        gauges.stalled_ns = self.stalls.total_ns();
        gauges.longest_stall_ns = self.stalls.longest_ns();
        gauges.in_flight_integral = self.in_flight_integral;
        gauges.call_time = self.call_time;
        gauges.running_call_time =
            u128::from(self.running_calls) * u128::from(now.0) - self.running_since;
        let empty = Delta::new(&self.shape, self.delta.shard);
        let mut delta = std::mem::replace(&mut self.delta, empty);
        self.current = 0;
        delta.windows.sort_by_key(|window| (window.second, window.measured));
        delta.gauges = gauges;
        delta.kept = self.keeper.as_mut().map(|keeper| keeper.take()).unwrap_or_default();
        delta
    }

    /// Advances the integral of calls in flight to `now`.
    #[inline]
    fn advance_in_flight(&mut self, now: Time) {
        self.stalls.seen(now);
        self.in_flight_integral +=
            u128::from(self.running_calls) * u128::from(now.since(self.in_flight_since));
        self.in_flight_since = self.in_flight_since.max(now);
    }

    fn load_window(&mut self, workload: WorkloadId, intended: RunOffset) -> &mut LoadWindow {
        &mut self.window(intended).workloads[workload]
    }

    fn step_window(&mut self, step: StepId, intended: RunOffset) -> &mut StepWindow {
        self.window(intended).steps[step].get_or_insert_default()
    }

    #[inline]
    fn window(&mut self, intended: RunOffset) -> &mut Window {
        let second = (intended.ns() / 1_000_000_000) as u32;
        let measured = intended >= self.shape.warmup;
        let fits = |window: &Window| window.second == second && window.measured == measured;
        if !self.delta.windows.get(self.current).is_some_and(fits) {
            self.current = self.delta.windows.iter().position(fits).unwrap_or_else(|| {
                self.delta.windows.push(Window::new(second, measured, &self.shape));
                self.delta.windows.len() - 1
            });
        }
        &mut self.delta.windows[self.current]
    }
}

/// Records a call in its series.
#[inline]
fn record_call(step: &mut StepWindow, sample: &Sample, is_drain: bool) {
    step.calls.made += 1;
    step.calls.end(sample.result);
    step.in_drain += u64::from(is_drain);
    if let AttemptOutcome::Responded(status) = sample.outcome {
        step.count_status(status, 1);
        if sample.result == CallResult::Failed {
            let unwanted = step.unwanted.get_or_insert_default();
            unwanted[0].record_ns(sample.response_ns);
            unwanted[1].record_ns(sample.service_ns);
        }
    }
    record_time(&mut step.response, sample, sample.response_ns);
    record_time(&mut step.service, sample, sample.service_ns);
}

/// Records a call's time: a response at its time, a timeout at no less than its age, others above
/// every response.
#[inline]
fn record_time(latency: &mut Latency, sample: &Sample, ns: u64) {
    match (sample.result, sample.outcome) {
        (
            CallResult::Ok | CallResult::Failed,
            AttemptOutcome::Responded(_) | AttemptOutcome::Done,
        ) => latency.record_response(ns),
        (CallResult::Timeout | CallResult::Unfinished, _) => latency.record_at_least(ns),
        // It was skipped on purpose: there is nothing to rank.
        (CallResult::Muted, _) => {}
        (CallResult::Suppressed, _) => latency.record_untimed(Untimed::Suppressed),
        (CallResult::Own, _) | (_, AttemptOutcome::Failed(AttemptPhase::Prepare, _)) => {
            latency.record_untimed(Untimed::NotMade);
        }
        _ => latency.record_untimed(Untimed::NoResponse),
    }
}
