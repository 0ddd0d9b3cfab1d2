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

    /// The shortest `hold`: a step is judged by the whole seconds in it.
    pub const MIN_HOLD: Duration = Duration::from_secs(2);

    /// How long after the end of a step its calls are waited for.
    const SETTLE: Duration = Duration::from_secs(2);

    /// The time from the begin of a step until it is judged.
    pub fn held(&self) -> Duration {
        self.hold.saturating_add(Self::SETTLE.min(self.hold))
    }

    /// The shortest time that the whole shift takes. It goes on at full seconds, from the
    /// first one on: each step takes some of them, each command one or more, and the last decision
    /// needs one.
    pub fn shortest(&self) -> Duration {
        let whole = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let commands = [&self.commands.before, &self.commands.after];
        let commands = commands.into_iter().flatten().count() as u64;
        let step = whole(self.held()).saturating_add(commands);
        let steps = step.saturating_mul(self.steps.len() as u64);
        Duration::from_secs(whole(self.start).max(1).saturating_add(steps).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_time_has_waits_and_whole_seconds() {
        let text = |text: &str| Some(text.to_owned());
        let plan = |start: u64, hold: u64, commands: ShiftCommands| ShiftPlan {
            service: ServiceId::new(0),
            steps: vec![10, 50, 100],
            start: Duration::from_millis(start),
            hold: Duration::from_millis(hold),
            min_calls: 20,
            rules: Vec::new(),
            commands,
        };
        let none = ShiftCommands::default;
        let both = ShiftCommands { before: text("b"), after: text("a"), rollback: text("r") };
        for (plan, seconds) in [
            (plan(0, 10_000, none()), 1 + 3 * 12 + 1),
            (plan(4_500, 10_000, none()), 5 + 3 * 12 + 1),
            (plan(1_000, 2_500, none()), 1 + 3 * 5 + 1),
            (plan(5_000, 10_000, both), 5 + 3 * 14 + 1),
        ] {
            assert_eq!(plan.shortest(), Duration::from_secs(seconds), "{plan:?}");
        }
    }
}
