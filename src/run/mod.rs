//! One run: set up, drive, aggregator, judge.
//!
//! `cli` calls it with a Plan and its sinks; worlds call its parts under virtual time.
//! Invariant: one path: `hit` or `run`, one shard or many, with or without a screen.

mod ceiling;
pub mod control;
/// Memory for the bodies that checks and captures look at: half of the budget, or of what is free.
/// The other half is for users, connections and what is made of a body.
fn body_budget(plan: &Plan) -> u64 {
    let given = plan.policies.memory.and_then(|memory| memory.budget);
    let free = host::MachineFacts::read().free_memory();
    [given, free].into_iter().flatten().min().unwrap_or(1 << 30) / 2
}

pub mod aggregator;
#[cfg(test)]
mod control_tests;
pub mod dispatch;
pub mod dry_run;
mod error_rate_abort;
mod exit_status;
mod look_up;
pub mod monitors;
pub mod replay;
mod status;
mod supervisor;

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::clock;
use crate::control::ControlHandles;
use crate::engine::single_user::SingleUserRun;
use crate::engine::{self, Variables, tier};
use crate::event::control::MAX_PENDING;
use crate::event::{GeneratorInfo, Interrupt, Report, RunEvent, RunInfo};
use crate::exit::ExitStatus;
use crate::forecast::{self, MachineLimits};
use crate::host;
use crate::plan::{Address, Archetype, Load, Plan, ServiceTarget};
use crate::sinks::SinkSet;
use crate::stats::delta::Halt;
use crate::testserver::process::TestServerProcess;
use crate::units::{show_bytes, show_count};
use crate::wire::{self, Wire};

use aggregator::RunAggregator;
pub use dispatch::DispatchInputs;
use dispatch::{DispatchIo, ProcessGauges};
use monitors::MonitorSet;
pub use monitors::MonitorSource;

/// Threads need a moment to start; the run begins for all of them at the same time.
const HEAD_START: Duration = Duration::from_millis(20);

/// What live control keeps for as long as the load lasts.
pub type ControlGuards = Vec<Box<dyn std::any::Any>>;

/// Why a run could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The plan is beyond this machine; the text names the limit and the cure.
    #[error("{0}")]
    TooBig(String),
    /// What is to be watched is not there.
    #[error("{0}")]
    Unwatched(String),
    /// What has to be done before the load was not done.
    #[error("the scenario's setup did not go through: {0}")]
    Setup(String),
    /// Where it would go it may not, and how to say that it may.
    #[error("{0}")]
    Forbidden(String),
    /// A safety limit stopped what comes before the load.
    #[error("{0}")]
    Stopped(String),
    /// A signal came before the load.
    #[error("stopped by {0} before the load began")]
    Interrupted(Interrupt),
    /// Something outside failed.
    #[error("{0}: {1}")]
    World(&'static str, #[source] io::Error),
}

impl RunError {
    /// How the program ends for it.
    pub fn ending(&self) -> ExitStatus {
        match self {
            Self::TooBig(_) | Self::Forbidden(_) | Self::Unwatched(_) => ExitStatus::Scenario,
            Self::Stopped(_) => ExitStatus::Aborted,
            Self::Interrupted(interrupt) => interrupt.exit_status(),
            Self::Setup(_) | Self::World(..) => ExitStatus::Broken,
        }
    }
}

/// What is asked of a run beside its plan.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// The words that began it, for the report.
    pub command: Vec<String>,
    /// How many shards; none: as many as it takes.
    pub shards: Option<usize>,
    /// What is read once a second of the target.
    pub watch: Vec<MonitorSource>,
}

