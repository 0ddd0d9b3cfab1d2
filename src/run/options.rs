//! Options of a run beside its plan.
//!
//! `cli` makes them of the command line, `execute` follows them.
//! Invariant: they change how a load is generated, never what it is.

use std::ffi::OsString;

use tokio::sync::mpsc;

use super::agents::{self, AgentsOptions, PendingAgents};
use super::error::RunError;
use super::machine;
use super::monitors::MonitorSource;
use crate::engine::startup::tier::{EngineSize, EngineTier};
use crate::event::{Interrupt, LossPolicy};
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;

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
}

impl RunOptions {
    /// Refuses a plan that this machine, or a division of it, does not fit.
    pub(super) fn check(&self, plan: &Plan, tier: &EngineTier) -> Result<(), RunError> {
        match &self.agents {
            // What a part of the plan needs is for the agents to check.
            Some(agents) => machine::check_division(plan, agents::count(agents)),
            None => machine::check(plan, tier.processes),
        }
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
        let size = (self.size.shards, self.on_loss);
        let pending = agents::gather(options, (plan, addresses), size, sinks, interrupts)?;
        *tier = agents::tier(&pending, tier);
        Ok(Some(pending))
    }
}
