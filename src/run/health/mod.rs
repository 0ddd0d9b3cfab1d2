//! Health checks of services: before the load, during it, and after it.
//!
//! `execute` calls it; `dispatch` takes the changes during the load.
//! Invariant: checks go to the same addresses under the same safety limits as the load, and count
//! in none of its figures.

mod checker;
mod gate;
mod watch;

pub(super) use checker::HealthChecker;
pub(super) use gate::{before_load, recovery};
pub(super) use watch::{HealthChange, RunningChecks};
