//! The law of a shift: when a step begins, what judges it, and what follows.
//!
//! `controller` feeds it with seconds and results of commands, and carries out its actions.
//! Invariant: time is an argument. The share of the new target only rises while all rules hold; the
//! first rule that does not hold sets it to zero, for good.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::clock::RunOffset;
use crate::plan::shift::ShiftPlan;
use crate::stats::delta::StepWindow;
use crate::stats::shift::{ShiftOutcome, ShiftReport, ShiftStep, SideFigures};
use crate::units::{counted, nanos};

/// How many times as long a step is held that has too few calls.
const MOST_HOLDS: u64 = 3;

const SECOND_NS: u64 = 1_000_000_000;

/// How much too early a second may come and still count as the one in which a step is over: what
/// wakes the dispatcher is late by a different time in each second.
const EARLY_NS: u64 = SECOND_NS / 10;

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
    /// End the command that runs; `ended` takes its result.
    End,
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
    /// The first step has not begun.
    Waiting,
    /// A command of a step runs.
    Running(ShiftCommand, usize),
    /// A step is held.
    Holding(usize, RunOffset),
    /// No command of a step is left, or it is being ended: then the users go back.
    Leaving(usize),
    /// Nothing happens any more.
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
    /// Why the new target is unhealthy; `None` while it is healthy.
    unhealthy: Option<String>,
    /// The share of the last `before`, percent; `None` if none was started.
    last_before: Option<u32>,
    /// From when to when the last step was held, if it was left before it was judged.
    unjudged: Option<(RunOffset, RunOffset)>,
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
            unhealthy: None,
            last_before: None,
            unjudged: None,
            report,
        }
    }

    /// Adds the calls of both targets that were intended in a second.
    pub(super) fn absorb(&mut self, second: u32, sides: [&StepWindow; 2]) {
        if self.state == ShiftState::Over && self.unjudged.is_none() {
            return;
        }
        let known = self.seconds.entry(second).or_default();
        known.iter_mut().zip(sides).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    /// Lets time pass; returns what is to be done.
    pub(super) fn second(&mut self, now: RunOffset) -> Vec<ShiftAction> {
        match self.state {
            ShiftState::Waiting if now.after(EARLY_NS).ns() >= nanos(self.plan.start) => {
                match self.unhealthy.take() {
                    Some(why) => self.roll_back(0, now, &unhealthy(&why)),
                    None => self.begin(0, now),
                }
            }
            ShiftState::Holding(step, from) => self.hold(step, from, now),
            _ => Vec::new(),
        }
    }

    /// Takes the end of a command.
    pub(super) fn ended(&mut self, now: RunOffset, result: Result<(), String>) -> Vec<ShiftAction> {
        let (command, step) = match self.state {
            ShiftState::Running(command, step) => (command, step),
            // Its result does not matter any more.
            ShiftState::Leaving(step) => return self.run_rollback(step),
            _ => return Vec::new(),
        };
        self.state = ShiftState::Leaving(step);
        match (command, result) {
            (ShiftCommand::Before, Ok(())) => self.raise(step, now),
            (ShiftCommand::After, Ok(())) => self.next(step, now),
            (ShiftCommand::Before, Err(why)) => {
                self.roll_back(step, now, &format!("`before` {why}"))
            }
            (ShiftCommand::After, Err(why)) => self.roll_back(step, now, &format!("`after` {why}")),
            (ShiftCommand::Rollback, Ok(())) => {
                if self.report.outcome == ShiftOutcome::Unfinished {
                    self.report.why.push_str("; `rollback` was run");
                }
                self.go_back()
            }
            (ShiftCommand::Rollback, Err(why)) => {
                let _ = write!(self.report.why, "; `rollback` {why}");
                self.go_back()
            }
        }
    }

    /// The new target is unhealthy.
    pub(super) fn unhealthy(&mut self, now: RunOffset, why: &str) -> Vec<ShiftAction> {
        match self.state {
            ShiftState::Waiting => {
                self.unhealthy = Some(why.to_owned());
                Vec::new()
            }
            ShiftState::Holding(step, _)
            | ShiftState::Running(ShiftCommand::Before | ShiftCommand::After, step) => {
                self.roll_back(step, now, &unhealthy(why))
            }
            _ => Vec::new(),
        }
    }

    /// The new target is healthy again.
    pub(super) fn healthy(&mut self) {
        self.unhealthy = None;
    }

    /// The load is over, or is being stopped: a shift that is not complete is undone.
    pub(super) fn load_over(&mut self, now: RunOffset) -> Vec<ShiftAction> {
        let (step, when) = match self.state {
            ShiftState::Waiting => {
                self.state = ShiftState::Over;
                return Vec::new();
            }
            ShiftState::Holding(step, _) => (step, "in the step of"),
            ShiftState::Running(ShiftCommand::Before, step) => (step, "while `before` ran for"),
            ShiftState::Running(ShiftCommand::After, step) => (step, "while `after` ran for"),
            _ => return Vec::new(),
        };
        let why = format!("the load ended {when} {} %", self.plan.steps[step]);
        self.leave(step, now, "the load ended before it was judged", why)
    }

    /// Nothing is waited for any more, for this reason: commands are ended, `rollback` too.
    pub(super) fn give_up(&mut self, now: RunOffset, why: &str) -> Vec<ShiftAction> {
        let mut actions = self.load_over(now);
        actions.retain(|action| !matches!(action, ShiftAction::Run(..)));
        let (ShiftState::Running(_, step) | ShiftState::Leaving(step)) = self.state else {
            return actions;
        };
        actions.push(ShiftAction::End);
        if self.plan.commands.rollback.is_none() {
            actions.extend(self.run_rollback(step));
            return actions;
        }
        let _ = write!(self.report.why, "; `rollback` {why}");
        if let Some(percent) = self.last_before {
            let _ = write!(self.report.why, ", the last `before` was for {percent} %");
        }
        actions.extend(self.go_back());
        actions
    }

    /// What became of it.
    pub(super) fn report(&self) -> ShiftReport {
        let mut report = self.report.clone();
        if let (Some((from, until)), Some(step)) = (self.unjudged, report.steps.last_mut()) {
            step.sides = self.sides(from, until).each_ref().map(SideFigures::of);
        }
        report
    }

    fn begin(&mut self, step: usize, now: RunOffset) -> Vec<ShiftAction> {
        if self.plan.commands.before.is_some() {
            self.last_before = Some(self.plan.steps[step]);
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
        let is_at = |at: RunOffset| now.after(EARLY_NS) >= at;
        if !is_at(from.after(nanos(self.plan.held()))) {
            return Vec::new();
        }
        let is_last = is_at(from.after(hold * MOST_HOLDS));
        let until = if is_last { now } else { end };
        let [old, new] = self.sides(from, until);
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
            report.sides = [&old, &new].map(SideFigures::of);
        }
        self.seconds = self.seconds.split_off(&((until.ns() / SECOND_NS) as u32));
        if !passed {
            return self.roll_back(step, now, &why);
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

    fn roll_back(&mut self, step: usize, now: RunOffset, why: &str) -> Vec<ShiftAction> {
        self.report.outcome = ShiftOutcome::RolledBack;
        let place =
            if self.report.steps.is_empty() { "at 0 %, before the first step: " } else { "" };
        let whole = format!("{place}{why}");
        self.leave(step, now, why, whole)
    }

    /// Leaves a step for good: ends its command, then runs `rollback`, then the users go back.
    /// `of_step` is the reason of a step that was not judged, `why` that of the whole.
    fn leave(
        &mut self,
        step: usize,
        now: RunOffset,
        of_step: &str,
        why: String,
    ) -> Vec<ShiftAction> {
        self.report.why = why;
        if let ShiftState::Holding(_, from) = self.state
            && let Some(report) = self.report.steps.last_mut().filter(|one| one.judged_s.is_none())
        {
            self.unjudged = Some((from, now));
            of_step.clone_into(&mut report.why);
        }
        match std::mem::replace(&mut self.state, ShiftState::Leaving(step)) {
            ShiftState::Running(..) => vec![ShiftAction::End],
            // Nothing was done that could be undone.
            ShiftState::Waiting => self.go_back(),
            _ => self.run_rollback(step),
        }
    }

    fn run_rollback(&mut self, step: usize) -> Vec<ShiftAction> {
        if self.plan.commands.rollback.is_some() {
            self.state = ShiftState::Running(ShiftCommand::Rollback, step);
            return vec![ShiftAction::Run(ShiftCommand::Rollback, step, self.share)];
        }
        if let (Some(percent), ShiftOutcome::Unfinished) = (self.last_before, self.report.outcome) {
            let text = "; the commands were not rolled back: the last `before` was for";
            let _ = write!(self.report.why, "{text} {percent} %");
        }
        self.go_back()
    }

    /// All users go back; a load that goes on is stopped.
    fn go_back(&mut self) -> Vec<ShiftAction> {
        let from = std::mem::replace(&mut self.share, 0);
        self.state = ShiftState::Over;
        let share = ShiftAction::Share { from, to: 0, why: self.report.why.clone() };
        if self.report.outcome == ShiftOutcome::Unfinished {
            // The load is over; the event tells that the target does not keep its users.
            let has_rollback = self.plan.commands.rollback.is_some() && from > 0;
            return if has_rollback { vec![share] } else { Vec::new() };
        }
        vec![share, ShiftAction::Stop(format!("the shift was rolled back at {from} %"))]
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

fn unhealthy(why: &str) -> String {
    format!("the new target is unhealthy: {why}")
}

#[cfg(test)]
#[path = "law_tests.rs"]
mod tests;
