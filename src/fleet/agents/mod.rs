//! The agents of a run on many machines, as their coordinator sees them: over a bus.
//!
//! `run` gathers them, waits until all are ready, and joins them at the end; `driver` follows the
//! protocol on a thread of its own.
//! Invariant: the dispatcher cannot tell shards of agents from shards of this process.

mod driver;
mod error;
mod news;
mod overview;
mod refused;

use std::sync::mpsc::{self as std_mpsc, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::bus::{BusAddress, BusClient, BusLimits};
use super::payload::ShardDeltas;
use super::protocol::{FleetConfig, FleetTimes, LeaderStart, MemberRefusal};
use super::setup::{FleetSetup, bundle_name};
use super::signature::SigningKey;
use super::variables;
use crate::clock::{RunOffset, Time};
use crate::engine::Variables;
use crate::event::link::manifest_hash;
use crate::event::packed::Packed;
use crate::event::record::max_delta;
use crate::event::{
    COMMAND_QUEUE, DELTA_QUEUE, DeltaSource, Interrupt, LossPolicy, ShardCommand, WorkerEvent,
    WorkerUse,
};
use crate::host;
use crate::plan::slots::SLOTS;
use crate::plan::{Address, Plan, Workload};
use crate::stats::Delta;
use crate::units::nanos;
use driver::{DriverCommand, FleetDriver};
pub use error::FleetError;
use news::FleetNews;
use refused::{RefusedAgents, refusal};

/// The plain value with the values of the variables that `setup` set.
pub(super) const GLOBALS: &str = "once:globals";

/// How long the members may take to end beyond the grace of the plan, ns.
const DRAIN_BEYOND_GRACE: u64 = 30_000_000_000;

/// How long a change of the load takes to reach all agents, ns: heartbeats are half a second apart,
/// and one may fail.
const COMMAND_LEAD: u64 = 2_500_000_000;

/// The times of the protocol for a plan.
pub fn times(plan: &Plan) -> FleetTimes {
    let drain = nanos(plan.grace).saturating_add(DRAIN_BEYOND_GRACE);
    FleetTimes { drain, ..FleetTimes::default() }
}

/// The bounds of what is read from the bus for a plan.
pub(super) fn limits(plan: &Plan, times: &FleetTimes) -> BusLimits {
    let shards = SLOTS as usize;
    BusLimits {
        max_frame: max_delta(&plan.series_layout()).saturating_mul(shards),
        request_timeout: Duration::from_nanos(times.request_timeout),
    }
}

/// A run on agents.
pub struct AgentsRun<'a> {
    /// The plan, as compiled here.
    pub plan: &'a Plan,
    /// The bus.
    pub bus: &'a BusAddress,
    /// The id of the run on the bus.
    pub id: String,
    /// The command line that agents compile, program first.
    pub words: Vec<Vec<u8>>,
    /// The files of the scenario.
    pub bundle: Vec<u8>,
    /// What signs the plan.
    pub sign_key: Option<&'a SigningKey>,
    /// The address of each service.
    pub addresses: &'a [Address],
    /// The number of agents.
    pub agents: u16,
    /// The shards of each agent; `None`: as many as the smallest machine has cores.
    pub shards: Option<u16>,
    /// How long agents may take to join, and again to prepare.
    pub join_timeout: Duration,
    /// What becomes of the load of a lost agent.
    pub on_loss: LossPolicy,
}

/// Agents that join, or prepare the plan.
pub struct PendingAgents {
    driver: DriverHandle,
    client: BusClient<ShardDeltas>,
    news: mpsc::Receiver<FleetNews>,
    deltas: mpsc::Receiver<Delta>,
    workers: mpsc::Receiver<WorkerEvent>,
    agents: u16,
    shards: u16,
    id: String,
    join_timeout: Duration,
    start: Option<Time>,
    refused: RefusedAgents,
}

/// Agents at work.
pub struct RunningAgents {
    driver: DriverHandle,
    commands: Option<JoinHandle<()>>,
}

/// The thread of the driver. Dropping it aborts the run.
struct DriverHandle {
    down: SyncSender<DriverCommand>,
    thread: Option<JoinHandle<()>>,
    uses: Arc<Mutex<Vec<WorkerUse>>>,
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // The driver may have ended.
        let _ = self.down.send(DriverCommand::Quit);
        let _ = thread.join();
    }
}

