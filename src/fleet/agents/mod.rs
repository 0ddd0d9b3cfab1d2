//! The agents of a run on many machines, as their coordinator sees them: over a bus.
//!
//! `run` gathers them, waits until all are ready, and joins them at the end; `driver` follows the
//! protocol on a thread of its own.
//! Invariant: the dispatcher cannot tell shards of agents from shards of this process.

mod driver;
mod error;
mod history;
mod journal;
mod news;
mod observations;
mod open;
mod overview;
mod refused;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::bus::BusClient;
use super::derived::GLOBALS;
use super::payload::ShardDeltas;
use super::protocol::MemberRefusal;
use super::variables;
use crate::clock::Time;
use crate::engine::Variables;
use crate::event::{COMMAND_QUEUE, DeltaSource, Interrupt, ShardCommand, WorkerEvent, WorkerUse};
use crate::stats::Delta;
use driver::DriverCommand;
pub use error::FleetError;
pub use history::FormerDeltas;
pub use journal::FleetJournalError;
use news::FleetNews;
pub use news::RestoredRun;
pub use open::{AgentsBegin, AgentsRun, read_setup};
use refused::{RefusedAgents, refusal};

/// How long a change of the load takes to reach all agents, ns: heartbeats are half a second apart,
/// and one may fail.
const COMMAND_LEAD: u64 = 2_500_000_000;

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
    /// What a former coordinator merged.
    restored: RestoredRun,
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
    is_fenced: Arc<AtomicBool>,
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
                FleetNews::Restored(restored) => self.restored = restored,
                FleetNews::Told(message) => tell(message),
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
        self.client.put_new(GLOBALS, &variables::to_bytes(globals))?;
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
                FleetNews::Told(message) => tell(message),
                FleetNews::Joined(_) | FleetNews::Prepare(_) | FleetNews::Restored(_) => {}
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

    /// The values of the variables of `setup`, if a former coordinator has carried it out.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn globals(&mut self) -> Result<Option<Variables>, FleetError> {
        let Some(bytes) = self.client.get(GLOBALS)? else { return Ok(None) };
        let globals = variables::from_bytes(&bytes);
        let damaged = "the values of the variables of `setup` on the bus cannot be read";
        globals.map(Some).ok_or_else(|| FleetError::Setup(damaged.to_owned()))
    }

    /// What is left of the work of a former coordinator.
    pub fn restored(&self) -> &RestoredRun {
        &self.restored
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
    /// Waits until the coordinator has everything, or knows that it will not come; `is_stuck`: the
    /// dispatcher waits no longer.
    /// Returns the agents, and whether another coordinator leads: what follows the load is for that
    /// one to do.
    pub fn join(mut self, is_stuck: bool) -> (Vec<WorkerUse>, bool) {
        if is_stuck {
            drop(self.driver.down.send(DriverCommand::Abort));
        }
        if let Some(thread) = self.driver.thread.take() {
            drop(thread.join());
        }
        if let Some(thread) = self.commands.take() {
            drop(thread.join());
        }
        let uses = self.driver.uses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (uses, self.driver.is_fenced.load(Relaxed))
    }
}
