//! Live control: turns control commands into commands to the shards and events on the time axis.
//!
//! `dispatch` hands it commands and records what it did.
//! Invariant: a load changes on all shards at the same point of the schedule, or on none.

use super::ceiling;
use super::status::StatusTracker;
use super::workload_override::{WorkloadOverride, count_of, is_open};
use crate::clock::RunOffset;
use crate::curve::Curve;
use crate::event::control::{KEYS, MAX_PERMILLE};
use crate::event::{
    BreakerSwitch, ControlCommand, ControlError, DeltaSource, Order, ScheduleChange, ShardCommand,
};
use crate::ids::{BreakerId, StepId, WorkloadId, indexed_by};
use crate::plan::load_override::OverrideBase;
use crate::plan::policy::BreakerName;
use crate::plan::{LoadOverride, Plan, Workload};
use crate::stats::{Change, ChangeSubject};
use crate::suggest::nearest;
use crate::units::{Rate, nanos};

/// Maximum load changes of a workload: its curve grows by each.
pub const MAX_OVERRIDES: u32 = 1_000;

/// Executes the control commands of a run.
pub(super) struct Controller<'a> {
    plan: &'a Plan,
    overrides: Vec<WorkloadOverride>,
    breakers: Vec<BreakerName>,
    /// By series.
    muted: Vec<bool>,
    /// When the last change takes effect.
    last: RunOffset,
    pub(super) status: StatusTracker,
}

/// What a command did.
#[derive(Default)]
pub(super) struct ControlOutcome {
    /// Subject, change, and when it takes effect.
    pub(super) changes: Vec<(ChangeSubject, Change, RunOffset)>,
    /// The run is to end.
    pub(super) stops: bool,
    /// The reply to the sender.
    pub(super) answer: String,
}

indexed_by! {
    WorkloadId: WorkloadOverride;
}

impl<'a> Controller<'a> {
    /// The controller of a run without changes.
    pub(super) fn new(plan: &'a Plan) -> Self {
        let planned = |curve: &Curve| WorkloadOverride {
            load: LoadOverride::PLANNED,
            curve: curve.clone(),
            changes: 0,
        };
        Self {
            plan,
            overrides: plan.workloads.iter().map(|load| planned(load.load.curve())).collect(),
            breakers: BreakerName::all(plan),
            muted: vec![false; plan.steps.len()],
            last: RunOffset::ZERO,
            status: StatusTracker::default(),
        }
    }

    /// The loads as they are now, by workload.
    pub(super) fn curves(&self) -> Vec<Curve> {
        self.overrides.iter().map(|load| load.curve.clone()).collect()
    }

    /// A former coordinator changed the load of a workload, as agents have carried out.
    pub(super) fn restore(&mut self, workload: &str, load: LoadOverride, at: RunOffset) {
        let loads = &self.plan.workloads;
        let Some((id, workload)) = WorkloadId::number(loads).find(|(_, one)| one.name == workload)
        else {
            return;
        };
        let current = &mut self.overrides[id];
        let from = at.in_workload(workload.zero());
        let curve = current.curve.overridden_from(from.ns(), &load.curve(&workload.load));
        *current = WorkloadOverride { load, curve, changes: current.changes + 1 };
        self.last = self.last.max(at);
    }

    /// The load of each workload: users, or starts per second.
    pub(super) fn target_levels(&self, now: RunOffset) -> Vec<f64> {
        let loads = self.plan.workloads.iter().zip(&self.overrides);
        let level = |(load, current): (&Workload, &WorkloadOverride)| {
            let has_begun = now >= load.zero();
            let level = current.curve.level(now.in_workload(load.zero()).ns());
            let level = if has_begun { level } else { 0 } as f64;
            if is_open(&load.load) { level / Rate::UNITS_PER_S as f64 } else { level }
        };
        loads.map(level).collect()
    }

