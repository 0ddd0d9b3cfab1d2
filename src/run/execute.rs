//! One run: set up, drive, aggregate, judge.
//!
//! `cli` calls it with a plan and its sinks; simulations call its parts under virtual time.
//! Invariant: there is one path: `hit` or `run`, one shard or many, with or without a screen.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::aggregator::RunAggregator;
use super::dispatch::{self, DispatchInputs, DispatchIo, ProcessGauges};
use super::error::RunError;
use super::monitors::{MonitorSet, MonitorSource};
use super::{look_up, machine, sections, targets};
use crate::clock;
use crate::control::ControlHandles;
use crate::engine::{self, startup::tier};
use crate::event::control_request::MAX_PENDING;
use crate::event::{GeneratorInfo, Interrupt, Report, RunEvent, RunInfo};
use crate::host;
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;
use crate::wire::{self, ServiceEndpoint};

/// The time that threads have to start: the run begins for all of them at the same moment.
const HEAD_START: Duration = Duration::from_millis(20);

/// What live control holds until the load ends: its socket, its keys.
pub type ControlGuards = Vec<Box<dyn std::any::Any>>;

/// Options of a run beside its plan.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The command line, for the report.
    pub command: Vec<String>,
    /// The number of shards; `None` if the tier decides.
    pub shards: Option<usize>,
    /// The monitors of the target.
    pub monitors: Vec<MonitorSource>,
}

/// Makes the endpoints of all services for each shard.
fn shard_endpoints(
    plan: &Plan,
    addresses: &[Address],
    shards: usize,
) -> Result<Vec<Vec<ServiceEndpoint>>, RunError> {
    let endpoints = (0..shards).map(|_| engine::endpoints(plan, addresses));
    endpoints.collect::<io::Result<_>>().map_err(|e| RunError::World("cannot set up TLS", e))
}

/// Runs a plan and judges it. `control` is called when the load begins; what it returns is dropped
/// when the load ends.
///
/// # Errors
/// If the plan does not fit the machine, or threads, sockets or the built-in target fail.
pub fn run(
    plan: Plan,
    options: &RunOptions,
    sinks: &mut SinkSet,
    interrupts: impl Fn(mpsc::Sender<Interrupt>),
    control: impl FnOnce(ControlHandles) -> ControlGuards,
) -> Result<Arc<Report>, RunError> {
    let plan = Arc::new(plan);
    machine::check(&plan)?;
    let (addresses, running_targets) = targets::start(&plan)?;
    look_up::before_load(&plan, &addresses, sinks, &interrupts)?;
    let globals = sections::setup(&plan, &addresses, &interrupts)?;
    let tier = tier::choose(&plan, host::cores().len(), options.shards);
    let monitors = MonitorSet::new(&options.monitors)?;
    let info = Arc::new(RunInfo {
        plan: Arc::new(plan.manifest()),
        started_at: clock::wall(),
        generator: GeneratorInfo {
            tier: tier.name.to_owned(),
            shards: tier.shards,
            reason: tier.reason,
            remarks: machine::remarks(&plan),
        },
        command: options.command.clone(),
        machine: machine::facts(),
        monitors: monitors.list(),
    });
    sinks.publish(&RunEvent::Started(Arc::clone(&info)));

    wire::body::bodies::set_budget(machine::body_budget(&plan));
    // Before the start is set: TLS reads certificates.
    let endpoints = shard_endpoints(&plan, &addresses, tier.shards)?;
    let start = clock::now() + HEAD_START + plan.policies.prewarm.unwrap_or_default();
    let (setups, source) = engine::set_up(&plan, addresses.clone(), tier.shards, start, &globals);
    let reading = monitors
        .begin(start)
        .map_err(|e| RunError::World("cannot start a thread for monitors", e))?;
    let engine =
        engine::start(setups, endpoints).map_err(|e| RunError::World("cannot start a shard", e))?;
    let mut aggregator = RunAggregator::new(info, tier.shards);
    let stuck = clock::block_on(async {
        let (sender, receiver) = mpsc::channel(4);
        let (commands, received) = mpsc::channel(MAX_PENDING);
        interrupts(sender.clone());
        let handles = ControlHandles { interrupts: sender, commands, run: plan.scenario.clone() };
        let _guards = control(handles);
        let facts = host::MachineFacts::read();
        // Against a control group's limit counts what the group is charged: pages of files that
        // this process maps may be charged elsewhere, and can be taken back.
        let by_group = facts.is_memory_grouped() && !plan.policies.has_own_memory_budget();
        let mut memory = move || {
            let group = by_group.then(host::group_memory).flatten();
            group.or_else(host::rss_bytes)
        };
        let process = ProcessGauges {
            rss: &mut memory,
            limit: facts.memory(),
            monitors: &mut || reading.take(),
        };
        let io = DispatchIo { aggregator: &mut aggregator, sinks, process };
        let inputs = DispatchInputs { interrupts: receiver, commands: received };
        let stuck = dispatch::dispatch(&plan, start, source, io, inputs).await;
        // Replies that are under way are sent: the client that sent `stop` gets one.
        tokio::task::yield_now().await;
        stuck
    })
    .map_err(|e| RunError::World("cannot start the dispatcher", e))?;
    stuck.iter().for_each(|shard| aggregator.lose(*shard));
    let broken = engine.join(&stuck).err();
    if let Some(why) = sections::teardown(&plan, addresses, globals, &interrupts) {
        sinks.publish(&RunEvent::Note(format!("teardown failed: {why}")));
    }
    drop(running_targets);

    sinks.publish(&RunEvent::SecondsCompleted(Arc::new(aggregator.finish())));
    let failed: Vec<String> =
        broken.iter().map(|error| format!("a shard failed: {error}")).collect();
    let report = Arc::new(aggregator.conclude(failed, host::peak_rss_bytes()));
    sinks.publish(&RunEvent::Ended(Arc::clone(&report)));
    match broken {
        // The results are written all the same; their ledger says what is missing.
        Some(error) => Err(RunError::World("a shard failed", error)),
        None => Ok(report),
    }
}
