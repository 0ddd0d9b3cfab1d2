//! Runs a world: its shards, its target and its dispatcher as tasks of one virtual clock.
//!
//! `simulation` checks the results.
//! Invariant: the code that runs is that of real runs, except the wire and the clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use manada::cache::CacheSet;
use manada::clock::{self, Time};
use manada::curve::{Distribution, ServiceQueue};
use manada::engine;
use manada::engine::Variables;
use manada::engine::single_user::{SingleUserRun, run_single_user};
use manada::event::control_request::MAX_PENDING;
use manada::event::record::RecordEnd;
use manada::event::{DeltaSource, GeneratorInfo, Report, RunInfo};
use manada::plan::slots::ShardRange;
use manada::plan::{Address, Archetype, Plan, Service, ServiceTarget};
use manada::run::aggregator::RunAggregator;
use manada::run::dispatch::{DispatchIo, ProcessGauges};
use manada::run::{DispatchInputs, dispatch};
use manada::seed::Stream;
use manada::sinks::{SinkSet, WhenFull};
use manada::wire::Wire;
use manada::wire::fake::FakeTarget;
use tokio::sync::mpsc;

use super::World;
use super::observers::{LogCollector, RecordCollector, replay_record, send_commands};
use super::script::{ScriptedTarget, Window, ns};
use super::streams::ScriptedStreams;
use super::{leases, stores, workers};

/// The results of a world.
pub struct SimulationResults {
    pub report: Report,
    /// The report replayed from the record.
    pub replayed: Report,
    pub target: FakeTarget,
    /// Requests that the target got before the load.
    pub before: u64,
    pub said: Vec<String>,
}

/// Runs a `setup` or `teardown` in this world.
async fn run_once(
    plan: &Plan,
    archetype: &Archetype,
    addresses: &[Address],
    target: &FakeTarget,
    given: (Variables, &Arc<CacheSet>),
) -> SingleUserRun {
    let (wire, never) = (Wire::fake(target.clone()), std::future::pending());
    let done = run_single_user(plan, archetype, addresses.to_vec(), wire, given, never).await;
    assert_eq!(done.failure(), None);
    done
}

/// Runs the world's `setup`, if it has one; returns its variables.
async fn set_up(
    plan: &Plan,
    addresses: &[Address],
    target: &FakeTarget,
    caches: &Arc<CacheSet>,
) -> Variables {
    let Some(setup) = &plan.setup else { return Variables::default() };
    let given = (Variables::default(), caches);
    run_once(plan, setup, addresses, target, given).await.variables
}

/// Builds the world's target.
fn target(world: &World, plan: &Plan, start: Time) -> FakeTarget {
    let mut queue = ServiceQueue::new(world.target.servers);
    if let Some((at, length)) = world.target.stall.as_ref().map(Window::ns) {
        assert!(queue.stall(start.0 + at, Duration::from_nanos(length)));
    }
    let latency = world.target.latency.as_deref().unwrap_or("0s");
    let streams = world.target.streams.clone();
    let target = FakeTarget::new(ScriptedTarget {
        start,
        queue,
        latency: Distribution::parse_compact(latency).unwrap(),
        rng: plan.seed.rng(Stream::World, 0, 0),
        script: world.target.clone(),
        count: 0,
    });
    match streams {
        Some(script) => target.with_streams(ScriptedStreams::new(start, script)),
        None => target,
    }
}

/// Returns the memory of the process, bytes.
fn memory_at(memory: &[(String, u64)], at: u64) -> Option<u64> {
    memory.iter().rev().find(|(from, _)| ns(from) <= at).map(|(_, mib)| mib << 20)
}