    /// Executes a command at `now`.
    ///
    /// # Errors
    /// Why the command cannot be executed, and which could.
    pub(super) fn handle(
        &mut self,
        command: &ControlCommand,
        now: RunOffset,
        source: &DeltaSource,
    ) -> Result<ControlOutcome, ControlError> {
        let answered = |answer: String| Ok(ControlOutcome { answer, ..ControlOutcome::default() });
        match command {
            ControlCommand::Breaker(name, switch) => {
                self.switch_breaker(name, *switch, now, source)
            }
            ControlCommand::Mute(step, mute) => self.mute_step(step, *mute, now, source),
            ControlCommand::Mark(text) => {
                let mark = Change::Mark { text: text.clone() };
                let changes = vec![(ChangeSubject::Mark, mark, now)];
                Ok(ControlOutcome {
                    changes,
                    answer: "marked".to_owned(),
                    ..ControlOutcome::default()
                })
            }
            ControlCommand::Status => {
                let muted = self.plan.steps.iter().zip(&self.muted).filter(|(_, muted)| **muted);
                let muted: Vec<&str> = muted.map(|(series, _)| series.name.as_str()).collect();
                answered(self.status.json(self.plan, &self.overrides, &muted, now))
            }
            ControlCommand::Help => answered(ControlCommand::help()),
            ControlCommand::Keys => answered(KEYS.to_owned()),
            ControlCommand::Stop => {
                let answer = "stopping: no new iterations, running ones finish".to_owned();
                Ok(ControlOutcome { stops: true, answer, ..ControlOutcome::default() })
            }
            ControlCommand::Pause(_)
            | ControlCommand::Resume(_)
            | ControlCommand::Toggle(_)
            | ControlCommand::Scale(..)
            | ControlCommand::Nudge(..)
            | ControlCommand::Rate(..)
            | ControlCommand::Users(..)
            | ControlCommand::Plan(_) => self.override_load(command, now, source),
        }
    }

    /// Changes the load of a workload, or of all that the command fits.
    fn override_load(
        &mut self,
        command: &ControlCommand,
        now: RunOffset,
        source: &DeltaSource,
    ) -> Result<ControlOutcome, ControlError> {
        let (of, model) = match command {
            ControlCommand::Rate(of, _) => (of, Some("open")),
            ControlCommand::Users(of, _) => (of, Some("closed")),
            ControlCommand::Pause(of)
            | ControlCommand::Resume(of)
            | ControlCommand::Toggle(of)
            | ControlCommand::Plan(of)
            | ControlCommand::Scale(of, _)
            | ControlCommand::Nudge(of, _) => (of, None),
            _ => (&None, None),
        };
        let meant = self.select_workloads(of.as_deref(), model)?;
        let all_paused = meant.iter().all(|id| self.overrides[*id].load.paused);
        let at = now.after(source.command_lead_ns).max(self.last);
        let mut changes = Vec::new();
        for id in meant {
            let (workload, current) = (&self.plan.workloads[id], &self.overrides[id]);
            let load = apply_command(current.load, command, all_paused, &workload.name)?;
            let is_over = workload.end().is_some_and(|end| RunOffset::from_ns(nanos(end)) <= at)
                || self.plan.uncounted.is_zero()
                    && count_of(workload).is_some_and(|most| self.status.made(id) >= most);
            if load == current.load || is_over && of.is_none() {
                continue;
            }
            if is_over {
                return Err(ControlError::LoadOver { name: workload.name.clone() });
            }
            if current.changes == MAX_OVERRIDES {
                let (name, most) = (workload.name.clone(), MAX_OVERRIDES);
                return Err(ControlError::TooManyChanges { name, most });
            }
            let from = at.in_workload(workload.zero());
            let curve = current.curve.overridden_from(from.ns(), &load.curve(&workload.load));
            changes.push((ScheduleChange { workload: id, at, load }, curve));
        }
        ceiling::allows(self.plan, &self.overrides, &changes)?;
        if !source.has_room(1) {
            return Err(ControlError::Busy);
        }
        let mut done = ControlOutcome::default();
        if !changes.is_empty() {
            source.broadcast(&ShardCommand::ChangeSchedule(
                changes.iter().map(|(change, _)| *change).collect(),
            ));
            self.last = at;
        }
        for (change, curve) in changes {
            let current = &mut self.overrides[change.workload];
            let subject = self.plan.workloads[change.workload].name.clone();
            let (from, to) = (current.load, change.load);
            *current = WorkloadOverride { load: change.load, curve, changes: current.changes + 1 };
            done.add(ChangeSubject::Workload(subject), Change::Load { from, to }, at);
        }
        Ok(done.or("no change: already in this state"))
    }

    /// The workloads that a command selects.
    fn select_workloads(
        &self,
        of: Option<&str>,
        model: Option<&'static str>,
    ) -> Result<Vec<WorkloadId>, ControlError> {
        let loads = &self.plan.workloads;
        let fits = |id: &WorkloadId| model.is_none_or(|model| loads[*id].model() == model);
        let Some(name) = of else {
            let all: Vec<WorkloadId> = WorkloadId::first(loads.len()).filter(fits).collect();
            return match model {
                Some(model) if all.is_empty() => Err(ControlError::NoSuchModel { model }),
                _ => Ok(all),
            };
        };
        let Some((id, _)) = WorkloadId::number(loads).find(|(_, load)| load.name == name) else {
            return Err(unknown("workload", name, loads.iter().map(|load| load.name.as_str())));
        };
        match model.filter(|_| !fits(&id)) {
            None => Ok(vec![id]),
            Some(model) => Err(ControlError::OtherModel { name: name.to_owned(), model }),
        }
    }