impl PendingAgents {
    /// Writes what agents are to run to the bus, and begins to lead the run.
    ///
    /// # Errors
    /// If the bus cannot be used, or has a run of this id.
    pub fn open(run: AgentsRun<'_>) -> Result<Self, FleetError> {
        let times = times(run.plan);
        let limits = limits(run.plan, &times);
        let mut client = BusClient::open(run.bus, &run.id, limits)?;
        let bundle = bundle_name(&run.bundle);
        client.put_new(&bundle, &run.bundle)?;
        let setup = FleetSetup {
            words: run.words,
            seed: run.plan.seed,
            run_id: run.plan.run_id.clone(),
            addresses: run.addresses.to_vec(),
            agents: run.agents,
            bundle,
            times,
        };
        let setup = setup.to_bytes();
        let signed = run.sign_key.map(|key| key.sign(&run.id, &setup));
        if !client.put_new("setup", &signed.unwrap_or(setup))? {
            return Err(FleetError::Occupied { id: run.id });
        }
        let load_ends = run.plan.workloads.iter().map(Workload::end);
        let end = load_ends.fold(RunOffset::ZERO, |end, own| {
            end.max(own.map_or(RunOffset::NEVER, |own| RunOffset::from_ns(nanos(own))))
        });
        let config = FleetConfig {
            run: run.id.clone(),
            plan: u64::from(manifest_hash(&run.plan.manifest())),
            agents: run.agents,
            min_agents: run.agents,
            join_timeout: nanos(run.join_timeout),
            shards: run.shards,
            slots: SLOTS as usize,
            end,
            on_loss: run.on_loss,
            returns_slots: false,
            times,
        };
        let (down, commands) = std_mpsc::sync_channel(COMMAND_QUEUE);
        let (news_sender, news) = mpsc::channel(64);
        let (delta_sender, deltas) = mpsc::channel(DELTA_QUEUE);
        let (worker_sender, workers) = mpsc::channel(256);
        let uses = Arc::new(Mutex::new(Vec::new()));
        let driver = FleetDriver::new(
            BusClient::open(run.bus, &run.id, limits)?,
            config,
            LeaderStart::New,
            driver::FleetChannels {
                commands,
                news: news_sender,
                deltas: delta_sender,
                workers: worker_sender,
                uses: Arc::clone(&uses),
            },
            run.plan.series_layout(),
        );
        let thread = std::thread::Builder::new().name("fleet".to_owned());
        let thread = thread.spawn(move || driver.run()).map_err(FleetError::Thread)?;
        Ok(Self {
            driver: DriverHandle { down, thread: Some(thread), uses },
            client,
            news,
            deltas,
            workers,
            agents: run.agents,
            shards: 0,
            id: run.id,
            join_timeout: run.join_timeout,
            start: None,
            refused: RefusedAgents::default(),
        })
    }

    /// Waits until all agents have joined; `tell` gets a line whenever another one has.
    ///
    /// # Errors
    /// If too few join in time, or a signal came.
    pub async fn gather(
        &mut self,
        interrupts: &mut mpsc::Receiver<Interrupt>,
        mut tell: impl FnMut(String),
    ) -> Result<(), FleetError> {
        let (agents, mut joined) = (self.agents, 0);
        loop {
            match self.next(interrupts).await? {
                FleetNews::Joined(count) => {
                    joined = count;
                    tell(format!("{joined} of {agents} agents joined"));
                }
                FleetNews::Prepare(shards) => {
                    self.shards = shards;
                    return Ok(());
                }
                FleetNews::Refused(ordinal, why, reason) => {
                    tell(self.refuse(ordinal, why, &reason));
                }
                FleetNews::Ended(FleetError::NotReady { .. }) => {
                    let (id, timeout) = (self.id.clone(), self.join_timeout);
                    let refused = self.refused.clone();
                    return Err(FleetError::TooFew { joined, agents, timeout, id, refused });
                }
                FleetNews::Ended(error) => return Err(error),
                FleetNews::Armed(_) => {}
            }
        }
    }

