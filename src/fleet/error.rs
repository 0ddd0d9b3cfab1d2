//! Why workers could not be started.
//!
//! `workers` returns it, `run` reports it.
//! Invariant: each error names the worker and the exit status of the program.

use std::io;

use crate::event::Interrupt;
use crate::exit::ExitStatus;

/// Why workers could not be started.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system refused a process, a thread or a pipe.
    #[error("cannot start worker {worker}: {error}")]
    Start {
        /// The number of the worker, from 1.
        worker: usize,
        /// The error of the system.
        error: io::Error,
    },
    /// A worker did not accept the plan.
    #[error("worker {worker}: {why}")]
    Refused {
        /// The number of the worker, from 1.
        worker: usize,
        /// Its own words.
        why: String,
        /// Its exit status.
        status: ExitStatus,
    },
    /// A worker ended before the load began.
    #[error("worker {worker} ended before the load started: {why}")]
    Ended {
        /// The number of the worker, from 1.
        worker: usize,
        /// How it ended.
        why: String,
    },
    /// A worker compiled another plan than the coordinator.
    #[error(
        "worker {worker} compiled another plan: the scenario, a file that it names or an \
         environment variable changed since the start of this command; run it again"
    )]
    OtherPlan {
        /// The number of the worker, from 1.
        worker: usize,
    },
    /// A signal came before the load began.
    #[error("stopped by {0} before the load started")]
    Interrupted(Interrupt),
}

impl WorkerError {
    /// The exit status of the program.
    pub fn ending(&self) -> ExitStatus {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Interrupted(interrupt) => interrupt.exit_status(),
            Self::Start { .. } | Self::Ended { .. } | Self::OtherPlan { .. } => ExitStatus::Broken,
        }
    }
}
