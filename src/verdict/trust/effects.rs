//! Which figures a fault of the generator moves, and to which side: METHODOLOGY's table.
//!
//! Invariant: a figure that a fault moves to one side only is never doubted on the other.

use super::super::metric::{Metric, Time};
use Moves::{Any, Down, Up};

/// A figure, and to which side a cause may have moved it.
pub type Effect = (&'static str, Moves);

/// To which side a fault of the generator moves a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// The true value is not above the measured one.
    Up,
    /// The true value is not below the measured one.
    Down,
    /// The true value may lie on either side.
    Any,
}

/// Late starts of a schedule: all of it is made up for later, so times only grow.
pub(super) const LATE: &[Effect] = &[
    ("response", Up),
    ("service", Up),
    ("iteration", Up),
    ("lag", Up),
    ("achieved", Down),
    ("rate", Down),
    ("dropped", Up),
];

/// Late users of a closed workload ask less of the target, which may answer faster for it.
pub(super) const LATE_CLOSED: &[Effect] = &[
    ("response", Any),
    ("service", Any),
    ("iteration", Any),
    ("lag", Up),
    ("achieved", Down),
    ("rate", Down),
];

pub(super) const LOST_STARTS: &[Effect] =
    &[("response", Up), ("iteration", Up), ("achieved", Down), ("rate", Down), ("dropped", Up)];

/// Calls that were not made: whatever would have come of them is missing everywhere.
pub(super) const NOT_MADE: &[Effect] = &[
    ("response", Any),
    ("service", Any),
    ("iteration", Any),
    ("checks", Any),
    ("errors", Any),
    ("rate", Any),
];

pub(super) const MISSING_USERS: &[Effect] =
    &[("response", Any), ("service", Any), ("iteration", Any), ("users", Down), ("rate", Down)];

pub(super) const BOUND: &[Effect] =
    &[("response", Up), ("service", Up), ("iteration", Up), ("rate", Down)];

pub(super) const ALL: &[Effect] = &[("all", Any)];

/// The name of what a metric looks at, as reasons name it.
pub(super) fn figure(metric: Metric) -> &'static str {
    match metric {
        Metric::Time(Time::Response | Time::OkResponse, _) => "response",
        Metric::Time(Time::Service | Time::OkService, _) => "service",
        Metric::Time(Time::Lag, _) => "lag",
        Metric::Time(Time::Blocked, _) => "blocked",
        Metric::Time(Time::Iteration, _) => "iteration",
        Metric::Checks => "checks",
        Metric::Errors
        | Metric::Failed
        | Metric::Timeouts
        | Metric::GeneratorErrors
        | Metric::Statuses(..)
        | Metric::StatusShare(..) => "errors",
        Metric::Achieved => "achieved",
        Metric::AchievedUsers => "users",
        Metric::Dropped => "dropped",
        Metric::Rate | Metric::Calls | Metric::Iterations | Metric::Bytes => "rate",
    }
}
