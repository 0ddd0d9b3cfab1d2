//! What is asked of a workload while a run goes on: its plan, or what somebody made of it.
//!
//! `run` keeps one for each workload and tells the shards of each change; they ask for its curve.
//! Invariant: it changes what is asked and nothing else: a load ends when it would have ended.

use std::fmt;
use std::time::Duration;

use super::Load;
use crate::curve::Curve;
use crate::units::Rate;

/// What is asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadOverride {
    /// What it is a share of.
    pub base: OverrideBase,
    /// So many thousandths of it.
    pub permille: u32,
    /// Nothing begins. Users of the closed model stay where they are.
    pub paused: bool,
}

/// What a load is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverrideBase {
    /// The scenario's own curve.
    Plan,
    /// So many users.
    Users(u64),
    /// So many starts per second.
    Rate(Rate),
}

impl LoadOverride {
    /// As the scenario says.
    pub const PLANNED: Self = Self { base: OverrideBase::Plan, permille: 1_000, paused: false };

    /// The whole curve that would be asked, had it held from the beginning.
    pub fn curve(&self, load: &Load) -> Curve {
        let plan = load.curve();
        let level = match self.base {
            // Who is closed is held between two iterations, and stays.
            _ if self.paused && matches!(load, Load::Open(_)) => 0,
            OverrideBase::Plan => return plan.times(self.permille),
            OverrideBase::Users(users) => users,
            OverrideBase::Rate(rate) => rate.units(),
        };
        let held = Curve::constant(level, Duration::from_nanos(plan.end_ns()));
        held.times(self.permille)
    }
}

impl fmt::Display for LoadOverride {
    /// `100 %`, `paused`, `200/s`, `30 users × 150 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{} %", f64::from(self.permille) / 10.0);
        match self.base {
            _ if self.paused => return f.write_str("paused"),
            OverrideBase::Plan => return f.write_str(&percent),
            OverrideBase::Users(users) => write!(f, "{users} users")?,
            OverrideBase::Rate(rate) => write!(f, "{}/s", rate.as_f64())?,
        }
        if self.permille == 1_000 { Ok(()) } else { write!(f, " × {percent}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::load::{LoadBound, Users};

    #[test]
    fn an_override_prints_and_applies_its_level() {
        let curve = Curve::constant(10, Duration::from_mins(1));
        let closed = Load::Closed(Users { curve, bound: LoadBound::Time });
        let planned = LoadOverride::PLANNED;
        for (load, says, users) in [
            (planned, "100 %", 10),
            (LoadOverride { permille: 1_255, ..planned }, "125.5 %", 13),
            (LoadOverride { base: OverrideBase::Users(30), ..planned }, "30 users", 30),
            (
                LoadOverride { base: OverrideBase::Users(30), permille: 500, ..planned },
                "30 users × 50 %",
                15,
            ),
            (LoadOverride { paused: true, ..planned }, "paused", 10),
        ] {
            let curve = load.curve(&closed);
            assert_eq!((load.to_string().as_str(), curve.peak()), (says, users));
            assert_eq!(curve.end_ns(), 60_000_000_000);
        }
        let rate = OverrideBase::Rate(Rate::from_units(Rate::UNITS_PER_S * 5 / 2));
        assert_eq!(LoadOverride { base: rate, ..planned }.to_string(), "2.5/s");
    }
}