/// Starts the shards of a world.
fn start_shards(
    world: &World,
    plan: &Arc<Plan>,
    (addresses, globals, caches): (&[Address], &Variables, &Arc<CacheSet>),
    target: &FakeTarget,
    (start, shards): (Time, usize),
) -> DeltaSource {
    if !world.losses.is_empty() {
        let workers = (shards, &world.losses[..]);
        return workers::start(plan, (addresses, globals), target, start, workers);
    }
    if !world.lapses.is_empty() {
        let leased = (shards, &world.lapses[..]);
        return leases::start(plan, (addresses, globals), target, start, leased);
    }
    let range = ShardRange::whole(shards as u64);
    let (setups, source) =
        engine::set_up_with(plan, addresses.to_vec(), range, start, (globals, caches));
    for setup in setups {
        let wire = Wire::fake(target.clone());
        tokio::task::spawn_local(async move { engine::shard_loop::run(setup, wire).await });
    }
    source
}

/// Runs a world on this many shards.
pub fn run_world(world: &World, plan: &Arc<Plan>, shards: usize) -> SimulationResults {
    clock::block_on_virtual(async {
        let start = clock::now() + Duration::from_millis(20);
        let target = target(world, plan, start);
        if let Some((at, length)) = world.freeze.as_ref().map(Window::ns) {
            tokio::task::spawn_local(async move {
                clock::sleep_until(start.after(at)).await;
                clock::freeze_world(length);
            });
        }
        let address = Address { host: "world".into(), port: 80, ..Address::default() };
        let own = |service: &Service| match &service.target {
            ServiceTarget::Url(own) => own.clone(),
            ServiceTarget::Builtin(_) => address.clone(),
        };
        let addresses: Vec<Address> = plan.services.iter().map(own).collect();
        let caches = stores::caches(plan, &world.stores, start);
        let globals = set_up(plan, &addresses, &target, &caches).await;
        let before = target.count();
        let start = start.max(clock::now());
        let given = (&addresses[..], &globals, &caches);
        let source = start_shards(world, plan, given, &target, (start, shards));
        let info = Arc::new(RunInfo {
            plan: Arc::new(plan.manifest()),
            started_at: clock::wall(),
            generator: GeneratorInfo {
                tier: "world".to_owned(),
                shards,
                processes: 1,
                is_fleet: false,
                reason: String::new(),
                remarks: Vec::new(),
                sandbox: None,
            },
            command: Vec::new(),
            machine: Vec::new(),
            monitors: Vec::new(),
        });
        let mut aggregator = RunAggregator::new(Arc::clone(&info), shards);
        let (_keep, interrupts) = mpsc::channel(1);
        let (control, commands) = mpsc::channel(MAX_PENDING);
        send_commands(&world.steer, start, control);
        let inputs = DispatchInputs {
            health: mpsc::channel(1).1,
            interrupts,
            commands,
            on_loss: world.on_loss.into(),
            former: Box::new(std::iter::empty()),
        };
        let mut sinks = SinkSet::default();
        let said = Arc::new(Mutex::new(Vec::new()));
        sinks.add("said", WhenFull::Block, LogCollector(Arc::clone(&said))).unwrap();
        let record = Arc::new(Mutex::new(Vec::new()));
        sinks.add("record", WhenFull::Block, RecordCollector(Arc::clone(&record))).unwrap();
        let mut rss = || memory_at(&world.memory, clock::now().since(start));
        let process = ProcessGauges { rss: &mut rss, limit: None, monitors: &mut Vec::new };
        let io = DispatchIo { aggregator: &mut aggregator, sinks: &mut sinks, process };
        dispatch::dispatch(plan, start, source, io, inputs).await;
        if let Some(teardown) = &plan.teardown {
            run_once(plan, teardown, &addresses, &target, (globals, &caches)).await;
        }
        assert!(sinks.join().error.is_none());
        let said = std::mem::take(&mut *said.lock().unwrap());
        let report = aggregator.conclude(RecordEnd::default());
        let replayed = replay_record(&info, &record.lock().unwrap(), None);
        SimulationResults { report, replayed, target, before, said }
    })
}
