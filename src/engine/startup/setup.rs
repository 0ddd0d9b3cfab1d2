//! What a shard needs to begin.
//!
//! `start` and `single_user` make it; `shard` reads it once.
//! Invariant: it is plain data; making one starts nothing.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::clock::Time;
use crate::engine::iterations::trace_recorder::TraceRecorder;
use crate::engine::startup::run_shared::RunShared;
use crate::event::ShardCommand;
use crate::plan::data::RowClaim;
use crate::plan::slots::Segment;
use crate::plan::{Address, Plan};
use crate::stats::Delta;
use crate::template::Value;

/// Values of variables by slot; `None` if the variable is unset.
pub type Variables = Arc<Vec<Option<Value>>>;

/// The setup of a shard.
#[derive(Debug)]
pub struct ShardSetup {
    /// The run.
    pub plan: Arc<Plan>,
    /// The address of each service.
    pub addresses: Arc<Vec<Address>>,
    /// The part of all numbered users, arrivals and iterations that this shard owns.
    pub segment: Segment,
    /// Whether the shard begins load only under a lease; see `ShardCommand::Lease`.
    pub is_leased: bool,
    /// When the run begins.
    pub start: Time,
    /// The same on the wall clock, ms since the epoch.
    pub started_ms: u64,
    /// The variables that the scenario's `setup` set: every user begins with them.
    pub globals: Variables,
    /// Receives the variables of the user that ended last; `None` if they are not needed.
    pub final_variables: Option<Arc<Mutex<Vec<Option<Value>>>>>,
    /// Records each call; `None` in a run.
    pub trace: Option<TraceRecorder>,
    /// The rows that each data source gives, by workload, share and draw.
    pub claims: Arc<Vec<Vec<Vec<RowClaim>>>>,
    /// State that all shards share.
    pub shared: Arc<RunShared>,
    /// The channel for the shard's deltas.
    pub deltas: mpsc::Sender<Delta>,
    /// The commands to the shard.
    pub commands: mpsc::Receiver<ShardCommand>,
}
