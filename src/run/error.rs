//! Why a run could not be carried out.
//!
//! `execute` and `dry_run` return it, `cli` prints it.
//! Invariant: each error knows the exit status of the program.

use std::io;

use super::monitors::MonitorError;
use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::fleet::WorkerError;
#[cfg(feature = "redis")]
use crate::fleet::agents::FleetError;
use crate::fleet::cache_stores::CacheStoreError;

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan needs more than this machine has; the text names the limit and the cure.
    #[error("{0}")]
    TooBig(String),
    /// The plan cannot be divided among processes; the text says why.
    #[error("the scenario runs in one process only: {0}; leave out `--processes` or `--agents`")]
    SingleProcess(&'static str),
    /// The workers could not be started.
    #[error(transparent)]
    Workers(#[from] WorkerError),
    /// The agents could not be gathered.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Agents(#[from] FleetError),
    /// A store of a cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheStoreError),
    /// A cache has stores, which agents do not open.
    #[error(
        "cache `{0}` has layers outside of the process, which agents do not open: a scenario must \
         not send credentials to servers that an agent did not allow; use `layers: [memory]`"
    )]
    CacheOfAgents(String),
    /// A monitor cannot be read.
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    /// The scenario's `setup` failed.
    #[error("setup failed: {0}")]
    Setup(String),
    /// The safety limits forbid a target; the text says how to allow it.
    #[error("{0}")]
    Forbidden(String),
    /// A service was not healthy before the load; the text names it.
    #[error("{0}")]
    Unhealthy(String),
    /// A safety limit stopped `setup`.
    #[error("{0}")]
    Stopped(String),
    /// A signal came before the load.
    #[error("stopped by {0} before the load started")]
    Interrupted(Interrupt),
    /// The system failed: what was tried, and its error.
    #[error("{0}: {1}")]
    World(&'static str, #[source] io::Error),
}

impl RunError {
    /// The exit status of the program.
    pub fn ending(&self) -> ExitStatus {
        match self {
            Self::TooBig(_) | Self::Forbidden(_) | Self::Monitor(_) => ExitStatus::Scenario,
            Self::Cache(CacheStoreError::Place { .. }) | Self::CacheOfAgents(_) => {
                ExitStatus::Scenario
            }
            Self::Cache(CacheStoreError::Thread(_)) => ExitStatus::Broken,
            Self::SingleProcess(_) => ExitStatus::Usage,
            Self::Workers(error) => error.ending(),
            #[cfg(feature = "redis")]
            Self::Agents(error) => error.ending(),
            Self::Stopped(_) => ExitStatus::Aborted,
            Self::Interrupted(interrupt) => interrupt.exit_status(),
            Self::Setup(_) | Self::Unhealthy(_) | Self::World(..) => ExitStatus::Broken,
        }
    }
}
