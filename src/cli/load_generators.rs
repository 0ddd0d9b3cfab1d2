//! What generates the load of a run, beside its plan.
//!
//! Commands make it, `prepare` and `execute` follow it.
//! Invariant: it changes who sends, never what is sent.

use std::path::PathBuf;

use super::args::GeneratorArgs;
use crate::engine::startup::tier::EngineSize;
use crate::event::LossPolicy;
use crate::run::agents::AgentsOptions;

/// What generates the load of a run.
#[derive(Debug)]
pub(super) struct LoadGenerators {
    pub(super) size: EngineSize,
    pub(super) on_loss: LossPolicy,
    /// The agents of a fleet, if they do.
    pub(super) agents: Option<AgentsOptions>,
    /// The command line for the report; `None`: that of this process.
    pub(super) command: Option<Vec<String>>,
    /// The file of the scenario, whose commit is kept.
    pub(super) scenario: Option<PathBuf>,
    /// The files that the plan was compiled from, if the run has a sandbox.
    pub(super) read: Vec<PathBuf>,
}

impl LoadGenerators {
    /// Shards of this machine.
    pub(super) fn of(args: &GeneratorArgs) -> Self {
        let on_loss = args.loss.on_loss;
        let size = args.size.size();
        Self { size, on_loss, agents: None, command: None, scenario: None, read: Vec::new() }
    }

    /// The same for a plan that was compiled from these files.
    pub(super) fn reading(args: &GeneratorArgs, read: Vec<PathBuf>) -> Self {
        Self { read, ..Self::of(args) }
    }
}