/// Carries a plan out and judges it. `control` is called once the load begins, and may keep
/// something for as long as it lasts.
///
/// # Errors
/// When the machine cannot carry the plan, or threads, sockets or the built-in target fail.
pub fn run(
    plan: Plan,
    beside: &RunOptions,
    sinks: &mut SinkSet,
    interrupts: impl Fn(mpsc::Sender<Interrupt>),
    control: impl FnOnce(ControlHandles) -> ControlGuards,
) -> Result<Arc<Report>, RunError> {
    let plan = Arc::new(plan);
    check_machine(&plan)?;
    let (addresses, targets) = start_targets(&plan)?;
    look_up::before_load(&plan, &addresses, sinks, &interrupts)?;
    let globals = run_setup(&plan, &addresses, &interrupts)?;
    let tier = tier::choose(&plan, host::cores().len(), beside.shards);
    let monitors = MonitorSet::new(&beside.watch).map_err(RunError::Unwatched)?;
    let opening = Arc::new(RunInfo {
        plan: Arc::new(plan.manifest()),
        started_at: clock::wall(),
        generator: GeneratorInfo {
            tier: tier.name.to_owned(),
            shards: tier.shards,
            reason: tier.reason,
            remarks: remarks(&plan),
        },
        command: beside.command.clone(),
        machine: machine(),
        monitors: monitors.list(),
    });
    sinks.publish(&RunEvent::Started(Arc::clone(&opening)));

    wire::bodies::set_budget(body_budget(&plan));
    let start = clock::now() + HEAD_START + plan.policies.prewarm.unwrap_or_default();
    let (setups, source) = engine::set_up(&plan, addresses.clone(), tier.shards, start, &globals);
    let reading =
        monitors.begin(start).map_err(|e| RunError::World("no thread for monitors", e))?;
    let engine = engine::start(setups).map_err(|e| RunError::World("cannot start a shard", e))?;
    let mut aggregator = RunAggregator::new(opening, tier.shards);
    let stuck = clock::block_on(async {
        let (sender, receiver) = mpsc::channel(4);
        let (commands, received) = mpsc::channel(MAX_PENDING);
        interrupts(sender.clone());
        let levers = ControlHandles { interrupts: sender, commands, run: plan.scenario.clone() };
        let _kept = control(levers);
        let facts = host::MachineFacts::read();
        // Against a control group's limit counts what the group is charged: pages of files that
        // this process maps may be charged elsewhere, and can be taken back.
        let by_group = facts.is_memory_grouped() && !plan.policies.has_own_memory_budget();
        let mut held = move || {
            let group = by_group.then(host::group_memory).flatten();
            group.or_else(host::rss_bytes)
        };
        let process = ProcessGauges {
            rss: &mut held,
            limit: facts.memory(),
            monitors: &mut || reading.take(),
        };
        let io = DispatchIo { aggregator: &mut aggregator, sinks, process };
        let outside = DispatchInputs { interrupts: receiver, commands: received };
        let stuck = dispatch::dispatch(&plan, start, source, io, outside).await;
        // Answers that are on their way get out: a client that sent `stop` is told so.
        tokio::task::yield_now().await;
        stuck
    })
    .map_err(|e| RunError::World("cannot start the dispatcher", e))?;
    stuck.iter().for_each(|shard| aggregator.lose(*shard));
    let broken = engine.join(&stuck).err();
    if let Some(why) = run_teardown(&plan, addresses, globals, &interrupts) {
        sinks.publish(&RunEvent::Note(format!("teardown did not go through: {why}")));
    }
    drop(targets);

    sinks.publish(&RunEvent::SecondsCompleted(Arc::new(aggregator.finish())));
    let failed: Vec<String> =
        broken.iter().map(|error| format!("a shard failed: {error}")).collect();
    let report = Arc::new(aggregator.conclude(failed, host::peak_rss_bytes()));
    sinks.publish(&RunEvent::Ended(Arc::clone(&report)));
    match broken {
        // What was measured is written all the same; its ledger says what is missing.
        Some(error) => Err(RunError::World("a shard failed", error)),
        None => Ok(report),
    }
}

