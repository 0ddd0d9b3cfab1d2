//! Why a run on agents cannot be carried out.
//!
//! Invariant: each error names the cause and the cure, and has an exit status.

use std::io;
use std::time::Duration;

use super::journal::FleetJournalError;
use super::refused::RefusedAgents;
use crate::event::Interrupt;
use crate::exit::ExitStatus;
use crate::fleet::bus::BusError;
use crate::units::show_duration;

/// Why a run on agents cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The bus cannot be used.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The bus has a run of this id.
    #[error(
        "the bus has a run `{id}` already; leave out --run for an id of its own, or choose another"
    )]
    Occupied {
        /// The id.
        id: String,
    },
    /// The bus has no run of this id.
    #[error("the bus has no run `{id}`; `manada run --agents` printed its id when it began")]
    NoRun {
        /// The id.
        id: String,
    },
    /// What the former coordinator wrote for agents cannot be used.
    #[error("{0}")]
    Setup(String),
    /// The journal of the former coordinator cannot be read any more.
    #[error("cannot read the journal of the former coordinator: {0}")]
    Journal(#[source] FleetJournalError),
    /// Too few agents came.
    #[error(
        "{joined} of {agents} agents joined within {}; start `manada agent --bus … --run {id}` on \
         each machine, or raise --join-timeout{refused}",
        show_duration(*timeout)
    )]
    TooFew {
        /// How many came.
        joined: usize,
        /// How many were to come.
        agents: u16,
        /// In which time.
        timeout: Duration,
        /// The id of the run.
        id: String,
        /// Those that were refused.
        refused: RefusedAgents,
    },
    /// Not all agents prepared the plan.
    #[error(
        "not all agents prepared the plan within --join-timeout; the messages of the agents have \
         the reason{refused}"
    )]
    NotReady {
        /// Those that were refused.
        refused: RefusedAgents,
    },
    /// Another coordinator leads the run.
    #[error("another coordinator has taken over the run")]
    Fenced,
    /// The bus was away for too long.
    #[error(
        "the bus could not be reached for a minute; journals of agents (--journal) have what they \
         measured, and `manada merge` makes a report of them"
    )]
    BusLost,
    /// A signal came before the load.
    #[error("stopped by {0} before the load started")]
    Interrupted(Interrupt),
    /// The system refused a thread.
    #[error("cannot start a thread for the fleet: {0}")]
    Thread(#[source] io::Error),
}

impl FleetError {
    /// The exit status of the program.
    pub fn ending(&self) -> ExitStatus {
        match self {
            Self::Bus(error) => error.ending(),
            Self::Occupied { .. } => ExitStatus::Usage,
            Self::Interrupted(interrupt) => interrupt.exit_status(),
            _ => ExitStatus::Broken,
        }
    }
}
