//! A shift of load from one target of a service to another, step by step.
//!
//! `scenario` reads it, `run::shift` carries it out.
//! Invariant: the steps rise, and the last one is 100 %.

use std::time::Duration;

use crate::ids::ServiceId;
use crate::verdict::SideRule;

/// A shift.
#[derive(Clone, Debug)]
pub struct ShiftPlan {
    /// The service; its backends are the old target and the new one.
    pub service: ServiceId,
    /// Shares of the users on the new target, percent.
    pub steps: Vec<u32>,
    /// When the first step begins, after the start of the run.
    pub start: Duration,
    /// How long each step is held before it is judged.
    pub hold: Duration,
    /// Calls on the new target that a step needs to be judged.
    pub min_calls: u64,
    /// What must hold on the new target.
    pub rules: Vec<SideRule>,
    /// Shell commands around the steps.
    pub commands: ShiftCommands,
}

/// Shell commands around the steps of a shift.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShiftCommands {
    /// Before each step: it may turn the weight of a real balancer.
    pub before: Option<String>,
    /// After each step that passed.
    pub after: Option<String>,
    /// Before the load goes back to the old target.
    pub rollback: Option<String>,
}

impl ShiftCommands {
    /// Whether there is a command.
    pub fn has_any(&self) -> bool {
        self.before.is_some() || self.after.is_some() || self.rollback.is_some()
    }
}

impl ShiftPlan {
    /// Shares of the users on the new target without `steps`, percent.
    pub const STEPS: [u32; 5] = [10, 25, 50, 75, 100];

    /// How long a step is held without `hold`.
    pub const HOLD: Duration = Duration::from_secs(30);

    /// Calls that a step needs without `min_calls`.
    pub const MIN_CALLS: u64 = 20;

    /// The shortest time that the whole shift takes.
    pub fn shortest(&self) -> Duration {
        let steps = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        self.start + self.hold.saturating_mul(steps)
    }
}
