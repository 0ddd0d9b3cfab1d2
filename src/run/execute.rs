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
use super::generators::{self, GeneratorEnd, Generators, PreparedGenerators};
use super::health::{self, HealthChecker, RunningChecks};
use super::monitors::MonitorSet;
use super::options::RunOptions;
use super::{look_up, machine, sections};
use crate::cache::CacheSet;
use crate::clock::{self, Time};
use crate::control::ControlHandles;
use crate::engine::Variables;
use crate::engine::startup::tier::{self, EngineTier};
use crate::event::control_request::MAX_PENDING;
use crate::event::record::RecordEnd;
use crate::event::{GeneratorInfo, Interrupt, Report, RunEvent, RunInfo};
use crate::fleet::cache_stores;
use crate::host;
use crate::host::usage::CpuTime;
use crate::plan::{Address, Plan};
use crate::sinks::SinkSet;
use crate::stats::Recovery;
use crate::stats::run_usage::{RunUsage, process_cpu};
use crate::units::show_duration;
use crate::verdict::threshold::Metric;

/// The time that threads have to start: the run begins for all of them at the same moment.
const HEAD_START: Duration = Duration::from_millis(20);

/// A wait before the load of this length is announced.
const LONG_LEAD: Duration = Duration::from_secs(5);

/// What live control holds until the load ends: its socket, its keys.
pub type ControlGuards = Vec<Box<dyn std::any::Any>>;

/// Returns what reads the memory that counts against the limit, bytes.
fn memory_gauge<'a>(
    plan: &Plan,
    facts: &host::MachineFacts,
    generators: &'a Generators,
) -> impl FnMut() -> Option<u64> + use<'a> {
    // Against a control group's limit counts what the group is charged: pages of files that this
    // process maps may be charged elsewhere, and can be taken back.
    let by_group = facts.is_memory_grouped() && plan.memory_budget().is_none();
    move || {
        // Also if the group's use is what counts: the peaks of workers are read here.
        let own = host::rss_bytes().map(|own| own + generators.workers_rss());
        by_group.then(host::group_memory).flatten().or(own)
    }
}

/// Describes a run.
fn info(plan: &Plan, options: &RunOptions, tier: &EngineTier, monitors: &MonitorSet) -> RunInfo {
    let former = options.former_info();
    RunInfo {
        plan: Arc::new(plan.manifest()),
        started_at: former.map_or_else(clock::wall, |former| former.started_at),
        generator: GeneratorInfo {
            tier: tier.name.to_owned(),
            shards: tier.shards,
            processes: tier.processes,
            is_fleet: options.agents.is_some(),
            reason: tier.reason.clone(),
            remarks: options.remarks(plan),
            sandbox: options.sandbox.clone(),
        },
        command: options.command.clone(),
        machine: machine::facts(),
        monitors: monitors.list(),
    }
}

/// What this process and its files used so far.
fn used(sinks: &SinkSet, start: Time, cpu_before: Option<CpuTime>) -> RunUsage {
    sinks.settle();
    RunUsage { cpu: process_cpu(), cpu_before, ..sinks.disk().usage(start) }
}

