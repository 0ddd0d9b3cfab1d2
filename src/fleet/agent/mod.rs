//! An agent: a process on some machine that generates a part of a run's load.
//!
//! `cli` runs it as `manada agent`. It follows the protocol over the bus, and runs the shards of
//! its part with the engine that every run has.
//! Invariant: the engine begins nothing without a lease; what it measured is on the bus, or will be
//! sent again, or is in the result of the agent as not received.

mod bus_threads;
mod engine;
mod error;
mod lobby;
mod measured;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{self as std_mpsc, Receiver, SyncSender};
use std::time::Duration;

use tokio::sync::mpsc;

use super::bus::{BusAddress, BusHints};
use super::payload::ShardDeltas;
use super::protocol::{
    Agent, AgentAction, AgentConfig, AgentEnd, AgentEvent, BusReply, Ordinal, RequestId,
};
use super::setup::FleetSetup;
use super::worker::PlanRefusal;
use crate::clock::{self, Time};
use crate::event::Interrupt;
use crate::event::link::manifest_hash;
use crate::files::Files;
use crate::plan::Plan;
use crate::stats::Delta;
use bus_threads::BusThreads;
use engine::{AgentEngine, PreparedEngine};
pub use error::AgentError;
use measured::Measured;

/// What an agent is started with.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The bus.
    pub bus: BusAddress,
    /// The id of the run on the bus.
    pub run: String,
    /// Its place in the fleet.
    pub ordinal: u16,
    /// How long it waits for the run.
    pub patience: Duration,
    /// Folders with private keys and client certificates of this machine.
    pub own_folders: Vec<PathBuf>,
}

/// What the caller does for an agent.
pub struct AgentHooks<'a, C, B> {
    /// Compiles the plan that a setup names, from these files.
    pub compile: C,
    /// The memory for bodies that a plan may take here, bytes.
    pub body_budget: B,
    /// Passes signals to a listener.
    pub interrupts: &'a dyn Fn(mpsc::Sender<Interrupt>),
    /// Gets lines for people.
    pub tell: &'a dyn Fn(String),
}

/// How an agent ended.
#[derive(Debug)]
pub struct AgentResult {
    /// How it ended in the protocol.
    pub end: AgentEnd,
    /// The intervals that it measured.
    pub measured: u64,
    /// Why a shard failed; `None` if none did.
    pub failed: Option<String>,
}

/// The zero of the protocol's local time lies so long before that of the machine's clock, ns (ten
/// years): a machine may be younger than the run that it joins.
const BEFORE_BOOT: u64 = 10 * 365 * 24 * 3_600 * 1_000_000_000;

/// The protocol's local time.
fn local_now() -> Time {
    clock::now().after(BEFORE_BOOT)
}

/// A local time of the protocol on the machine's clock.
fn machine_time(local: Time) -> Time {
    if local == Time::NEVER { local } else { Time(local.0.saturating_sub(BEFORE_BOOT)) }
}

/// Inputs that wait for the driver; shards keep their deltas if they have to wait.
const INPUTS: usize = 64;

/// What happens around an agent.
enum AgentInput {
    Reply(RequestId, BusReply<ShardDeltas>),
    Hint,
    Prepared(Box<Result<PreparedEngine, String>>),
    Delta(Box<Delta>),
    /// All shards have ended.
    EngineEnded,
    Interrupt(Interrupt),
}

/// Runs an agent to its end.
///
/// # Errors
/// If the bus cannot be used, the run does not appear, or the plan cannot be run here.
pub fn run<C, B>(
    options: &AgentOptions,
    hooks: AgentHooks<'_, C, B>,
) -> Result<AgentResult, AgentError>
where
    C: FnOnce(&FleetSetup, &Files) -> Result<Plan, PlanRefusal>,
    B: FnOnce(&Plan) -> u64,
{
    let (setup, bundle) = lobby::find(options, hooks.interrupts, hooks.tell)?;
    let files = lobby::unpack(&bundle, &options.own_folders)?;
    let mut plan = (hooks.compile)(&setup, &files).map_err(AgentError::refused)?;
    plan.seed = setup.seed;
    plan.run_id.clone_from(&setup.run_id);
    crate::wire::body::bodies::set_budget((hooks.body_budget)(&plan));
    let (inputs, received) = std_mpsc::sync_channel(INPUTS);
    let bus = BusThreads::start(options, &plan, &setup.times, &inputs)?;
    let wake = inputs.clone();
    let hint = move || drop(wake.send(AgentInput::Hint));
    let _hints = BusHints::start(&options.bus, &options.run, hint)?;
    listen(hooks.interrupts, &inputs)?;
    let config = AgentConfig {
        ordinal: Ordinal(options.ordinal),
        entropy: rand::random(),
        plan: u64::from(manifest_hash(&plan.manifest())),
        times: setup.times,
        facts: super::agents::machine_facts(),
    };
    let driver = AgentDriver {
        agent: Agent::new(config, local_now()),
        engine: AgentEngine::new(options, plan, setup),
        measured: Measured::default(),
        bus,
        inputs,
        tell: hooks.tell,
        interrupts: 0,
    };
    driver.run(&received)
}

