//! The law of a shift: when a step begins, what judges it, and what follows.
//!
//! `controller` feeds it with seconds and results of commands, and carries out its actions.
//! Invariant: time is an argument. The share of the new target only rises while all rules hold; the
//! first rule that does not hold sets it to zero, for good.

use std::collections::BTreeMap;

use crate::clock::RunOffset;
use crate::plan::shift::ShiftPlan;
use crate::stats::delta::StepWindow;
use crate::stats::shift::{ShiftOutcome, ShiftReport, ShiftStep, SideFigures};
use crate::units::{counted, nanos};

/// How long after the end of a step its calls are waited for, ns.
const SETTLE_NS: u64 = 2_000_000_000;

/// How many times as long a step is held that has too few calls.
const MOST_HOLDS: u64 = 3;

const SECOND_NS: u64 = 1_000_000_000;

/// The command that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShiftCommand {
    /// Before a step.
    Before,
    /// After a step that passed.
    After,
    /// Before the load goes back.
    Rollback,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ShiftAction {
    /// Run a command, for the step with this number and share; `ended` takes its result.
    Run(ShiftCommand, usize, u32),
    /// Send this share of the users to the new target, percent, for this reason.
    Share {
        /// The share before.
        from: u32,
        /// The share from now on.
        to: u32,
        /// Why.
        why: String,
    },
    /// Stop the load: the shift was rolled back.
    Stop(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShiftState {
    Waiting,
    Running(ShiftCommand, usize),
    Holding(usize, RunOffset),
    Over,
}

/// A shift in progress.
#[derive(Debug)]
pub(super) struct ShiftLaw {
    plan: ShiftPlan,
    state: ShiftState,
    share: u32,
    /// The calls of both targets by intended second.
    seconds: BTreeMap<u32, [StepWindow; 2]>,
    /// The calls of the old target in the last step in which it had some.
    old: StepWindow,
    report: ShiftReport,
}

impl ShiftLaw {
    /// A shift that has not begun.
    pub(super) fn new(plan: ShiftPlan, service: String, targets: [String; 2]) -> Self {
        let report = ShiftReport {
            service,
            targets,
            outcome: ShiftOutcome::Unfinished,
            steps: Vec::new(),
            why: "the load ended before its first step".to_owned(),
        };
        Self {
            plan,
            state: ShiftState::Waiting,
            share: 0,
            seconds: BTreeMap::new(),
            old: StepWindow::default(),
            report,
        }
    }

    /// Adds the calls of both targets that were intended in a second.
    pub(super) fn absorb(&mut self, second: u32, sides: [&StepWindow; 2]) {
        if self.state == ShiftState::Over {
            return;
        }
        let known = self.seconds.entry(second).or_default();
        known.iter_mut().zip(sides).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    /// Lets time pass; returns what is to be done.
    pub(super) fn second(&mut self, now: RunOffset) -> Vec<ShiftAction> {
        match self.state {
            ShiftState::Waiting if now.ns() >= nanos(self.plan.start) => self.begin(0, now),
            ShiftState::Holding(step, from) => self.hold(step, from, now),
            _ => Vec::new(),
        }
    }

    /// Takes the end of a command.
    pub(super) fn ended(&mut self, now: RunOffset, result: Result<(), String>) -> Vec<ShiftAction> {
        let ShiftState::Running(command, step) = self.state else { return Vec::new() };
        match (command, result) {
            (ShiftCommand::Before, Ok(())) => self.raise(step, now),
            (ShiftCommand::After, Ok(())) => self.next(step, now),
            (ShiftCommand::Before, Err(why)) => {
                self.roll_back(step, now, format!("`before` {why}"))
            }
            (ShiftCommand::After, Err(why)) => self.roll_back(step, now, format!("`after` {why}")),
            (ShiftCommand::Rollback, result) => {
                let more = result.err().map(|why| format!("; `rollback` {why}"));
                let why = format!("{}{}", self.report.why, more.unwrap_or_default());
                self.go_back(why)
            }
        }
    }

    /// The new target is unhealthy.
    pub(super) fn unhealthy(&mut self, now: RunOffset, why: &str) -> Vec<ShiftAction> {
        match self.state {
            ShiftState::Holding(step, _)
            | ShiftState::Running(ShiftCommand::Before | ShiftCommand::After, step) => {
                self.roll_back(step, now, format!("the new target is unhealthy: {why}"))
            }
            _ => Vec::new(),
        }
    }

    /// What became of it.
    pub(super) fn report(&self) -> ShiftReport {
        self.report.clone()
    }

    fn begin(&mut self, step: usize, now: RunOffset) -> Vec<ShiftAction> {
        if self.plan.commands.before.is_some() {
            self.state = ShiftState::Running(ShiftCommand::Before, step);
            return vec![ShiftAction::Run(ShiftCommand::Before, step, self.plan.steps[step])];
        }
        self.raise(step, now)
    }

    fn raise(&mut self, step: usize, now: RunOffset) -> Vec<ShiftAction> {
        let (from, to) = (self.share, self.plan.steps[step]);
        let why = match self.report.steps.last() {
            Some(before) => before.why.clone(),
            None => "the shift begins".to_owned(),
        };
        (self.share, self.state) = (to, ShiftState::Holding(step, now));
        self.report.steps.push(ShiftStep {
            percent: to,
            from_s: seconds(now),
            judged_s: None,
            passed: false,
            why: "the load ended before it was judged".to_owned(),
            sides: [SideFigures::default(); 2],
        });
        self.report.why = format!("the load ended in the step of {to} %");
        vec![ShiftAction::Share { from, to, why }]
    }

    /// Judges a step when it is over.
    fn hold(&mut self, step: usize, from: RunOffset, now: RunOffset) -> Vec<ShiftAction> {
        let hold = nanos(self.plan.hold);
        let end = from.after(hold);
        if now < end.after(SETTLE_NS.min(hold)) {
            return Vec::new();
        }
        let until = if now >= from.after(hold * MOST_HOLDS) { now } else { end };
        let [old, new] = self.sides(from, until);
        let is_last = now >= from.after(hold * MOST_HOLDS);
        if new.calls.made < self.plan.min_calls && !is_last {
            return Vec::new();
        }
        if old.calls.made > 0 {
            self.old = old.clone();
        }
        let judged: Vec<_> =
            self.plan.rules.iter().map(|rule| rule.judge(&self.old, &new)).collect();
        let failed: Vec<&str> =
            judged.iter().filter(|one| !one.passed).map(|one| one.text.as_str()).collect();
        let all: Vec<&str> = judged.iter().map(|one| one.text.as_str()).collect();
        let enough = new.calls.made >= self.plan.min_calls;
        let (passed, why) = match (enough, failed.is_empty()) {
            (false, _) => {
                let calls = counted(new.calls.made, "call");
                let needed = self.plan.min_calls;
                (false, format!("{calls} on the new target, {needed} are needed to judge it"))
            }
            (true, true) => (true, all.join("; ")),
            (true, false) => (false, failed.join("; ")),
        };
        if let Some(report) = self.report.steps.last_mut() {
            (report.judged_s, report.passed) = (Some(seconds(now)), passed);
            report.why.clone_from(&why);
            report.sides = [figures(&old), figures(&new)];
        }
        self.seconds = self.seconds.split_off(&((until.ns() / SECOND_NS) as u32));
        if !passed {
            return self.roll_back(step, now, why);
        }
        if self.plan.commands.after.is_some() {
            self.state = ShiftState::Running(ShiftCommand::After, step);
            return vec![ShiftAction::Run(ShiftCommand::After, step, self.plan.steps[step])];
        }
        self.next(step, now)
    }

    fn next(&mut self, step: usize, now: RunOffset) -> Vec<ShiftAction> {
        if step + 1 < self.plan.steps.len() {
            return self.begin(step + 1, now);
        }
        self.state = ShiftState::Over;
        self.report.outcome = ShiftOutcome::Complete;
        let (to, why) = (self.share, "all steps passed".to_owned());
        self.report.why.clone_from(&why);
        vec![ShiftAction::Share { from: to, to, why }]
    }

    fn roll_back(&mut self, step: usize, now: RunOffset, why: String) -> Vec<ShiftAction> {
        self.report.outcome = ShiftOutcome::RolledBack;
        if let Some(report) = self.report.steps.last_mut().filter(|one| one.judged_s.is_none()) {
            (report.judged_s, report.why) = (Some(seconds(now)), why.clone());
        }
        if self.plan.commands.rollback.is_some() {
            self.report.why = why;
            self.state = ShiftState::Running(ShiftCommand::Rollback, step);
            return vec![ShiftAction::Run(ShiftCommand::Rollback, step, self.share)];
        }
        self.go_back(why)
    }

    fn go_back(&mut self, why: String) -> Vec<ShiftAction> {
        let from = std::mem::replace(&mut self.share, 0);
        self.state = ShiftState::Over;
        self.report.why.clone_from(&why);
        let stop = format!("the shift was rolled back at {from} %");
        vec![ShiftAction::Share { from, to: 0, why }, ShiftAction::Stop(stop)]
    }

    /// The calls of both targets that were intended in the whole seconds from `from` to `until`.
    fn sides(&self, from: RunOffset, until: RunOffset) -> [StepWindow; 2] {
        let first = from.ns().div_ceil(SECOND_NS) as u32;
        let last = (until.ns() / SECOND_NS) as u32;
        let mut sides: [StepWindow; 2] = Default::default();
        for (_, theirs) in self.seconds.range(first..last.max(first)) {
            sides.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.merge(theirs));
        }
        sides
    }
}

fn seconds(at: RunOffset) -> f64 {
    at.ns() as f64 / 1e9
}

fn figures(side: &StepWindow) -> SideFigures {
    let quantile = |p| side.response.quantile(p).filter(|one| !one.at_least).map(|one| one.us);
    SideFigures {
        calls: side.calls.made,
        errors: side.calls.error_share(),
        response_us: [quantile(0.5), quantile(0.95)],
    }
}

#[cfg(test)]
#[path = "law_tests.rs"]
mod tests;
