//! An agent: a process on some machine that generates a part of a run's load.
//!
//! `cli` runs it as `manada agent`. It follows the protocol over the bus, and runs the shards of
//! its part with the engine that every run has.
//! Invariant: the engine begins nothing without a lease; what it measured is on the bus, or will be
//! sent again, or is in the result of the agent as not received.

mod bus_threads;
mod checks;
mod driver;
mod engine;
mod engine_parts;
mod error;
mod inputs;
mod journal;
mod lobby;
mod machine;
mod measured;
mod pause;
mod telling;

use std::sync::mpsc::{self as std_mpsc, SyncSender};

use tokio::sync::mpsc;

use super::bus::BusHints;
use super::derived::plan_hash;
use super::protocol::{Agent, AgentConfig, Ordinal};
use super::setup::FleetSetup;
use super::worker::PlanRefusal;
use crate::event::Interrupt;
use crate::files::Files;
use crate::plan::Plan;
use bus_threads::BusThreads;
use driver::AgentDriver;
use engine::AgentEngine;
pub use error::AgentError;
use inputs::{AgentInput, INPUTS, local_now};
pub use inputs::{AgentOptions, AgentResult};
use journal::AgentJournal;
use measured::MeasuredInterval;

/// What the caller does for an agent.
pub struct AgentHooks<'a> {
    /// Compiles the plan that a setup names, from these files.
    pub compile: &'a dyn Fn(&FleetSetup, &Files) -> Result<Plan, PlanRefusal>,
    /// Adds the limits of this machine to a plan.
    pub restrict: &'a dyn Fn(&mut Plan) -> Result<(), PlanRefusal>,
    /// Refuses a plan of which this machine cannot run the part of one of so many agents.
    pub check_part: &'a dyn Fn(&Plan, u16) -> Result<(), PlanRefusal>,
    /// The memory for bodies that a plan may take here, bytes.
    pub body_budget: &'a dyn Fn(&Plan) -> u64,
    /// Passes signals to a listener.
    pub interrupts: &'a dyn Fn(mpsc::Sender<Interrupt>),
    /// Gets lines for people.
    pub tell: &'a dyn Fn(String),
}

/// Runs an agent to its end.
///
/// # Errors
/// If the bus cannot be used, the run does not appear, or the plan cannot, or may not, be run here.
pub fn run(options: &AgentOptions, hooks: &AgentHooks<'_>) -> Result<AgentResult, AgentError> {
    run_plan(options, hooks).inspect_err(|error| {
        if error.is_against_plan() {
            telling::tell(options, error);
        }
    })
}

fn run_plan(options: &AgentOptions, hooks: &AgentHooks<'_>) -> Result<AgentResult, AgentError> {
    let mut journal = AgentJournal::new(options.journal.as_deref());
    if let Some(failure) = journal.take_failure() {
        (hooks.tell)(failure);
    }
    let (setup, bundle) = lobby::find(options, hooks.interrupts, hooks.tell)?;
    let files = lobby::unpack(&bundle, &options.own_folders)?;
    let mut plan = (hooks.compile)(&setup, &files).map_err(AgentError::refused)?;
    plan.seed = setup.seed;
    plan.run_id.clone_from(&setup.run_id);
    // Before limits of this machine are added: those of the coordinator are part of the plan.
    let hash = plan_hash(&plan);
    (hooks.restrict)(&mut plan).map_err(AgentError::refused)?;
    checks::check(&plan, &setup)?;
    (hooks.check_part)(&plan, setup.agents).map_err(AgentError::refused)?;
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
        plan: hash,
        times: setup.times,
        facts: machine::machine_facts(),
    };
    let driver = AgentDriver {
        agent: Agent::new(config, local_now()),
        engine: AgentEngine::new(options, plan, setup),
        measured: MeasuredInterval::default(),
        journal,
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
