//! The scheduled load of a workload during a run: its plan, or an override by live control.
//!
//! `run` keeps one for each workload and sends changes to the shards, which compute its curve.
//! Invariant: an override changes only the level; the load still ends at the planned time.

use std::time::Duration;

use super::Load;
use crate::curve::Curve;
pub use crate::stats::{LoadOverride, OverrideBase};

impl LoadOverride {
    /// Returns the curve as if this override had been in force from the start.
    pub fn curve(&self, load: &Load) -> Curve {
        let plan = load.curve();
        let level = match self.base {
            // Users of the closed model pause between two iterations and stay.
            _ if self.paused && matches!(load, Load::Open(_)) => 0,
            OverrideBase::Plan => return plan.times(self.permille),
            OverrideBase::Users(users) => users,
            OverrideBase::Rate(rate) => rate.units(),
        };
        let held = Curve::constant(level, Duration::from_nanos(plan.end_ns()));
        held.times(self.permille)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::load::{LoadBound, Users};
    use crate::units::Rate;

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
