//! What the driver of a coordinator tells the run before the load.
//!
//! `driver` sends it, `agents` waits for it.
//! Invariant: the last one is the start of the load, or why there is none.

use super::error::FleetError;
use crate::clock::Time;
use crate::fleet::protocol::{FleetPhase, MemberRefusal};
use crate::stats::StateChange;

/// What is left of the work of former coordinators.
#[derive(Clone, Debug, Default)]
pub struct RestoredRun {
    /// The frames of their journal, which are to be merged again.
    pub frames: u64,
    /// What they had merged, and the journal does not have.
    pub losses: Vec<StateChange>,
}

/// What the driver tells before the load.
#[derive(Debug)]
pub(super) enum FleetNews {
    /// The number of agents that have joined.
    Joined(usize),
    /// All have joined; the number of shards of each.
    Prepare(u16),
    /// The start of the load.
    Armed(Time),
    /// What the former coordinator merged is found.
    Restored(RestoredRun),
    /// An agent takes no part; why, and its own words if it has any.
    Refused(u16, MemberRefusal, Vec<u8>),
    /// A remark on the bus.
    Told(String),
    /// The run is over.
    Ended(FleetError),
}

/// Whether a phase comes before the load.
pub(super) const fn is_before_load(phase: FleetPhase) -> bool {
    matches!(phase, FleetPhase::Lobby | FleetPhase::Prepare)
}