/// How long services take to be healthy after the load, if a threshold is on that. A run that was
/// stopped is not waited for.
fn recovery(
    plan: &Plan,
    checker: &HealthChecker,
    aggregator: &RunAggregator,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Option<Recovery> {
    let rules = plan.thresholds.iter().filter(|rule| rule.metric == Metric::Recovery);
    let longest_us = rules
        .map(|rule| rule.limit)
        .fold(None, |most: Option<f64>, us| Some(most.map_or(us, |most| most.max(us))))?;
    if checker.is_empty() || aggregator.stopped().is_some() {
        return None;
    }
    let limit = Duration::from_micros(longest_us.ceil() as u64);
    health::recovery(checker, limit, interrupts).ok()
}

/// Runs `teardown`, if it is this coordinator's, and ends the caches: their threads end, and leases
/// are released.
fn after_load(
    (plan, addresses): (&Plan, &[Address]),
    globals: Option<Variables>,
    caches: Arc<CacheSet>,
    sinks: &mut SinkSet,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) {
    if let Some(globals) = globals
        && let Some(why) = sections::teardown(plan, addresses, (globals, &caches), interrupts)
    {
        sinks.publish(&RunEvent::Note(format!("teardown failed: {why}")));
    }
    caches.failures().into_iter().for_each(|why| sinks.publish(&RunEvent::Note(why)));
    drop(caches);
}

/// How much later the load begins since connections are opened before it; a note announces a long
/// one.
fn prewarm_lead(plan: &Plan, sinks: &mut SinkSet) -> Duration {
    let lead = plan.policies.prewarm_lead();
    if lead >= LONG_LEAD {
        let lead = show_duration(lead);
        let text = format!("the load begins in {lead}: `prewarm` opens connections first");
        sinks.publish(&RunEvent::Note(text));
    }
    lead
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
    let mut tier = tier::choose(&plan, host::cores().len(), machine::descriptors(), options.size);
    options.check(&plan, &tier)?;
    let (addresses, running_targets) = options.targets(&plan)?;
    look_up::before_load(&plan, &addresses, sinks, &interrupts)?;
    let checker = HealthChecker::new(&plan, &addresses);
    let unhealthy = health::before_load(&checker, sinks, &interrupts)?;
    let mut gathered = options.gather((&plan, &addresses), &mut tier, sinks, &interrupts)?;
    let caches = cache_stores::open(&plan)?;
    let globals = sections::setup(&plan, (&addresses, &caches), gathered.as_mut(), &interrupts)?;
    let monitors = MonitorSet::new(&options.monitors)?;
    let info = Arc::new(info(&plan, options, &tier, &monitors));
    sinks.publish(&RunEvent::Started(Arc::clone(&info)));

    // Before the start is set: TLS reads certificates, and workers compile the plan.
    let given = (&addresses[..], &globals);
    let prepared = match gathered {
        Some(agents) => PreparedGenerators::of_agents(agents, &globals, sinks, &interrupts),
        None => PreparedGenerators::new(&plan, &tier, &options.words, given, &interrupts),
    };
    let prepared = prepared.inspect_err(|_| {
        sections::teardown(&plan, &addresses, (Arc::clone(&globals), &caches), &interrupts);
    })?;
    let soon = clock::now() + HEAD_START + prewarm_lead(&plan, sinks);
    let start = prepared.start_at().unwrap_or(soon);
    let reading = monitors
        .begin(start, &prepared.pids())
        .map_err(|e| RunError::World("cannot start a thread for monitors", e))?;
    let (checks, health) = RunningChecks::begin(checker.clone(), unhealthy)
        .map_err(|e| RunError::World("cannot start a thread for health checks", e))?;
    let (before, former) = (process_cpu(), options.former(&plan, &prepared)?);
    let (generators, source) = prepared.start(&plan, &addresses, (&globals, &caches), start)?;
    let (mut aggregator, running) = (options.aggregator(info, tier.shards), &generators);
    let stuck = clock::block_on(async {
        let (sender, receiver) = mpsc::channel(4);
        let (commands, received) = mpsc::channel(MAX_PENDING);
        interrupts(sender.clone());
        let handles = ControlHandles { interrupts: sender, commands, run: plan.scenario.clone() };
        let _guards = control(handles);
        let facts = host::MachineFacts::read();
        let (mut memory, on_loss) = (memory_gauge(&plan, &facts, running), options.on_loss);
        let process = ProcessGauges {
            rss: &mut memory,
            limit: facts.memory(),
            monitors: &mut || reading.take(),
        };
        let io = DispatchIo { aggregator: &mut aggregator, sinks, process };
        let (interrupts, commands) = (receiver, received);
        let inputs = DispatchInputs { interrupts, commands, health, on_loss, former };
        let stuck = dispatch::dispatch(&plan, start, source, io, inputs).await;
        // Replies that are under way are sent: the client that sent `stop` gets one.
        tokio::task::yield_now().await;
        stuck
    })
    .map_err(|e| RunError::World("cannot start the dispatcher", e))?;
    drop(checks);
    let recovery = recovery(&plan, &checker, &aggregator, &interrupts);
    stuck.iter().for_each(|shard| aggregator.lose(*shard));
    let GeneratorEnd { failed: broken, workers, is_fenced } = generators.join(&stuck);
    let teardown = (!is_fenced).then_some(globals);
    after_load((&plan, &addresses), teardown, caches, sinks, &interrupts);
    drop(running_targets);

    sinks.publish(&RunEvent::SecondsCompleted(Arc::new(aggregator.finish())));
    let failed = broken.iter().map(|error| format!("a shard failed: {error}")).collect();
    let (rss_peak, usage) = (generators::rss_peak(&workers), Box::new(used(sinks, start, before)));
    let shift = aggregator.shift().cloned();
    let end = RecordEnd { broken: failed, rss_peak, workers, recovery, shift, usage };
    let report = Arc::new(aggregator.conclude(end));
    sinks.publish(&RunEvent::Ended(Arc::clone(&report)));
    match broken.into_iter().next() {
        // The results are written all the same; their ledger says what is missing.
        Some(error) => Err(RunError::World("a shard failed", io::Error::other(error))),
        None => Ok(report),
    }
}