/// Carries out the scenario's `setup`: the variables it leaves are every user's. A signal stops it;
/// the `teardown` then runs, since it may have begun to change the target.
fn run_setup(
    plan: &Plan,
    addresses: &[Address],
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<Variables, RunError> {
    let Some(setup) = &plan.setup else { return Ok(Variables::default()) };
    let (done, stopped) =
        run_single_user(plan, setup, addresses.to_vec(), Variables::default(), interrupts)?;
    if let Some(interrupt) = stopped {
        run_teardown(plan, addresses.to_vec(), done.variables, interrupts);
        return Err(RunError::Interrupted(interrupt));
    }
    match (done.failure(), done.halt) {
        (_, Some(Halt::Safety(why))) => Err(RunError::Stopped(why)),
        (None, _) => Ok(done.variables),
        (Some(why), _) => Err(RunError::Setup(why)),
    }
}

/// Carries out the scenario's `teardown`; why it did not go through.
fn run_teardown(
    plan: &Plan,
    addresses: Vec<Address>,
    globals: Variables,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Option<String> {
    let teardown = plan.teardown.as_ref()?;
    match run_single_user(plan, teardown, addresses, globals, interrupts) {
        Ok((_, Some(interrupt))) => Some(format!("stopped by {interrupt}")),
        Ok((done, None)) => done.failure(),
        // The run itself is over: what was measured is reported all the same.
        Err(trouble) => Some(trouble.to_string()),
    }
}

/// Carries out a section once; the signal that stopped it, if one did.
fn run_single_user(
    plan: &Plan,
    archetype: &Archetype,
    addresses: Vec<Address>,
    globals: Variables,
    interrupts: &impl Fn(mpsc::Sender<Interrupt>),
) -> Result<(SingleUserRun, Option<Interrupt>), RunError> {
    let wire = Wire::real(
        engine::endpoints(plan, &addresses).map_err(|e| RunError::World("cannot set up TLS", e))?,
    );
    let stopped = Cell::new(None);
    let walk = async {
        let (sender, mut receiver) = mpsc::channel(4);
        interrupts(sender);
        let stop = async {
            match receiver.recv().await {
                Some(interrupt) => stopped.set(Some(interrupt)),
                None => std::future::pending::<()>().await,
            }
        };
        engine::single_user::run_single_user(plan, archetype, addresses, wire, globals, stop).await
    };
    let done = clock::block_on(walk).map_err(|e| RunError::World("cannot start a shard", e))?;
    Ok((done, stopped.get()))
}

/// What the machine is, by name.
fn machine() -> Vec<(String, String)> {
    let facts = host::MachineFacts::read();
    let mut all = vec![
        ("manada", env!("CARGO_PKG_VERSION").to_owned()),
        ("kernel", host::kernel()),
        ("cores", host::cores().len().to_string()),
    ];
    all.extend(facts.memory().map(|bytes| ("memory", show_bytes(bytes))));
    all.extend(facts.descriptors().map(|most| ("descriptors", show_count(most))));
    all.into_iter().map(|(name, what)| (name.to_owned(), what)).collect()
}

/// What this machine gives to a run, its soft limits raised.
pub fn limits() -> MachineLimits {
    let facts = host::MachineFacts::read();
    MachineLimits {
        descriptors: host::raise_descriptors().or(facts.descriptors()),
        ports: facts.ports(),
        memory: facts.memory(),
    }
}

fn check_machine(plan: &Plan) -> Result<(), RunError> {
    let refused = forecast::certain_shortages(plan, &limits());
    if refused.is_empty() {
        return Ok(());
    }
    let why: Vec<String> = refused.iter().map(ToString::to_string).collect();
    Err(RunError::TooBig(why.join("\n")))
}

fn start_targets(plan: &Plan) -> Result<(Vec<Address>, Vec<TestServerProcess>), RunError> {
    let (mut addresses, mut targets) = (Vec::new(), Vec::new());
    for service in &plan.services {
        match &service.target {
            ServiceTarget::Url(address) => addresses.push(address.clone()),
            ServiceTarget::Builtin(builtin) => {
                let running = TestServerProcess::start(None, builtin, plan.seed)
                    .map_err(|e| RunError::World("cannot start the built-in target", e))?;
                addresses.push(Address {
                    tls: false,
                    host: running.address().ip().to_string(),
                    port: running.address().port(),
                    prefix: String::new(),
                });
                targets.push(running);
            }
        }
    }
    Ok((addresses, targets))
}

fn remarks(plan: &Plan) -> Vec<String> {
    let mut remarks = Vec::new();
    if plan.has_local_target() {
        remarks.push("target and generator share this machine".to_owned());
    }
    for service in &plan.services {
        if service.transport.tls.insecure {
            remarks.push(format!("service {}: certificates are not verified", service.name));
        }
    }
    for load in &plan.workloads {
        if matches!(load.load, Load::Closed(_)) && plan.paced(load).contains(&false) {
            remarks.push(format!(
                "workload {} is closed: its users wait for answers, so its response times omit \
                 waiting",
                load.name
            ));
        }
    }
    remarks
}
