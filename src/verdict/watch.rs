//! Thresholds over sliding windows, and thresholds that stop a run.
//!
//! `run::dispatch` feeds it every delta and asks it once a second; `run` takes its judgements at
//! the end.
//! Invariant: a window is judged once, when all shards have delivered data for the time up to its
//! end and, beyond that, for the longest time that a call may take by the threshold; seconds before
//! the end of the warm-up are in no window.

use std::collections::BTreeMap;

use super::judge::{self, JudgedPart, Judgement, StoppedRun};
use super::scope::{Scope, Subjects};
use super::threshold::{Comparison, Metric, MetricTime, Threshold};
use crate::ids::{StepId, WorkloadId};
use crate::stats::delta::{LoadWindow, StepWindow, Window};
use crate::stats::own_delay::merge_boxed;
use crate::stats::{Delayed, Delta, Histogram, MessageWindow, OwnDelay, Snapshot};

/// The longest time that a window waits for its calls, s.
pub const MAX_SETTLE_S: u32 = 60;

const SECOND_NS: u64 = 1_000_000_000;

/// The thresholds of a running run.
#[derive(Debug)]
pub struct Watch {
    rules: Vec<Rule>,
    subjects: Subjects,
    /// The time up to which each shard has delivered data, ns after the run's start.
    delivered_ns: Vec<u64>,
    /// The first second after the warm-up.
    from_s: u32,
}

#[derive(Debug)]
struct Rule {
    threshold: Threshold,
    /// By intended second, merged over the shards: only what the threshold selects, as one workload
    /// with one series.
    seconds: BTreeMap<u32, Window>,
    /// The same threshold for such a window, without selectors.
    narrowed: Threshold,
    /// The end of the next window to judge, s.
    next_end_s: u32,
    /// The first window without data.
    empty_at_s: Option<u32>,
    worst: Option<Judgement>,
    /// Whether the rule is a threshold over the whole run that stopped it.
    stopped: bool,
}

impl Watch {
    /// Creates the watch of a run's thresholds, for `shards` shards.
    pub fn new(
        thresholds: &[Threshold],
        subjects: Subjects,
        shards: usize,
        warmup_ns: u64,
    ) -> Self {
        let from_s = u32::try_from(warmup_ns.div_ceil(SECOND_NS)).unwrap_or(u32::MAX);
        let rule = |threshold: &Threshold| Rule {
            next_end_s: from_s.max(threshold.after_s).saturating_add(threshold.over_s.unwrap_or(0)),
            seconds: BTreeMap::new(),
            narrowed: Threshold { scope: Scope::default(), ..threshold.clone() },
            threshold: threshold.clone(),
            empty_at_s: None,
            worst: None,
            stopped: false,
        };
        Self {
            rules: thresholds.iter().map(rule).collect(),
            subjects,
            delivered_ns: vec![0; shards],
            from_s,
        }
    }

    /// Adds a shard's delta.
    pub fn absorb(&mut self, delta: &Delta) {
        if let Some(delivered) = self.delivered_ns.get_mut(delta.shard) {
            // A shard that has ended delivers nothing more for any second.
            *delivered = if delta.last { u64::MAX } else { delta.gauges.elapsed_ns };
        }
        for rule in &mut self.rules {
            let Some(oldest_s) = rule.oldest_s() else { continue };
            let oldest_s = oldest_s.max(self.from_s);
            let wanted = |window: &&Window| window.measured && window.second >= oldest_s;
            for window in delta.windows.iter().filter(wanted) {
                let part = select(&rule.threshold, &self.subjects, window);
                match rule.seconds.get_mut(&window.second) {
                    Some(mine) => mine.merge(&part),
                    None => drop(rule.seconds.insert(window.second, part)),
                }
            }
        }
    }

    /// Judges all windows that are complete by now. `until_ns` is where the load ended or was
    /// stopped: no window extends beyond it. Returns the first failed threshold that stops the run,
    /// if any.
    pub fn judge(&mut self, until_ns: Option<u64>, snapshot: &Snapshot) -> Option<String> {
        let delivered_s = self.delivered_ns.iter().min().copied().unwrap_or(0) / SECOND_NS;
        let elapsed_s = snapshot.elapsed_ns / SECOND_NS;
        let until_s = until_ns.unwrap_or(u64::MAX) / SECOND_NS;
        let mut stop = None;
        for index in 0..self.rules.len() {
            let rule = &self.rules[index];
            let threshold = &rule.threshold;
            let Some(over_s) = threshold.over_s else {
                let due = snapshot.elapsed_ns >= u64::from(rule.threshold.after_s) * SECOND_NS;
                if threshold.abort
                    && !rule.stopped
                    && due
                    && until_ns.is_none_or(|end| snapshot.elapsed_ns < end)
                {
                    let judged =
                        judge::judge(std::slice::from_ref(threshold), &self.subjects, snapshot)
                            .remove(0);
                    if judged.observed.is_some() && !judged.passed {
                        stop.get_or_insert_with(|| threshold.rule.clone());
                        self.rules[index].stopped = true;
                        self.rules[index].worst = Some(Judgement {
                            stopped: Some(StoppedRun {
                                at_s: elapsed_s,
                                observed_at_end: None,
                                at_least_at_end: false,
                            }),
                            ..judged
                        });
                    }
                }
                continue;
            };
            let settle = u64::from(settle_s(threshold));
            loop {
                let end = u64::from(self.rules[index].next_end_s);
                if end + settle > delivered_s || end > until_s {
                    break;
                }
                let failed = self.judge_next_window(index, over_s, delivered_s.min(elapsed_s));
                if failed && self.rules[index].threshold.abort {
                    stop.get_or_insert_with(|| self.rules[index].threshold.rule.clone());
                }
            }
        }
        for rule in &mut self.rules {
            // Drops the seconds that no further window needs.
            if let Some(oldest_s) = rule.oldest_s() {
                rule.seconds = rule.seconds.split_off(&oldest_s);
            }
        }
        stop
    }

