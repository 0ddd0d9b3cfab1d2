//! Carries out a shift: gives its law what was measured, turns weights, runs commands.
//!
//! `dispatch` owns it.
//! Invariant: each change of a share is an order to all shards and an event of the run.

use super::command::RunningCommand;
use super::law::{ShiftAction, ShiftCommand, ShiftLaw};
use crate::clock::RunOffset;
use crate::event::Order;
use crate::ids::ServiceId;
use crate::plan::shift::ShiftPlan;
use crate::plan::{BackendSeries, Plan};
use crate::stats::delta::{StepWindow, Window};
use crate::stats::shift::ShiftReport;
use crate::stats::{Change, ChangeCause, ChangeSubject, Delta, StateChange};

/// Units of a weight for one percent.
const PERCENT: u64 = 10;

/// What follows from a second of a shift.
pub(in crate::run) enum ShiftOrder {
    /// Orders to the shards, and the event that tells them.
    Turn(Vec<Order>, Box<StateChange>),
    /// The load stops, for this reason.
    Stop(String),
}

/// A shift in progress.
pub(in crate::run) struct ShiftController {
    law: ShiftLaw,
    plan: ShiftPlan,
    /// Names of the service, the old target and the new one.
    service: String,
    targets: [String; 2],
    series: Vec<BackendSeries>,
    running: Option<RunningCommand>,
    /// Why the new target is unhealthy, if checks have just found that.
    unhealthy: Option<String>,
    /// Whether the new target is healthy, as far as checks have found.
    is_healthy: bool,
}

impl ShiftController {
    /// The shift of a plan; `None` if it has none.
    pub(in crate::run) fn new(plan: &Plan) -> Option<Self> {
        let shift = plan.shift.clone()?;
        let service = plan.services[shift.service].name.clone();
        let mut names = plan.backend_names(shift.service).into_iter();
        let targets = [names.next()?, names.next()?];
        Some(Self {
            law: ShiftLaw::new(shift.clone(), service.clone(), targets.clone()),
            plan: shift,
            service,
            targets,
            series: plan.backend_series(),
            running: None,
            unhealthy: None,
            is_healthy: true,
        })
    }

    /// Adds what a shard measured.
    pub(in crate::run) fn absorb(&mut self, delta: &Delta) {
        for window in &delta.windows {
            let [old, new] = self.sides(window);
            self.law.absorb(window.second, [&old, &new]);
        }
    }

    /// The calls of both targets in a window.
    fn sides(&self, window: &Window) -> [StepWindow; 2] {
        let mut sides: [StepWindow; 2] = Default::default();
        for (series, theirs) in self.series.iter().zip(&window.backends) {
            let Some(theirs) = theirs.as_ref().filter(|_| series.service == self.plan.service)
            else {
                continue;
            };
            let place = usize::from(series.name == self.targets[1]);
            sides[place].merge(&theirs.calls);
        }
        sides
    }

    /// Takes a change of the health of a backend.
    pub(in crate::run) fn health_changed(&mut self, order: Option<&Order>, cause: &ChangeCause) {
        if let Some(Order::BackendHealth(service, 1, is_healthy)) = order
            && *service == self.plan.service
        {
            self.is_healthy = *is_healthy;
            if !is_healthy {
                self.unhealthy = Some(cause.to_string());
            }
        }
    }

    /// Ends a second.
    pub(in crate::run) fn second(&mut self, now: RunOffset) -> Vec<ShiftOrder> {
        let mut orders = Vec::new();
        if let Some(why) = self.unhealthy.take() {
            let actions = self.law.unhealthy(now, &why);
            orders.extend(self.carry_out_all(actions, now));
        }
        if self.is_healthy {
            self.law.healthy();
        }
        orders.extend(self.look(now));
        let actions = self.law.second(now);
        orders.extend(self.carry_out_all(actions, now));
        orders
    }

    /// Looks for the end of the command that runs.
    pub(in crate::run) fn look(&mut self, now: RunOffset) -> Vec<ShiftOrder> {
        let Some(result) = self.running.as_mut().and_then(RunningCommand::poll) else {
            return Vec::new();
        };
        self.running = None;
        let actions = self.law.ended(now, result);
        self.carry_out_all(actions, now)
    }

    /// The load is over, or is being stopped.
    pub(in crate::run) fn load_over(&mut self, now: RunOffset) -> Vec<ShiftOrder> {
        let actions = self.law.load_over(now);
        self.carry_out_all(actions, now)
    }

    /// Ends the command that runs; `rollback` is not run to its end, for this reason.
    pub(in crate::run) fn give_up(&mut self, now: RunOffset, why: &str) -> Vec<ShiftOrder> {
        let actions = self.law.give_up(now, why);
        self.carry_out_all(actions, now)
    }

    /// Waits for the command that runs, if there is one; `look` takes its result.
    pub(in crate::run) async fn command_ended(&mut self) {
        if let Some(running) = &mut self.running {
            running.ended().await;
        }
    }

    /// Whether a command runs.
    pub(in crate::run) fn has_command(&self) -> bool {
        self.running.is_some()
    }

    /// What became of it.
    pub(in crate::run) fn report(&self) -> ShiftReport {
        self.law.report()
    }

    fn carry_out_all(&mut self, actions: Vec<ShiftAction>, now: RunOffset) -> Vec<ShiftOrder> {
        actions.into_iter().filter_map(|action| self.carry_out(action, now)).collect()
    }

    fn carry_out(&mut self, action: ShiftAction, now: RunOffset) -> Option<ShiftOrder> {
        match action {
            ShiftAction::Stop(why) => Some(ShiftOrder::Stop(why)),
            ShiftAction::Share { from, to, why } => {
                let service: ServiceId = self.plan.service;
                let weights = [100 - to, to].map(|percent| u64::from(percent) * PERCENT);
                let orders = weights.into_iter().enumerate();
                let orders =
                    orders.map(|(at, weight)| Order::BackendWeight(service, at, weight)).collect();
                let change = StateChange {
                    at: now,
                    subject: ChangeSubject::Service(self.service.clone()),
                    change: Change::Shift {
                        target: self.targets[1].clone(),
                        from: from.into(),
                        to: to.into(),
                    },
                    cause: ChangeCause::Decision { text: why },
                };
                Some(ShiftOrder::Turn(orders, Box::new(change)))
            }
            ShiftAction::Run(which, step, percent) => {
                let commands = &self.plan.commands;
                let text = match which {
                    ShiftCommand::Before => &commands.before,
                    ShiftCommand::After => &commands.after,
                    ShiftCommand::Rollback => &commands.rollback,
                };
                let variables = [
                    ("MANADA_SHIFT_STEP", (step + 1).to_string()),
                    ("MANADA_SHIFT_PERCENT", percent.to_string()),
                    ("MANADA_SHIFT_OLD", self.targets[0].clone()),
                    ("MANADA_SHIFT_NEW", self.targets[1].clone()),
                ];
                let text = text.as_deref().unwrap_or_default();
                self.running = Some(RunningCommand::start(text, &variables));
                None
            }
            ShiftAction::End => {
                self.running.iter().for_each(RunningCommand::end);
                None
            }
        }
    }
}
