//! A run on the agents of a fleet: their lobby, and how many shards they have.
//!
//! `execute` opens it before `setup`, and `generators` start what it gathered.
//! Invariant: nothing is sent to the target before all agents have joined.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::dispatch_io::FormerEntries;
use super::error::RunError;
use super::former::{self, FormerRecord};
use crate::clock;
use crate::engine::Variables;
use crate::engine::startup::tier::EngineTier;
use crate::event::record::RecordEntry;
use crate::event::{Interrupt, LossPolicy, RunEvent, RunInfo};
pub use crate::fleet::agents::AgentsBegin;
use crate::fleet::agents::{AgentsRun, FleetError, FormerDeltas};
pub(super) use crate::fleet::agents::{PendingAgents, RunningAgents};
use crate::fleet::bus::BusAddress;
use crate::fleet::derived::{max_frame, plan_hash};
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
    /// The shards of each agent; `None`: as many as the smallest machine has cores.
    pub shards: Option<u16>,
    /// What becomes of the load of a lost agent.
    pub on_loss: LossPolicy,
    /// Whether the run begins here.
    pub begin: AgentsBegin,
    /// The folder for the journal of what is merged; `None`: there is none.
    pub journal: Option<PathBuf>,
    /// The run as a former coordinator began it.
    pub former: Option<Arc<FormerRun>>,
}

/// The run of a former coordinator.
#[derive(Debug)]
pub struct FormerRun {
    /// The address of each service.
    pub addresses: Vec<Address>,
    /// Its record, if that is there.
    pub record: Option<FormerRecord>,
}

/// The folder in which the journal of what is merged is kept.
pub fn keep_journal(options: &mut AgentsOptions, folder: &Path) {
    options.journal = Some(folder.to_owned());
}

/// The port of the bus.
pub fn bus_port(options: &AgentsOptions) -> u16 {
    options.bus.port()
}

/// The addresses of all services, if a former coordinator has told them to the agents.
pub fn former_addresses(options: &AgentsOptions) -> Option<Vec<Address>> {
    options.former.as_ref().map(|former| former.addresses.clone())
}

/// The description of the run as a former coordinator wrote it.
pub(super) fn former_info(options: &AgentsOptions) -> Option<&RunInfo> {
    Some(options.former.as_ref()?.record.as_ref()?.info())
}

/// What a former coordinator merged and recorded, in order.
pub(super) fn former_entries(
    options: &AgentsOptions,
    plan: &Plan,
    pending: &PendingAgents,
) -> Result<FormerEntries, RunError> {
    let restored = pending.restored();
    let losses = restored.losses.clone().into_iter();
    let losses = losses.map(|loss| RecordEntry::EventLogged(Arc::new(loss)));
    let AgentsBegin::Resume { former: Some(folder) } = &options.begin else {
        return Ok(Box::new(losses));
    };
    let run = (options.id.as_str(), plan_hash(plan));
    // Without a frame there may be no journal.
    let deltas = (restored.frames > 0)
        .then(|| FormerDeltas::open(folder, run, restored.frames, max_frame(plan)))
        .transpose()
        .map_err(FleetError::Journal)?;
    let record = options.former.as_ref().and_then(|former| former.record.as_ref());
    let entries = record.map(FormerRecord::entries).unwrap_or_default();
    let deltas = deltas.into_iter().flatten();
    Ok(Box::new(losses.chain(former::in_order(deltas, entries, plan.series_layout()))))
}

/// The number of agents.
pub(super) fn count(options: &AgentsOptions) -> usize {
    usize::from(options.agents)
}

/// Opens the run on the bus, and waits until all agents have joined.
pub(super) fn gather(
    options: &AgentsOptions,
    (plan, addresses): (&Plan, &[Address]),
    sinks: &mut SinkSet,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<PendingAgents, RunError> {
    let mut pending = PendingAgents::open(&AgentsRun {
        plan,
        bus: &options.bus,
        id: options.id.clone(),
        begin: options.begin.clone(),
        addresses,
        agents: options.agents,
        shards: options.shards,
        join_timeout: options.join_timeout,
        on_loss: options.on_loss,
        journal: options.journal.as_deref(),
    })?;
    let agents = counted(u64::from(options.agents), "agent");
    let (id, bus) = (&options.id, &options.bus);
    sinks.publish(&RunEvent::Note(match options.begin {
        AgentsBegin::New { .. } => format!(
            "run {id}: waiting for {agents}; on each machine: manada agent --bus {bus} --run {id}"
        ),
        AgentsBegin::Resume { .. } => format!("run {id}: this coordinator goes on with it"),
    }));
    if let AgentsBegin::New { sign_key: Some(key), .. } = &options.begin {
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
    by_need.clone().on_agents(pending.agents(), pending.shards_each())
}