    /// Judges the next window of a threshold; true if it had data and fails.
    fn judge_next_window(&mut self, index: usize, over_s: u32, now_s: u64) -> bool {
        let rule = &mut self.rules[index];
        let end = rule.next_end_s;
        let from = end - over_s;
        let mut whole: Option<Window> = None;
        for (second, window) in rule.seconds.range(from..end) {
            let whole = whole.get_or_insert_with(blank);
            whole.merge(window);
            // Calls still running count at no less than their age.
            let age_ns = now_s.saturating_sub(u64::from(*second) + 1) * SECOND_NS;
            let ended = window.steps[0].as_ref().map_or(0, |step| step.calls.made);
            let running = window.begun[0].saturating_sub(ended);
            if running > 0 {
                let step = whole.steps[0].get_or_insert_default();
                step.response.record_at_least_n(age_ns, running);
                step.service.record_at_least_n(age_ns, running);
            }
        }
        rule.next_end_s = end.saturating_add(1);
        let seconds = f64::from(over_s);
        let judged = whole.map(|window| {
            let part =
                JudgedPart { window: &window, seconds, bytes: 0, recovery: None, caches: None };
            Judgement {
                threshold: rule.threshold.clone(),
                ..judge::judge_part(&rule.narrowed, &Subjects::default(), part)
            }
        });
        match judged {
            Some(mut judged) if judged.observed.is_some() => {
                judged.worst_at_s = Some(from);
                let failed = !judged.passed;
                if rule.worst.as_ref().is_none_or(|worst| is_worse(&judged, worst)) {
                    rule.worst = Some(judged);
                }
                failed
            }
            _ => {
                rule.empty_at_s.get_or_insert(from);
                false
            }
        }
    }

    /// Judges the remaining windows; returns all judgements.
    pub fn conclude(&mut self, until_ns: u64, snapshot: &Snapshot) -> Vec<Judgement> {
        self.delivered_ns.iter_mut().for_each(|delivered| *delivered = u64::MAX);
        self.judge(Some(until_ns), snapshot);
        self.judge_so_far(snapshot)
    }

    /// The judgements so far: on the whole run, and on the windows judged so far.
    pub fn judge_so_far(&self, snapshot: &Snapshot) -> Vec<Judgement> {
        let whole = |rule: &Rule| {
            let one = std::slice::from_ref(&rule.threshold);
            judge::judge(one, &self.subjects, snapshot).remove(0)
        };
        let found = |rule: &Rule| match (&rule.worst, rule.empty_at_s) {
            // A threshold that stopped the run stays failed, whatever happened during the drain.
            (Some(stopped), _) if rule.threshold.over_s.is_none() => {
                let end = whole(rule);
                let with_end = |stopped| StoppedRun {
                    observed_at_end: end.observed,
                    at_least_at_end: end.at_least,
                    ..stopped
                };
                Judgement { stopped: stopped.stopped.map(with_end), ..stopped.clone() }
            }
            (None, _) if rule.threshold.over_s.is_none() => whole(rule),
            // An empty window is never a pass, and takes precedence over a window that holds.
            (Some(worst), None) => worst.clone(),
            (Some(worst), Some(_)) if !worst.passed => worst.clone(),
            (_, worst_at_s) => {
                Judgement { worst_at_s, ..Judgement::nothing_observed(&rule.threshold) }
            }
        };
        self.rules.iter().map(found).collect()
    }
}

impl Rule {
    /// The first second that a window still to be judged may need; `None` for a threshold without
    /// windows.
    fn oldest_s(&self) -> Option<u32> {
        self.threshold.over_s.map(|over_s| self.next_end_s.saturating_sub(over_s))
    }
}

