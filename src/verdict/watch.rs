//! Rules over sliding windows, and rules that stop a run.
//!
//! `run::dispatch` hands it every delta and asks once a second; `run` takes its findings at the
//! end.
//! Invariant: a window is judged once, when every shard has shed past its end and as long after it
//! as a call may take by the rule; what is due before the warm-up's end is in no window.

use std::collections::BTreeMap;

use super::judge::{self, Judgement, Part};
use super::scope::Subjects;
use super::threshold::{Metric, Op, Threshold, Time};
use crate::stats::delta::{LoadWindow, Window};
use crate::stats::{Delta, Snapshot};

/// The longest a window is kept waiting for its calls.
pub const MAX_PATIENCE_S: u32 = 60;

const SECOND_NS: u64 = 1_000_000_000;

/// What becomes of a run's rules while it goes on.
#[derive(Debug)]
pub struct Watch {
    rules: Vec<Rule>,
    subjects: Subjects,
    /// Merged over the shards, by intended second; as many as the longest rule needs.
    seconds: BTreeMap<u32, Window>,
    /// Seconds before this are gone.
    oldest_s: u32,
    /// What each shard has shed, ns after the run's start.
    shed_ns: Vec<u64>,
    /// The first second after the warm-up.
    from_s: u32,
}

#[derive(Debug)]
struct Rule {
    threshold: Threshold,
    /// The end of the next window to judge, in seconds.
    next_end_s: u32,
    judged: u32,
    /// The first window without anything in it.
    empty_at_s: Option<u32>,
    worst: Option<Judgement>,
    /// A rule over the whole run that stopped it.
    stopped: bool,
}

impl Watch {
    /// Watches the rules of a run on so many shards.
    pub fn new(
        thresholds: &[Threshold],
        subjects: Subjects,
        shards: usize,
        warmup_ns: u64,
    ) -> Self {
        let from_s = u32::try_from(warmup_ns.div_ceil(SECOND_NS)).unwrap_or(u32::MAX);
        let rule = |threshold: &Threshold| Rule {
            next_end_s: from_s.max(threshold.after_s).saturating_add(threshold.over_s.unwrap_or(0)),
            threshold: threshold.clone(),
            judged: 0,
            empty_at_s: None,
            worst: None,
            stopped: false,
        };
        Self {
            rules: thresholds.iter().map(rule).collect(),
            subjects,
            seconds: BTreeMap::new(),
            oldest_s: 0,
            shed_ns: vec![0; shards],
            from_s,
        }
    }

    /// Takes in what a shard shed.
    pub fn absorb(&mut self, delta: &Delta) {
        if let Some(shed) = self.shed_ns.get_mut(delta.shard) {
            // A shard that is done has nothing more to say about any second.
            *shed = if delta.last { u64::MAX } else { delta.gauges.elapsed_ns };
        }
        if !self.rules.iter().any(|rule| rule.threshold.over_s.is_some()) {
            return;
        }
        let wanted =
            |window: &&Window| window.measured && window.second >= self.oldest_s.max(self.from_s);
        for window in delta.windows.iter().filter(wanted) {
            match self.seconds.get_mut(&window.second) {
                Some(mine) => mine.merge(window),
                None => drop(self.seconds.insert(window.second, window.clone())),
            }
        }
    }

