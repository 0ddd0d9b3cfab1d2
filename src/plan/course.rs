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
pub struct Course {
    /// What it is a share of.
    pub base: Base,
    /// So many thousandths of it.
    pub permille: u32,
    /// Nothing begins. Users of the closed model stay where they are.
    pub paused: bool,
}

/// What a course is a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// The scenario's own curve.
    Plan,
    /// So many users.
    Users(u64),
    /// So many starts per second.
    Rate(Rate),
}

impl Course {
    /// As the scenario says.
    pub const PLANNED: Self = Self { base: Base::Plan, permille: 1_000, paused: false };

    /// The whole curve that would be asked, had it held from the beginning.
    pub fn curve(&self, load: &Load) -> Curve {
        let plan = load.curve();
        let level = match self.base {
            // Who is closed is held between two iterations, and stays.
            _ if self.paused && matches!(load, Load::Open(_)) => 0,
            Base::Plan => return plan.times(self.permille),
            Base::Users(users) => users,
            Base::Rate(rate) => rate.units(),
        };
        let held = Curve::constant(level, Duration::from_nanos(plan.end_ns()));
        held.times(self.permille)
    }
}

impl fmt::Display for Course {
    /// `100 %`, `paused`, `200/s`, `30 users × 150 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = format!("{} %", f64::from(self.permille) / 10.0);
        match self.base {
            _ if self.paused => return f.write_str("paused"),
            Base::Plan => return f.write_str(&percent),
            Base::Users(users) => write!(f, "{users} users")?,
            Base::Rate(rate) => write!(f, "{}/s", rate.as_f64())?,
        }
        if self.permille == 1_000 { Ok(()) } else { write!(f, " × {percent}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::load::{Bound, Users};

    #[test]
    fn a_course_is_what_it_says() {
        let curve = Curve::constant(10, Duration::from_mins(1));
        let closed = Load::Closed(Users { curve, bound: Bound::Time });
        let planned = Course::PLANNED;
        for (course, says, users) in [
            (planned, "100 %", 10),
            (Course { permille: 1_255, ..planned }, "125.5 %", 13),
            (Course { base: Base::Users(30), ..planned }, "30 users", 30),
            (Course { base: Base::Users(30), permille: 500, ..planned }, "30 users × 50 %", 15),
            (Course { paused: true, ..planned }, "paused", 10),
        ] {
            let curve = course.curve(&closed);
            assert_eq!((course.to_string().as_str(), curve.peak()), (says, users));
            assert_eq!(curve.end_ns(), 60_000_000_000);
        }
        let rate = Base::Rate(Rate::from_units(Rate::UNITS_PER_S * 5 / 2));
        assert_eq!(Course { base: rate, ..planned }.to_string(), "2.5/s");
    }
}
