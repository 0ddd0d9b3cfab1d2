//! The run that a coordinator carries out.
//!
//! `run` makes it of a plan and the command line; the coordinator and its drafts read it.
//! Invariant: it does not change while the run goes on, and each coordinator of a run has the same.

use crate::clock::RunOffset;
use crate::event::LossPolicy;
use crate::fleet::protocol::member::FleetTimes;

/// A run, as its coordinator has to carry it out.
#[derive(Clone, Debug)]
pub struct FleetConfig {
    /// The id of the run.
    pub run: String,
    /// The hash of the plan.
    pub plan: u64,
    /// The number of agents; their ordinals are below.
    pub agents: u16,
    /// With how many the run begins once the time to join is over.
    pub min_agents: u16,
    /// How long agents may take to join, and again to prepare, ns.
    pub join_timeout: u64,
    /// The shards of each agent; `None`: as many as the agent with the fewest cores has.
    pub shards: Option<u16>,
    /// The most shards of each agent; `None`: no limit but the number of slots.
    pub max_shards: Option<u16>,
    /// The number of slots.
    pub slots: usize,
    /// The end of the schedule; `NEVER` if only a count ends it.
    pub end: RunOffset,
    /// What becomes of the slots of an agent that is lost. One that leaves at its own request is no
    /// loss: the run is not aborted.
    pub on_loss: LossPolicy,
    /// Whether an agent that comes back, or its replacement, gets its slots back.
    pub returns_slots: bool,
    /// The times of the protocol.
    pub times: FleetTimes,
}

/// How a coordinator becomes the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderStart {
    /// It begins the run; there must be no control record.
    New,
    /// It replaces the leader at once, because it is known to be gone.
    Resume,
    /// It replaces the leader once the control record has not changed for
    /// [`FleetTimes::leader_silence`].
    Standby,
}
