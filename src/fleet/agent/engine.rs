//! The engine of an agent: prepared, started at the common time, and kept to its leases and slots.
//!
//! `agent` calls it after each step of the protocol.
//! Invariant: shards learn of slots that moved before they get the lease that follows them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

use tokio::sync::mpsc;

use super::engine_parts::{PreparedEngine, prepare};
use super::error::AgentError;
use super::inputs::{AgentInput, AgentOptions, local_now, machine_time};
use crate::clock::{self, RunOffset, Time};
use crate::engine::startup::tier::{self, EngineSize};
use crate::engine::{self, Engine};
use crate::event::{GeneratorInfo, LoadLease, RunInfo, ShardCommand};
use crate::fleet::layout::FleetLayout;
use crate::fleet::payload::ShardDeltas;
use crate::fleet::protocol::{Agent, Grant, SlotTable};
use crate::fleet::setup::FleetSetup;
use crate::host;
use crate::plan::Plan;
use crate::plan::slots::ShardRange;
use crate::stats::{Delta, StateChange};

/// How long shards may take to end once they are cancelled.
const CANCEL: Duration = Duration::from_secs(12);

/// How long the last deltas of shards that have ended may take from one thread to the other.
const LAST_DELTAS: Duration = Duration::from_millis(500);

/// How long the agent waits for others to get its slots once it leaves, ns.
const HAND_OVER: u64 = 10_000_000_000;

/// The engine.
pub(super) struct AgentEngine {
    options: AgentOptions,
    plan: Arc<Plan>,
    setup: FleetSetup,
    prepared: Option<PreparedEngine>,
    running: Option<RunningEngine>,
    layout: FleetLayout,
    /// The latest table that was followed.
    table: Option<SlotTable>,
    /// Since when the agent leaves.
    leaving: Option<Time>,
    /// Whether the last delta of all shards has come.
    is_over: bool,
}

/// Shards at work.
struct RunningEngine {
    engine: Engine,
    commands: Vec<mpsc::Sender<ShardCommand>>,
    range: ShardRange,
    grant: Option<Grant>,
    own_end: RunOffset,
}

impl RunningEngine {
    fn broadcast(&self, command: &ShardCommand) {
        for shard in &self.commands {
            // A shard that has ended needs no command; one that is stuck shows in its deltas.
            drop(shard.try_send(command.clone()));
        }
    }
}

impl AgentEngine {
    pub(super) fn new(options: &AgentOptions, plan: Plan, setup: FleetSetup) -> Self {
        Self {
            options: options.clone(),
            plan: Arc::new(plan),
            setup,
            prepared: None,
            running: None,
            layout: FleetLayout::default(),
            table: None,
            leaving: None,
            is_over: false,
        }
    }

    /// Prepares the shards on a thread of its own.
    pub(super) fn prepare(
        &self,
        agent: &Agent<ShardDeltas>,
        inputs: &SyncSender<AgentInput>,
    ) -> Result<(), AgentError> {
        let shards = agent.control().map_or(1, |control| control.shards.max(1));
        let (options, plan, setup) =
            (self.options.clone(), Arc::clone(&self.plan), self.setup.clone());
        let inputs = inputs.clone();
        let prepare = move || {
            let prepared =
                prepare((&options.bus, &options.run, options.patience), &plan, &setup, shards);
            drop(inputs.send(AgentInput::Prepared(Box::new(prepared))));
        };
        let thread = std::thread::Builder::new().name("prepare".to_owned());
        thread.spawn(prepare).map(drop).map_err(AgentError::Thread)
    }

    /// The shards are prepared.
    pub(super) fn prepared(&mut self, prepared: PreparedEngine) {
        self.prepared = Some(prepared);
    }

    /// The number of shards at work.
    pub(super) fn shards(&self) -> Vec<usize> {
        let range = self.running.as_ref().map(|running| running.range);
        let segments = range.into_iter().flat_map(ShardRange::segments);
        segments.map(|segment| segment.shard as usize).collect()
    }

    /// Starts the shards, and returns them; `None` if the agent has no slots: it came after the
    /// start.
    pub(super) fn start(
        &mut self,
        agent: &Agent<ShardDeltas>,
        at: Time,
        inputs: &SyncSender<AgentInput>,
    ) -> Result<Option<ShardRange>, AgentError> {
        let first = agent.tables().first().cloned();
        let shards = agent.control().map_or(1, |control| control.shards);
        let Some((first, prepared)) = first.zip(self.prepared.take()) else { return Ok(None) };
        self.layout = FleetLayout::new(&first, shards);
        self.table = Some(first);
        let Some(range) = self.layout.range(agent.member()) else { return Ok(None) };
        let PreparedEngine { globals, endpoints } = prepared;
        let addresses = self.setup.addresses.clone();
        let (mut setups, mut source) = engine::set_up(&self.plan, addresses, range, at, &globals);
        setups.iter_mut().for_each(|setup| setup.is_leased = true);
        let started = engine::start(setups, endpoints).map_err(AgentError::Engine)?;
        let commands = source.commands.clone();
        let inputs = inputs.clone();
        let pass_on = move || {
            while let Some(delta) = source.deltas.blocking_recv() {
                if inputs.send(AgentInput::Delta(Box::new(delta))).is_err() {
                    return;
                }
            }
            drop(inputs.send(AgentInput::EngineEnded));
        };
        let thread = std::thread::Builder::new().name("deltas".to_owned());
        thread.spawn(pass_on).map_err(AgentError::Thread)?;
        let own_end = RunOffset::NEVER;
        self.running =
            Some(RunningEngine { engine: started, commands, range, grant: None, own_end });
        Ok(Some(range))
    }