/// Returns the part of a window that a threshold selects, as one workload with one series.
fn select(threshold: &Threshold, subjects: &Subjects, window: &Window) -> Window {
    let (scope, metric) = (&threshold.scope, threshold.metric);
    let mut part = blank();
    let load = &mut part.workloads[0];
    for (id, theirs) in WorkloadId::number(&window.workloads) {
        if !scope.has_workload(subjects, id) {
            continue;
        }
        load.due += theirs.due;
        load.on_time += theirs.on_time;
        load.started += theirs.started;
        load.target_user_ns += theirs.target_user_ns;
        load.present_user_ns += theirs.present_user_ns;
        // A lost start belongs to its workload, and to none of its steps.
        if !scope.is_within_workloads() {
            load.lost += theirs.lost;
            load.suppressed += theirs.suppressed;
        }
        match metric {
            Metric::Time(MetricTime::Lag, _) => load.lag.merge(&theirs.lag),
            Metric::Time(MetricTime::Blocked, _) => load.blocked.merge(&theirs.blocked),
            Metric::Time(MetricTime::Iteration, _) => {
                load.iteration.merge(&theirs.iteration);
                let delayed = theirs.iteration_delayed.as_deref();
                merge_boxed(&mut load.iteration_delayed, delayed, Delayed::merge);
            }
            _ => {}
        }
    }
    // A running call belongs to a backend only when it ends.
    if scope.backend().is_none() {
        let series =
            StepId::number(&window.begun).filter(|(id, _)| scope.has_series(subjects, *id));
        part.begun[0] = series.map(|(_, begun)| begun).sum();
    }
    for (series, theirs) in judge::selected(scope, subjects, window) {
        let step = part.steps[0].get_or_insert_default();
        step.calls.add(&theirs.calls);
        theirs.statuses.iter().for_each(|&(status, count)| step.count_status(status, count));
        add_step(step, theirs, metric, |index| scope.has_check_of(subjects, series, index));
    }
    part
}

/// Adds what a metric looks at in a step.
fn add_step(
    step: &mut StepWindow,
    theirs: &StepWindow,
    metric: Metric,
    has_check: impl Fn(usize) -> bool,
) {
    if let Metric::Time(
        MetricTime::Response | MetricTime::OkResponse | MetricTime::Service | MetricTime::OkService,
        _,
    ) = metric
    {
        merge_boxed(&mut step.own_delay, theirs.own_delay.as_deref(), OwnDelay::merge);
    }
    match metric {
        Metric::Time(MetricTime::Response, _) => step.response.merge(&theirs.response),
        Metric::Time(MetricTime::Service, _) => step.service.merge(&theirs.service),
        Metric::Time(MetricTime::OkResponse, _) => {
            step.response.merge(&theirs.ok_response().into());
        }
        Metric::Time(MetricTime::OkService, _) => {
            step.service.merge(&theirs.ok_service().into());
        }
        Metric::Time(MetricTime::Messages(_), _) | Metric::Messages(_) | Metric::Good => {
            merge_boxed(&mut step.messages, theirs.messages.as_deref(), MessageWindow::merge);
        }
        Metric::Checks => {
            step.checks.resize(1, [0; 2]);
            for (index, [good, bad]) in theirs.checks.iter().enumerate() {
                if has_check(index) {
                    step.checks[0][0] += good;
                    step.checks[0][1] += bad;
                }
            }
        }
        _ => {}
    }
}

/// Returns how long after its end a window is judged, s: as long as the threshold allows a call to
/// take, so that a call still running has missed it; one second for metrics that are no times.
fn settle_s(threshold: &Threshold) -> u32 {
    match threshold.metric {
        Metric::Time(time, _) if !matches!(time, MetricTime::Lag | MetricTime::Blocked) => {
            let limit = (threshold.limit / 1e6).ceil().clamp(0.0, f64::from(MAX_SETTLE_S));
            (limit as u32 + 1).min(MAX_SETTLE_S)
        }
        _ => 1,
    }
}

/// Whether `a` is further from its limit than `b`.
fn is_worse(a: &Judgement, b: &Judgement) -> bool {
    if a.passed != b.passed {
        return b.passed;
    }
    let distance = |one: &Judgement| {
        let observed = one.observed.unwrap_or(0.0);
        match one.threshold.op {
            Comparison::Less | Comparison::AtMost => observed,
            Comparison::More | Comparison::AtLeast => -observed,
            Comparison::Equal => (observed - one.threshold.limit).abs(),
        }
    };
    distance(a) > distance(b)
}

/// Returns an empty window of one workload and one series.
pub(super) fn blank() -> Window {
    Window {
        waits: std::collections::BTreeMap::default(),
        receive_lag: crate::stats::Histogram::default(),
        groups: Vec::new(),
        second: 0,
        measured: true,
        workloads: vec![LoadWindow::default()],
        backends: Vec::new(),
        steps: vec![None],
        begun: vec![0],
        phases: Default::default(),
        login: Histogram::default(),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
