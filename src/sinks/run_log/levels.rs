//! How important the events of a run are.
//!
//! The log and the log records of OpenTelemetry give each event this level.
//! Invariant: an event has one level, wherever it is logged.

use super::options::LogLevel;
use crate::event::StopCause;
use crate::exit::ExitStatus;
use crate::stats::{BreakerState, BreakerSwitch, Change, MemoryRelief, Remedy};

impl LogLevel {
    /// The level of a state change: an error if load or figures are lost, a warning if the client
    /// does less than it should.
    pub(in crate::sinks) fn of_change(change: &Change) -> Self {
        match change {
            Change::WorkerLost { .. } | Change::NoLease { .. } | Change::Unmerged { .. } => {
                Self::Error
            }
            Change::Breaker { to: BreakerState::Open, .. }
            | Change::SwitchedBreaker { to: BreakerSwitch::Open }
            | Change::LateLoad { .. }
            | Change::Redistributed { .. }
            | Change::BackendHealth { healthy: false }
            | Change::BackendEjected { .. }
            | Change::Connect { accepts: false }
            | Change::Memory { relief: MemoryRelief::PauseAdmission }
            | Change::Healing { remedy: Remedy::None { .. } } => Self::Warn,
            Change::Degradation { from, to } if to > from => Self::Warn,
            Change::Admission { from, to } if to > from => Self::Warn,
            _ => Self::Info,
        }
    }

    /// The level of the end of the load before it is over.
    pub(in crate::sinks) fn of_stop(cause: &StopCause) -> Self {
        if matches!(cause, StopCause::Signal(_)) { Self::Warn } else { Self::Error }
    }

    /// The level of a threshold at the end of a run.
    pub(in crate::sinks) fn of_threshold(passed: bool) -> Self {
        if passed { Self::Info } else { Self::Error }
    }

    /// The level of the end of a run.
    pub(in crate::sinks) fn of_end(status: ExitStatus) -> Self {
        match status {
            ExitStatus::Pass => Self::Info,
            ExitStatus::Inconclusive
            | ExitStatus::HungUp
            | ExitStatus::Interrupted
            | ExitStatus::Quit
            | ExitStatus::Terminated => Self::Warn,
            ExitStatus::Broken
            | ExitStatus::Usage
            | ExitStatus::Scenario
            | ExitStatus::Fail
            | ExitStatus::Aborted => Self::Error,
        }
    }
}
