//! The channels between the dispatcher and what generates the load: threads of this process,
//! workers, or agents.
//!
//! `engine` and `fleet` make it, `run` reads it.
//! Invariant: the dispatcher cannot tell by it what generates the load.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use super::ShardCommand;
use super::workers::{WorkerEvent, WorkerUse};
use crate::stats::Delta;

/// Capacity of the delta queue to the dispatcher, for all shards; a delta may take megabytes. When
/// the queue is full, a shard keeps its delta and merges the next one into it.
pub const DELTA_QUEUE: usize = 16;

/// Capacity of a shard's command queue; more than a person can type.
pub const COMMAND_QUEUE: usize = 64;

/// The dispatcher's channels to the shards: threads of this process, or workers.
#[derive(Debug)]
pub struct DeltaSource {
    /// Receives the deltas of all shards.
    pub deltas: mpsc::Receiver<Delta>,
    /// Receives what happens to workers, each after the deltas that the worker sent before.
    pub workers: mpsc::Receiver<WorkerEvent>,
    /// Sends commands: to each thread with a shard, or to each worker for all of its shards.
    pub commands: Vec<mpsc::Sender<ShardCommand>>,
    /// The number of shards.
    pub shards: usize,
    /// How long a command may take to reach all shards, ns: a change of the load takes effect later
    /// by as much.
    pub command_lead_ns: u64,
    /// What is known of the agents of a fleet, as the coordinator updates it.
    pub agents: Option<AgentsStatus>,
}

/// What is known of the agents of a fleet at present.
pub type AgentsStatus = Arc<Mutex<Vec<WorkerUse>>>;

/// How long a command may take to reach all shards of this machine, ns.
pub const COMMAND_LEAD_NS: u64 = 200_000_000;

impl DeltaSource {
    /// The source of shards on this machine. `workers` is `None` if they are threads of this
    /// process, which are not lost: a panic of one is an error of the run.
    pub fn new(
        deltas: mpsc::Receiver<Delta>,
        workers: Option<mpsc::Receiver<WorkerEvent>>,
        commands: Vec<mpsc::Sender<ShardCommand>>,
        shards: usize,
    ) -> Self {
        let workers = workers.unwrap_or_else(|| mpsc::channel(1).1);
        Self { deltas, workers, commands, shards, command_lead_ns: COMMAND_LEAD_NS, agents: None }
    }

    /// Sends a command to every shard. If a queue is full, it has already received enough of them;
    /// if a shard has ended, it needs none.
    pub fn broadcast(&self, command: &ShardCommand) {
        for shard in &self.commands {
            let _ = shard.try_send(command.clone());
        }
    }

    /// Whether every running shard has room for `commands` more: a schedule has to change on all
    /// shards or on none.
    pub fn has_room(&self, commands: usize) -> bool {
        self.commands.iter().all(|shard| shard.is_closed() || shard.capacity() >= commands)
    }
}