    /// Judges what can be judged by now. `until_ns` is where the load ended or was stopped: no
    /// window goes beyond it. A rule that says so and does not hold is returned: stop the run.
    pub fn judge(&mut self, until_ns: Option<u64>, snapshot: &Snapshot) -> Option<String> {
        let shed_s = self.shed_ns.iter().min().copied().unwrap_or(0) / SECOND_NS;
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
                        self.rules[index].worst = Some(judged);
                    }
                }
                continue;
            };
            let patience = u64::from(patience_s(threshold));
            loop {
                let end = u64::from(self.rules[index].next_end_s);
                if end + patience > shed_s || end > until_s {
                    break;
                }
                let failed = self.window(index, over_s, shed_s.min(elapsed_s));
                if failed && self.rules[index].threshold.abort {
                    stop.get_or_insert_with(|| self.rules[index].threshold.rule.clone());
                }
            }
        }
        self.forget();
        stop
    }

    /// Judges the next window of a rule; true when there was something in it and it does not hold.
    fn window(&mut self, index: usize, over_s: u32, now_s: u64) -> bool {
        let end = self.rules[index].next_end_s;
        let from = end - over_s;
        let mut whole: Option<Window> = None;
        for (second, window) in self.seconds.range(from..end) {
            let whole = whole.get_or_insert_with(|| Window { second: from, ..empty(window) });
            whole.merge(window);
            // Calls that still run count at no less than their age.
            let age_ns = now_s.saturating_sub(u64::from(*second) + 1) * SECOND_NS;
            for (step, begun) in window.begun.iter().enumerate() {
                let ended = window.steps[step].as_ref().map_or(0, |step| step.calls.made);
                let running = begun.saturating_sub(ended);
                if running > 0 {
                    let step = whole.steps[step].get_or_insert_default();
                    step.response.at_least_n(age_ns, running);
                    step.service.at_least_n(age_ns, running);
                }
            }
        }
        let rule = &mut self.rules[index];
        rule.next_end_s = end.saturating_add(1);
        rule.judged += 1;
        let seconds = f64::from(over_s);
        let judged = whole.map(|window| {
            let part = Part { window: &window, seconds, bytes: 0 };
            judge::one(&rule.threshold, &self.subjects, part)
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

    /// Lets go of the seconds that no window needs any more.
    fn forget(&mut self) {
        let needs = self.rules.iter().filter_map(|rule| {
            rule.threshold.over_s.map(|over_s| rule.next_end_s.saturating_sub(over_s))
        });
        self.oldest_s = needs.min().unwrap_or(u32::MAX);
        self.seconds = self.seconds.split_off(&self.oldest_s);
    }

    /// Puts what was found in place of the judgements on the whole run.
    pub fn conclude(mut self, until_ns: u64, snapshot: &Snapshot) -> Vec<Judgement> {
        self.shed_ns.iter_mut().for_each(|shed| *shed = u64::MAX);
        self.judge(Some(until_ns), snapshot);
        let thresholds: Vec<Threshold> =
            self.rules.iter().map(|rule| rule.threshold.clone()).collect();
        let mut judgements = judge::judge(&thresholds, &self.subjects, snapshot);
        for (judgement, rule) in judgements.iter_mut().zip(self.rules) {
            if rule.threshold.over_s.is_none() {
                // What stopped the run stays failed, whatever the drain brought.
                if let Some(stopped) = rule.worst {
                    *judgement = stopped;
                }
                continue;
            }
            let nothing = Judgement {
                threshold: rule.threshold,
                observed: None,
                at_least: false,
                thin: false,
                worst_at_s: rule.empty_at_s,
                passed: false,
            };
            *judgement = match (rule.worst, rule.empty_at_s) {
                // An empty window is never a pass, and more than a window that holds.
                (Some(worst), Some(_)) if worst.passed => nothing,
                (Some(worst), _) => worst,
                (None, _) => nothing,
            };
        }
        judgements
    }
}

/// How long after its end a window is judged: as long as the rule lets a call take, so that one
/// that still runs has missed it; a second for what is no time.
fn patience_s(threshold: &Threshold) -> u32 {
    match threshold.metric {
        Metric::Time(Time::Response | Time::Service | Time::Iteration, _) => {
            let limit = (threshold.limit / 1e6).ceil().clamp(0.0, f64::from(MAX_PATIENCE_S));
            (limit as u32 + 1).min(MAX_PATIENCE_S)
        }
        _ => 1,
    }
}

/// Whether `a` is further from its rule than `b`.
fn is_worse(a: &Judgement, b: &Judgement) -> bool {
    if a.passed != b.passed {
        return b.passed;
    }
    let distance = |one: &Judgement| {
        let observed = one.observed.unwrap_or(0.0);
        match one.threshold.op {
            Op::Less | Op::AtMost => observed,
            Op::More | Op::AtLeast => -observed,
            Op::Equal => (observed - one.threshold.limit).abs(),
        }
    };
    distance(a) > distance(b)
}

/// A window of the same shape with nothing in it.
fn empty(like: &Window) -> Window {
    Window {
        second: 0,
        measured: true,
        workloads: vec![LoadWindow::default(); like.workloads.len()],
        steps: vec![None; like.steps.len()],
        begun: vec![0; like.begun.len()],
        phases: Default::default(),
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