    fn switch_breaker(
        &mut self,
        name: &str,
        switch: BreakerSwitch,
        now: RunOffset,
        source: &DeltaSource,
    ) -> Result<ControlOutcome, ControlError> {
        let mut breakers = BreakerId::number(&self.breakers);
        let Some((id, breaker)) = breakers.find(|(_, breaker)| breaker.name == name) else {
            let names = self.breakers.iter().map(|breaker| breaker.name.as_str());
            return Err(unknown("breaker", name, names));
        };
        let BreakerName { level, is_configured: is_there, .. } = breaker;
        if !is_there {
            return Err(ControlError::NoBreaker { name: name.to_owned(), level });
        }
        if !source.has_room(1) {
            return Err(ControlError::Busy);
        }
        source.broadcast(&ShardCommand::Order(Order::Breaker(id, switch)));
        let mut done = ControlOutcome::default();
        done.add(breaker.subject(), Change::SwitchedBreaker { to: switch }, now);
        Ok(done)
    }

    fn mute_step(
        &mut self,
        step: &str,
        mute: bool,
        now: RunOffset,
        source: &DeltaSource,
    ) -> Result<ControlOutcome, ControlError> {
        let steps = StepId::number(&self.plan.steps);
        let all: Vec<StepId> =
            steps.filter(|(_, series)| series.name == step).map(|(id, _)| id).collect();
        if all.is_empty() {
            let names = self.plan.steps.iter().map(|series| series.name.as_str());
            return Err(unknown("step", step, names));
        }
        let is_other = |id: &StepId| self.muted[id.index()] != mute;
        let orders: Vec<StepId> = all.into_iter().filter(is_other).collect();
        if !source.has_room(orders.len()) {
            return Err(ControlError::Busy);
        }
        let mut done = ControlOutcome::default();
        for id in orders {
            self.muted[id.index()] = mute;
            source.broadcast(&ShardCommand::Order(Order::Mute(id, mute)));
            let series = &self.plan.steps[id];
            let (load, kind) = (series.workload, series.archetype);
            let (load, kind) = (&self.plan.workloads[load].name, &self.plan.archetypes[kind].name);
            let subject = ChangeSubject::Step {
                workload: load.clone(),
                archetype: kind.clone(),
                step: step.to_owned(),
            };
            done.add(subject, Change::Mute { muted: mute }, now);
        }
        Ok(done.or("no change: already in this state"))
    }
}

impl ControlOutcome {
    fn add(&mut self, subject: ChangeSubject, change: Change, at: RunOffset) {
        let line = format!("{subject}: {change}");
        self.answer =
            if self.answer.is_empty() { line } else { [&self.answer, "\n", &line].concat() };
        self.changes.push((subject, change, at));
    }

    /// The outcome, or `text` as its reply if nothing changed.
    fn or(mut self, words: &str) -> Self {
        if self.changes.is_empty() {
            words.clone_into(&mut self.answer);
        }
        self
    }
}

/// The load override after a command.
fn apply_command(
    load: LoadOverride,
    command: &ControlCommand,
    all_paused: bool,
    workload: &str,
) -> Result<LoadOverride, ControlError> {
    let held = |base| LoadOverride { base, permille: 1_000, ..load };
    Ok(match command {
        ControlCommand::Pause(_) => LoadOverride { paused: true, ..load },
        ControlCommand::Resume(_) => LoadOverride { paused: false, ..load },
        ControlCommand::Toggle(_) => LoadOverride { paused: !all_paused, ..load },
        ControlCommand::Scale(_, permille) => LoadOverride { permille: *permille, ..load },
        ControlCommand::Nudge(_, by) => match load.permille.saturating_add_signed(*by) {
            0 => {
                let (name, permille) = (workload.to_owned(), load.permille);
                let less = by.unsigned_abs();
                return Err(ControlError::NoLoadLeft { name, permille, less });
            }
            permille => LoadOverride { permille: permille.min(MAX_PERMILLE), ..load },
        },
        ControlCommand::Rate(_, rate) => held(OverrideBase::Rate(*rate)),
        ControlCommand::Users(_, users) => held(OverrideBase::Users(*users)),
        ControlCommand::Plan(_) => LoadOverride::PLANNED,
        _ => load,
    })
}

fn unknown<'n>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'n str>,
) -> ControlError {
    let mut known: Vec<&str> = known.collect();
    known.dedup();
    let suggestion = nearest(name, known.iter().copied()).map(str::to_owned);
    let known = known.into_iter().map(str::to_owned).collect();
    ControlError::Unknown { what, name: name.to_owned(), known, suggestion }
}
