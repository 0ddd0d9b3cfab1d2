//! Options of a run beside its plan.
//!
//! `cli` makes them of the command line, `execute` follows them.
//! Invariant: they change how a load is generated, never what it is.

use std::ffi::OsString;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::agents::{self, AgentsOptions, PendingAgents};
use super::aggregator::RunAggregator;
use super::dispatch_io::FormerEntries;
use super::error::RunError;
use super::generators::PreparedGenerators;
use super::machine;
use super::monitors::MonitorSource;
use super::targets::{self, StartedTargets};
use crate::engine::startup::tier::{EngineSize, EngineTier};
use crate::event::{Interrupt, LossPolicy, RunInfo};
use crate::plan::prices::Prices;
use crate::plan::{Address, Plan};
use crate::sandbox::SandboxInfo;
use crate::sinks::SinkSet;
use crate::testserver::process::TestServerProcess;

/// Options of a run beside its plan.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The command line, for the report.
    pub command: Vec<String>,
    /// The same as it was given: workers compile the plan that it names.
    pub words: Vec<OsString>,
    /// The numbers of shards and processes.
    pub size: EngineSize,
    /// What becomes of the load of a lost worker.
    pub on_loss: LossPolicy,
    /// The agents of a fleet, if they generate the load.
    pub agents: Option<AgentsOptions>,
    /// The monitors of the target.
    pub monitors: Vec<MonitorSource>,
    /// What the kernel enforces of `--sandbox`, if it was given.
    pub sandbox: Option<SandboxInfo>,
    /// Prices, if the report is to tell what the run cost.
    pub prices: Option<Arc<Prices>>,
    /// The targets, if they were started before.
    pub targets: Option<Rc<StartedTargets>>,
}

impl RunOptions {
    /// Refuses a plan that this machine, or a division of it, does not fit.
    pub(super) fn check(&self, plan: &Plan, tier: &EngineTier) -> Result<(), RunError> {
        match &self.agents {
            // What a part of the plan needs is for the agents to check.
            Some(agents) => {
                if let Some(cache) = plan.caches.iter().find(|cache| cache.has_stores()) {
                    return Err(RunError::CacheOfAgents(cache.name.clone()));
                }
                machine::check_division(plan, agents::count(agents))
            }
            None => machine::check(plan, tier.processes),
        }
    }

    /// The addresses of all services, and the built-in targets that were started.
    pub(super) fn targets(
        &self,
        plan: &Plan,
    ) -> Result<(Vec<Address>, Vec<TestServerProcess>), RunError> {
        match self.agents.as_ref().and_then(agents::former_addresses) {
            Some(addresses) => Ok((addresses, Vec::new())),
            None => match &self.targets {
                Some(started) => Ok((started.addresses().to_vec(), Vec::new())),
                None => targets::start(plan),
            },
        }
    }

    /// What a former coordinator merged and recorded, if the run is resumed.
    pub(super) fn former(
        &self,
        plan: &Plan,
        prepared: &PreparedGenerators,
    ) -> Result<FormerEntries, RunError> {
        match (&self.agents, prepared) {
            (Some(options), PreparedGenerators::Agents(pending)) => {
                agents::former_entries(options, plan, pending)
            }
            _ => Ok(Box::new(std::iter::empty())),
        }
    }

    /// The results of a run that has not begun.
    pub(super) fn aggregator(&self, info: Arc<RunInfo>, shards: usize) -> RunAggregator {
        let mut aggregator = RunAggregator::new(info, shards);
        aggregator.set_prices(self.prices.clone());
        aggregator
    }

    /// Remarks on the setup for readers.
    pub(super) fn remarks(&self, plan: &Plan) -> Vec<String> {
        let mut remarks = machine::remarks(plan);
        remarks.extend(self.sandbox.as_ref().map(|sandbox| format!("sandbox: {sandbox}")));
        if self.agents.as_ref().and_then(agents::former_addresses).is_some() {
            remarks.push(
                "Resumed by another coordinator: target levels and monitors are missing for the \
                 time without one."
                    .to_owned(),
            );
        }
        remarks
    }

    /// The description of the run as a former coordinator wrote it.
    pub(super) fn former_info(&self) -> Option<&RunInfo> {
        self.agents.as_ref().and_then(agents::former_info)
    }

    /// Waits for the agents, if the run has any; sets the size of the engine by them.
    pub(super) fn gather(
        &self,
        (plan, addresses): (&Plan, &[Address]),
        tier: &mut EngineTier,
        sinks: &mut SinkSet,
        interrupts: &impl Fn(mpsc::Sender<Interrupt>),
    ) -> Result<Option<PendingAgents>, RunError> {
        let Some(options) = &self.agents else { return Ok(None) };
        let pending = agents::gather(options, (plan, addresses), sinks, interrupts)?;
        *tier = agents::tier(&pending, tier);
        Ok(Some(pending))
    }
}