    /// Hands the values of the variables of `setup` to the agents, and waits until all are ready.
    /// Returns the start of the load.
    ///
    /// # Errors
    /// If an agent cannot prepare the plan, or a signal came.
    pub async fn ready(
        &mut self,
        globals: &Variables,
        interrupts: &mut mpsc::Receiver<Interrupt>,
        mut tell: impl FnMut(String),
    ) -> Result<Time, FleetError> {
        let mut bytes = Vec::new();
        variables::write(globals).pack(&mut bytes);
        self.client.put_new(GLOBALS, &bytes)?;
        loop {
            match self.next(interrupts).await? {
                FleetNews::Armed(start) => {
                    self.start = Some(start);
                    return Ok(start);
                }
                FleetNews::Refused(ordinal, why, reason) => {
                    tell(self.refuse(ordinal, why, &reason));
                }
                FleetNews::Ended(FleetError::NotReady { .. }) => {
                    return Err(FleetError::NotReady { refused: self.refused.clone() });
                }
                FleetNews::Ended(error) => return Err(error),
                FleetNews::Joined(_) | FleetNews::Prepare(_) => {}
            }
        }
    }

    async fn next(
        &mut self,
        interrupts: &mut mpsc::Receiver<Interrupt>,
    ) -> Result<FleetNews, FleetError> {
        tokio::select! {
            Some(news) = self.news.recv() => Ok(news),
            Some(interrupt) = interrupts.recv() => Err(FleetError::Interrupted(interrupt)),
            else => Err(FleetError::NotReady { refused: self.refused.clone() }),
        }
    }

    /// Notes why an agent takes no part; returns it as a line.
    fn refuse(&mut self, ordinal: u16, why: MemberRefusal, reason: &[u8]) -> String {
        let line = refusal(ordinal, why, reason, self.agents);
        // One beyond the number changes nothing.
        if why != MemberRefusal::TooMany {
            self.refused.add(ordinal, line.clone());
        }
        line
    }

    /// The number of agents.
    pub fn agents(&self) -> usize {
        usize::from(self.agents)
    }

    /// The shards of each agent.
    pub fn shards_each(&self) -> usize {
        usize::from(self.shards)
    }

    /// The start of the load, once all are ready.
    pub fn start(&self) -> Option<Time> {
        self.start
    }

    /// Returns the agents at work, and the source of their deltas.
    ///
    /// # Errors
    /// If a thread is refused.
    pub fn run(self) -> Result<(RunningAgents, DeltaSource), FleetError> {
        let (sender, mut receiver) = mpsc::channel::<ShardCommand>(COMMAND_QUEUE);
        let down = self.driver.down.clone();
        let pass_on = move || {
            while let Some(command) = receiver.blocking_recv() {
                let command = match command {
                    ShardCommand::Drain => DriverCommand::Drain,
                    ShardCommand::Cancel => DriverCommand::Abort,
                    command => DriverCommand::Command(command),
                };
                if down.send(command).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("commands".to_owned());
        let commands = thread.spawn(pass_on).map_err(FleetError::Thread)?;
        let shards = usize::from(self.agents) * usize::from(self.shards);
        let mut source = DeltaSource::new(self.deltas, Some(self.workers), vec![sender], shards);
        source.command_lead_ns = COMMAND_LEAD;
        source.agents = Some(Arc::clone(&self.driver.uses));
        Ok((RunningAgents { driver: self.driver, commands: Some(commands) }, source))
    }
}

impl RunningAgents {
    /// The memory that agents hold is that of other machines.
    pub fn rss(&self) -> u64 {
        0
    }

    /// Waits until the coordinator has everything, or knows that it will not come; `is_stuck`: the
    /// dispatcher waits no longer.
    pub fn join(mut self, is_stuck: bool) -> Vec<WorkerUse> {
        if is_stuck {
            drop(self.driver.down.send(DriverCommand::Abort));
        }
        if let Some(thread) = self.driver.thread.take() {
            drop(thread.join());
        }
        if let Some(thread) = self.commands.take() {
            drop(thread.join());
        }
        self.driver.uses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The name of this machine, and its cores.
pub(super) fn machine_facts() -> super::protocol::MemberFacts {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let cores = u16::try_from(host::cores().len()).unwrap_or(u16::MAX);
    let host = host.chars().take(64).collect();
    super::protocol::MemberFacts { host, cores, reason: Vec::new() }
}
