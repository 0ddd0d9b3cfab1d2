//! What generates the load of a run: shards on threads of this process, or workers.
//!
//! `execute` prepares it before the start is set, starts it, and joins it at the end.
//! Invariant: everything that takes long is done before the start is set.

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::agents::{self, PendingAgents, RunningAgents};
use super::error::RunError;
use super::machine;
use crate::cache::CacheSet;
use crate::clock::{self, Time};
use crate::engine::startup::tier::EngineTier;
use crate::engine::{self, Engine, Variables};
use crate::event::{DeltaSource, Interrupt, WorkerUse};
use crate::fleet::{PendingWorkers, RunningWorkers, WorkerRun};
use crate::host;
use crate::plan::slots::ShardRange;
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;
use crate::wire::{self, ServiceEndpoint};

/// Generators that are ready for their start.
pub(super) enum PreparedGenerators {
    /// The endpoints of all services, for each shard.
    Threads(Vec<Vec<ServiceEndpoint>>),
    Workers(PendingWorkers),
    /// With the start of the load.
    Agents(Box<PendingAgents>),
}

/// Generators at work.
pub(super) enum Generators {
    Threads(Engine),
    Workers(RunningWorkers),
    Agents(RunningAgents),
}

/// How the generators ended.
#[derive(Debug, Default)]
pub(super) struct GeneratorEnd {
    /// The errors of shards that failed.
    pub(super) failed: Vec<String>,
    /// The use of each worker, if there were any.
    pub(super) workers: Vec<WorkerUse>,
    /// Whether another coordinator leads the run now.
    pub(super) is_fenced: bool,
}

impl PreparedGenerators {
    /// Makes everything ready.
    pub(super) fn new(
        plan: &Plan,
        tier: &EngineTier,
        words: &[OsString],
        (addresses, globals): (&[Address], &Variables),
        interrupts: &impl Fn(mpsc::Sender<Interrupt>),
    ) -> Result<Self, RunError> {
        let body_budget = machine::body_budget(plan);
        if tier.processes > 1 {
            let run = WorkerRun { plan, words, addresses, globals, body_budget };
            let ranges = ShardRange::divide(tier.shards as u64, tier.processes as u64);
            let mut workers = PendingWorkers::spawn(&run, &ranges)?;
            let ready = clock::block_on(async {
                let (sender, mut receiver) = mpsc::channel(4);
                interrupts(sender);
                workers.ready(&mut receiver).await
            });
            ready.map_err(|e| RunError::World("cannot wait for workers", e))??;
            return Ok(Self::Workers(workers));
        }
        wire::body::bodies::set_budget(body_budget);
        let endpoints = (0..tier.shards).map(|_| engine::endpoints(plan, addresses));
        let endpoints: io::Result<_> = endpoints.collect();
        endpoints.map(Self::Threads).map_err(|e| RunError::World("cannot set up TLS", e))
    }

    /// Agents that have joined, once all are ready.
    pub(super) fn of_agents(
        pending: PendingAgents,
        globals: &Variables,
        sinks: &mut SinkSet,
        interrupts: &impl Fn(mpsc::Sender<Interrupt>),
    ) -> Result<Self, RunError> {
        let ready = agents::prepare(pending, globals, sinks, interrupts)?;
        Ok(Self::Agents(Box::new(ready)))
    }

    /// The ids of the worker processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        match self {
            Self::Workers(workers) => workers.pids(),
            _ => Vec::new(),
        }
    }

    /// When the load starts, if that is set already.
    pub(super) fn start_at(&self) -> Option<Time> {
        match self {
            Self::Agents(agents) => agents.start(),
            _ => None,
        }
    }

    /// Starts them.
    pub(super) fn start(
        self,
        plan: &Arc<Plan>,
        addresses: &[Address],
        (globals, caches): (&Variables, &Arc<CacheSet>),
        start: Time,
    ) -> Result<(Generators, DeltaSource), RunError> {
        match self {
            Self::Workers(workers) => {
                let (running, source) = workers.start(start)?;
                Ok((Generators::Workers(running), source))
            }
            Self::Agents(agents) => {
                let (running, source) = agents.run()?;
                Ok((Generators::Agents(running), source))
            }
            Self::Threads(endpoints) => {
                let range = ShardRange::whole(endpoints.len() as u64);
                let (setups, source) =
                    engine::set_up_with(plan, addresses.to_vec(), range, start, (globals, caches));
                let engine = engine::start(setups, endpoints)
                    .map_err(|e| RunError::World("cannot start a shard", e))?;
                Ok((Generators::Threads(engine), source))
            }
        }
    }
}

impl Generators {
    /// The memory that workers hold beside this process, bytes.
    pub(super) fn workers_rss(&self) -> u64 {
        match self {
            Self::Workers(workers) => workers.rss(),
            // Agents are on other machines.
            _ => 0,
        }
    }

    /// Waits until all have ended, except shards with an index in `stuck`.
    pub(super) fn join(self, stuck: &[usize]) -> GeneratorEnd {
        match self {
            Self::Threads(engine) => {
                let failed = engine.join(stuck).err().map(|error| error.to_string());
                GeneratorEnd { failed: failed.into_iter().collect(), ..GeneratorEnd::default() }
            }
            Self::Agents(running) => {
                let (workers, is_fenced) = running.join(!stuck.is_empty());
                let named = |worker: &WorkerUse| {
                    let why = worker.failed.as_ref()?;
                    Some(format!("agent {}: {why}", worker.range.process))
                };
                let failed = workers.iter().filter_map(named).collect();
                GeneratorEnd { failed, workers, is_fenced }
            }
            Self::Workers(running) => {
                let workers = running.join(stuck);
                let failed = workers.iter().filter_map(|worker| worker.failed.clone()).collect();
                GeneratorEnd { failed, workers, ..GeneratorEnd::default() }
            }
        }
    }
}

/// The peak memory of this process and its workers, bytes.
pub(super) fn rss_peak(workers: &[WorkerUse]) -> Option<u64> {
    let of_workers: u64 = workers.iter().map(|worker| worker.rss_peak).sum();
    host::peak_rss_bytes().map(|own| own + of_workers)
}
