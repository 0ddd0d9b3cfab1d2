//! Why an agent takes no part in a run.
//!
//! Invariant: each error names the cause and the cure, and has an exit status.

use std::io;
use std::time::Duration;

use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::files::{BundleError, VariableError};
use crate::fleet::bus::BusError;
use crate::fleet::signature::Distrust;
use crate::fleet::worker::PlanRefusal;
use crate::units::show_duration;

/// Why an agent takes no part in a run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The bus cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The bus has no run of this id.
    #[error(
        "the bus has no run `{run}` after {}; `manada run --agents` prints its id and waits for \
         agents, and the bus has to be the same",
        show_duration(*patience)
    )]
    NoRun {
        /// The id.
        run: String,
        /// How long the agent waited.
        patience: Duration,
    },
    /// The ordinal is beyond the fleet.
    #[error(
        "the run has {agents} agents, with ordinals from 0 to {}; this one is {ordinal}",
        agents - 1
    )]
    TooMany {
        /// The number of agents.
        agents: u16,
        /// The ordinal of this one.
        ordinal: u16,
    },
    /// The plan has not the signature that this agent demands.
    #[error(transparent)]
    Distrusted(Distrust),
    /// What the coordinator wrote cannot be used.
    #[error("{0}")]
    Setup(String),
    /// The files of the scenario cannot be used.
    #[error("the files of the scenario: {0}")]
    Bundle(#[from] BundleError),
    /// The files of the scenario cannot be written here.
    #[error("cannot write the files of the scenario: {0}")]
    Unpack(#[source] io::Error),
    /// Variables that the scenario reads are missing here, or have other values.
    #[error(transparent)]
    Variables(#[from] VariableError),
    /// The plan cannot be run here: why, and the exit status.
    #[error("{0}")]
    Refused(String, ExitStatus),
    /// The plan could not be prepared.
    #[error("cannot prepare the plan: {0}")]
    Prepare(String),
    /// The engine could not be started.
    #[error("cannot start a shard: {0}")]
    Engine(#[source] io::Error),
    /// A second signal.
    #[error("stopped by {0}")]
    Interrupted(Interrupt),
    /// The system refused a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
}

impl AgentError {
    /// Whether the coordinator is told: it is a reason against the plan, on this machine.
    pub(super) fn is_against_plan(&self) -> bool {
        matches!(
            self,
            Self::Distrusted(_)
                | Self::Setup(_)
                | Self::Bundle(_)
                | Self::Unpack(_)
                | Self::Variables(_)
                | Self::Refused(..)
                | Self::Prepare(_)
        )
    }

    pub(super) fn refused((why, status): PlanRefusal) -> Self {
        Self::Refused(why, status)
    }

    /// The exit status of the program.
    pub fn ending(&self) -> ExitStatus {
        match self {
            Self::Bus(error) => error.ending(),
            Self::TooMany { .. } => ExitStatus::Usage,
            Self::Refused(_, status) => *status,
            Self::Variables(_) | Self::Distrusted(_) | Self::Setup(_) => ExitStatus::Scenario,
            Self::Interrupted(interrupt) => interrupt.exit_status(),
            _ => ExitStatus::Broken,
        }
    }
}