    /// Describes the run, of which this agent has the shards of `range`, since its start.
    pub(super) fn run_info(&self, range: ShardRange, start: Time) -> RunInfo {
        let (processes, shards) = (range.processes, range.total);
        let facts = host::MachineFacts::read();
        let size = EngineSize::default();
        let tier = tier::choose(&self.plan, host::cores().len(), facts.descriptors(), size);
        let tier = tier.on_agents(processes as usize, (shards / processes.max(1)) as usize);
        let words = self.setup.words.iter();
        RunInfo {
            plan: Arc::new(self.plan.manifest()),
            started_at: clock::wall() + Duration::from_nanos(start.since(clock::now())),
            generator: GeneratorInfo {
                tier: tier.name.to_owned(),
                shards: tier.shards,
                processes: tier.processes,
                is_fleet: true,
                reason: tier.reason,
                remarks: Vec::new(),
                sandbox: None,
            },
            command: words.map(|word| String::from_utf8_lossy(word).into_owned()).collect(),
            machine: self.options.machine.clone(),
            monitors: Vec::new(),
        }
    }

    /// Hands slots that moved, and then the lease, to the shards. Returns the moves.
    pub(super) fn follow(&mut self, agent: &Agent<ShardDeltas>) -> Vec<StateChange> {
        let mut moves = Vec::new();
        let Some(running) = &mut self.running else { return moves };
        let member = agent.member();
        let has_slots = |table: &SlotTable| table.counts().contains_key(&member);
        for table in agent.tables() {
            let Some(former) = self.table.take_if(|former| former.epoch < table.epoch) else {
                continue;
            };
            moves.extend(self.layout.moves(&former, table, agent.schedule(local_now())));
            if has_slots(&former) && !has_slots(table) {
                running.broadcast(&ShardCommand::Release(table.from));
                self.leaving = None;
            } else {
                let mut adoption = self.layout.adoption(&former, table);
                adoption.slots.retain(|(_, shard)| running.range.contains(u64::from(*shard)));
                if !adoption.slots.is_empty() {
                    running.broadcast(&ShardCommand::Adopt(adoption));
                }
            }
            self.table = Some(table.clone());
        }
        let (grant, own_end) = (agent.grant(), agent.own_end());
        if let Some(granted) = grant
            && (grant != running.grant || own_end != running.own_end)
        {
            (running.grant, running.own_end) = (grant, own_end);
            running.broadcast(&ShardCommand::Lease(LoadLease {
                since: granted.since,
                horizon: granted.horizon,
                end: own_end,
                until: machine_time(granted.until),
            }));
        }
        if self.leaving.is_some_and(|since| clock::now().since(since) >= HAND_OVER) {
            // No other agent takes its slots.
            self.leaving = None;
            running.broadcast(&ShardCommand::Drain);
        }
        moves
    }

    /// Carries a command out.
    pub(super) fn command(&self, command: &ShardCommand) {
        if let Some(running) = &self.running {
            running.broadcast(command);
        }
    }

    /// The last delta of all shards has come.
    pub(super) fn note_end(&mut self) {
        self.is_over = true;
    }

    /// The agent leaves: others are to get its slots.
    pub(super) fn leave(&mut self) {
        self.leaving = Some(clock::now());
    }

    /// Ends the load; `false` if nothing runs whose end would be reported.
    pub(super) fn stop(&mut self, cancel: bool) -> bool {
        let Some(running) = &self.running else { return false };
        let command = if cancel { ShardCommand::Cancel } else { ShardCommand::Drain };
        running.broadcast(&command);
        true
    }

    /// Waits for the shards to end; cancels those that have not. `take` gets what they still
    /// measure. Returns why one failed.
    pub(super) fn end(
        self,
        received: &Receiver<AgentInput>,
        mut take: impl FnMut(&Delta),
    ) -> Option<String> {
        let running = self.running?;
        running.broadcast(&ShardCommand::Cancel);
        let until = clock::now() + CANCEL;
        let has_ended =
            |running: &RunningEngine| running.commands.iter().all(mpsc::Sender::is_closed);
        while !has_ended(&running) && clock::now() < until {
            // Deltas are taken off the queue, so that shards can end.
            if let Ok(AgentInput::Delta(delta)) = received.recv_timeout(Duration::from_millis(50)) {
                take(&delta);
            }
        }
        // The thread that passes deltas on may have some left.
        let until = clock::now() + LAST_DELTAS;
        let mut is_over = self.is_over;
        while !is_over && clock::now() < until {
            match received.recv_timeout(LAST_DELTAS) {
                Ok(AgentInput::Delta(delta)) => take(&delta),
                Ok(input) => is_over = matches!(input, AgentInput::EngineEnded),
                Err(_) => is_over = true,
            }
        }
        if !has_ended(&running) {
            return Some("a shard did not stop: a user's work does not end".to_owned());
        }
        running.engine.join(&[]).err().map(|error| error.to_string())
    }
}