/// Passes signals on.
fn listen(
    interrupts: &dyn Fn(mpsc::Sender<Interrupt>),
    inputs: &SyncSender<AgentInput>,
) -> Result<(), AgentError> {
    let (sender, mut receiver) = mpsc::channel(4);
    interrupts(sender);
    let inputs = inputs.clone();
    let pass_on = move || {
        while let Some(interrupt) = receiver.blocking_recv() {
            if inputs.send(AgentInput::Interrupt(interrupt)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("interrupts".to_owned());
    thread.spawn(pass_on).map(drop).map_err(AgentError::Thread)
}

/// The agent, its engine and its bus.
struct AgentDriver<'a> {
    agent: Agent<ShardDeltas>,
    engine: AgentEngine,
    measured: Measured,
    bus: BusThreads,
    inputs: SyncSender<AgentInput>,
    tell: &'a dyn Fn(String),
    /// The signals that came.
    interrupts: u32,
}

impl AgentDriver<'_> {
    fn run(mut self, received: &Receiver<AgentInput>) -> Result<AgentResult, AgentError> {
        let mut events = VecDeque::from([AgentEvent::Tick]);
        loop {
            let event = match events.pop_front() {
                Some(event) => event,
                None => {
                    let left = self.agent.wake().since(local_now());
                    let left = left.min(self.measured.wait()).clamp(1_000_000, 500_000_000);
                    let input = received.recv_timeout(Duration::from_nanos(left)).ok();
                    match self.take(input, &mut events)? {
                        Some(event) => event,
                        None => continue,
                    }
                }
            };
            for action in self.agent.step(local_now(), event) {
                if let Some(end) = self.carry_out(action, &mut events)? {
                    return Ok(self.end(end, received));
                }
            }
            self.engine.follow(&self.agent);
            if let Some((until, payload)) = self.measured.take(false) {
                events.push_back(AgentEvent::Health(self.measured.health()));
                events.push_back(AgentEvent::Measured { until, payload });
            }
        }
    }

    /// Takes an input; returns the event of the protocol that it is.
    fn take(
        &mut self,
        input: Option<AgentInput>,
        events: &mut VecDeque<AgentEvent<ShardDeltas>>,
    ) -> Result<Option<AgentEvent<ShardDeltas>>, AgentError> {
        Ok(Some(match input {
            None => AgentEvent::Tick,
            Some(AgentInput::Reply(id, reply)) => AgentEvent::Reply { id, reply },
            Some(AgentInput::Hint) => AgentEvent::Hint,
            Some(AgentInput::Prepared(prepared)) => {
                self.engine.prepared(prepared.map_err(AgentError::Prepare)?);
                AgentEvent::Prepared
            }
            Some(AgentInput::Delta(delta)) => {
                self.measured.push(*delta);
                return Ok(None.or_else(|| self.flush(events)));
            }
            Some(AgentInput::EngineEnded) => {
                if let Some((until, payload)) = self.measured.take(true) {
                    events.push_back(AgentEvent::Measured { until, payload });
                }
                events.push_back(AgentEvent::Finished);
                AgentEvent::Tick
            }
            Some(AgentInput::Interrupt(interrupt)) => {
                self.interrupts += 1;
                if self.interrupts > 1 || interrupt == Interrupt::Quit {
                    return Err(AgentError::Interrupted(interrupt));
                }
                (self.tell)("leaving the run: other agents get its load (again: stop now)".into());
                self.engine.leave();
                AgentEvent::Leave
            }
        }))
    }

    /// The event of an interval that is complete.
    fn flush(
        &mut self,
        events: &mut VecDeque<AgentEvent<ShardDeltas>>,
    ) -> Option<AgentEvent<ShardDeltas>> {
        let (until, payload) = self.measured.take(false)?;
        events.push_back(AgentEvent::Measured { until, payload });
        Some(AgentEvent::Health(self.measured.health()))
    }

    fn carry_out(
        &mut self,
        action: AgentAction<ShardDeltas>,
        events: &mut VecDeque<AgentEvent<ShardDeltas>>,
    ) -> Result<Option<AgentEnd>, AgentError> {
        match action {
            AgentAction::Send { id, request } => self.bus.send(id, request),
            AgentAction::Prepare => {
                (self.tell)("all agents joined; preparing the plan".to_owned());
                self.engine.prepare(&self.agent, &self.inputs)?;
            }
            AgentAction::Start { at } => {
                let is_started = self.engine.start(&self.agent, machine_time(at), &self.inputs)?;
                if is_started {
                    self.measured.begin(self.engine.shards());
                } else {
                    events.push_back(AgentEvent::Finished);
                }
            }
            AgentAction::Command(command) => self.engine.command(&command.command),
            AgentAction::Stop { cancel } => {
                if !self.engine.stop(cancel) {
                    events.push_back(AgentEvent::Finished);
                }
            }
            AgentAction::End(end) => return Ok(Some(end)),
        }
        Ok(None)
    }

    /// Ends the agent; what its engine still does is cancelled.
    fn end(self, end: AgentEnd, received: &Receiver<AgentInput>) -> AgentResult {
        let measured = self.measured.count();
        let failed = self.engine.end(received);
        AgentResult { end, measured, failed }
    }
}
