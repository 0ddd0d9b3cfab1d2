//! A run on the agents of a fleet: their lobby, and how many shards they have.
//!
//! `execute` opens it before `setup`, and `generators` start what it gathered.
//! Invariant: nothing is sent to the target before all agents have joined.

use std::time::Duration;

use tokio::sync::mpsc;

use super::error::RunError;
use crate::clock;
use crate::engine::Variables;
use crate::engine::startup::tier::EngineTier;
use crate::event::{Interrupt, LossPolicy, RunEvent};
use crate::fleet::agents::AgentsRun;
pub(super) use crate::fleet::agents::{PendingAgents, RunningAgents};
use crate::fleet::bus::BusAddress;
use crate::fleet::signature::SigningKey;
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;
use crate::units::counted;

/// What the command line sets of a run on agents.
#[derive(Clone, Debug)]
pub struct AgentsOptions {
    /// The bus.
    pub bus: BusAddress,
    /// The id of the run on the bus.
    pub id: String,
    /// The number of agents.
    pub agents: u16,
    /// How long agents may take to join, and again to prepare.
    pub join_timeout: Duration,
    /// The command line that agents compile, program first.
    pub words: Vec<Vec<u8>>,
    /// The files of the scenario.
    pub bundle: Vec<u8>,
    /// What signs the plan.
    pub sign_key: Option<SigningKey>,
}

/// The number of agents.
pub(super) fn count(options: &AgentsOptions) -> usize {
    usize::from(options.agents)
}

/// Opens the run on the bus, and waits until all agents have joined.
pub(super) fn gather(
    options: &AgentsOptions,
    (plan, addresses): (&Plan, &[Address]),
    (shards, on_loss): (Option<usize>, LossPolicy),
    sinks: &mut SinkSet,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<PendingAgents, RunError> {
    let mut pending = PendingAgents::open(AgentsRun {
        plan,
        bus: &options.bus,
        id: options.id.clone(),
        words: options.words.clone(),
        bundle: options.bundle.clone(),
        sign_key: options.sign_key.as_ref(),
        addresses,
        agents: options.agents,
        shards: shards.and_then(|shards| u16::try_from(shards).ok()),
        join_timeout: options.join_timeout,
        on_loss,
    })?;
    let agents = counted(u64::from(options.agents), "agent");
    let (id, bus) = (&options.id, &options.bus);
    sinks.publish(&RunEvent::Note(format!(
        "run {id}: waiting for {agents}; on each machine: manada agent --bus {bus} --run {id}"
    )));
    if let Some(key) = &options.sign_key {
        let key = key.public();
        sinks.publish(&RunEvent::Note(format!("the plan is signed: --trust-key {key}")));
    }
    let (sender, mut receiver) = mpsc::channel(4);
    interrupts(sender);
    let joined = clock::block_on(async {
        pending.gather(&mut receiver, |line| sinks.publish(&RunEvent::Note(line))).await
    });
    joined.map_err(|e| RunError::World("cannot wait for agents", e))??;
    Ok(pending)
}

/// Waits until all agents are ready, with the values of the variables of `setup`.
pub(super) fn prepare(
    mut pending: PendingAgents,
    globals: &Variables,
    sinks: &mut SinkSet,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<PendingAgents, RunError> {
    let (sender, mut receiver) = mpsc::channel(4);
    interrupts(sender);
    let ready = clock::block_on(async {
        let tell = |line| sinks.publish(&RunEvent::Note(line));
        pending.ready(globals, &mut receiver, tell).await
    });
    ready.map_err(|e| RunError::World("cannot wait for agents", e))??;
    Ok(pending)
}

/// The size of the engine of all agents.
pub(super) fn tier(pending: &PendingAgents, by_need: &EngineTier) -> EngineTier {
    let (agents, shards) = (pending.agents(), pending.shards_each());
    EngineTier {
        name: by_need.name,
        shards: agents * shards,
        processes: agents,
        reason: format!(
            "{} with {} each, set by --agents",
            counted(agents as u64, "agent"),
            counted(shards as u64, "shard")
        ),
    }
}
