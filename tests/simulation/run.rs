//! A world, lived: its shards, its target and its dispatcher as tasks of one virtual clock.
//!
//! `worlds` looks at what came of it.
//! Invariant: what is run is what runs for real, but for the wire and the clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use manada::clock::{self, Time};
use manada::curve::{Distribution, ServiceQueue};
use manada::engine;
use manada::engine::Variables;
use manada::engine::single_user::{SingleUserRun, run_single_user};
use manada::event::control::MAX_PENDING;
use manada::event::{GeneratorInfo, Report, RunInfo};
use manada::plan::{Address, Archetype, Plan};
use manada::run::aggregator::RunAggregator;
use manada::run::dispatch::{DispatchIo, ProcessGauges};
use manada::run::{DispatchInputs, dispatch};
use manada::seed::Stream;
use manada::sinks::{SinkSet, WhenFull};
use manada::wire::Wire;
use manada::wire::fake::FakeTarget;
use tokio::sync::mpsc;

use super::World;
use super::observers::{Listener, Recorded, again, send_commands};
use super::script::{Window, World1, ns};

/// What came of a world.
pub struct Lived {
    pub report: Report,
    /// The same from its record.
    pub again: Report,
    pub target: FakeTarget,
    /// What the target had got before the load began.
    pub before: u64,
    pub said: Vec<String>,
}

/// Carries out a `setup` or `teardown` in this world.
async fn alone(
    plan: &Plan,
    archetype: &Archetype,
    addresses: &[Address],
    target: &FakeTarget,
    globals: Variables,
) -> SingleUserRun {
    let (wire, never) = (Wire::fake(target.clone()), std::future::pending());
    let done = run_single_user(plan, archetype, addresses.to_vec(), wire, globals, never).await;
    assert_eq!(done.failure(), None);
    done
}

/// The world's target.
fn target(world: &World, plan: &Plan, start: Time) -> FakeTarget {
    let mut queue = ServiceQueue::new(world.target.servers);
    if let Some((at, length)) = world.target.stall.as_ref().map(Window::ns) {
        assert!(queue.stall(start.0 + at, Duration::from_nanos(length)));
    }
    let latency = world.target.latency.as_deref().unwrap_or("0s");
    FakeTarget::new(World1 {
        start,
        queue,
        latency: Distribution::parse_compact(latency).unwrap(),
        rng: plan.seed.rng(Stream::World, 0, 0),
        script: world.target.clone(),
        count: 0,
    })
}

/// How much memory the process holds, bytes.
fn held(memory: &[(String, u64)], at: u64) -> Option<u64> {
    memory.iter().rev().find(|(from, _)| ns(from) <= at).map(|(_, mib)| mib << 20)
}

/// Runs a world on so many shards: the report, and what the target got.
pub fn live(world: &World, plan: &Arc<Plan>, shards: usize) -> Lived {
    clock::block_on_virtual(async {
        let start = clock::now() + Duration::from_millis(20);
        let target = target(world, plan, start);
        if let Some((at, length)) = world.freeze.as_ref().map(Window::ns) {
            tokio::task::spawn_local(async move {
                clock::sleep_until(start.after(at)).await;
                clock::freeze_world(length);
            });
        }
        let nowhere = Address { tls: false, host: "world".into(), port: 80, prefix: String::new() };
        let addresses = vec![nowhere; plan.services.len()];
        let globals = match &plan.setup {
            None => Variables::default(),
            Some(setup) => {
                alone(plan, setup, &addresses, &target, Variables::default()).await.variables
            }
        };
        let before = target.count();
        let start = start.max(clock::now());
        let (setups, source) = engine::set_up(plan, addresses.clone(), shards, start, &globals);
        for setup in setups {
            let wire = Wire::fake(target.clone());
            tokio::task::spawn_local(async move { engine::shard_loop::run(setup, wire).await });
        }
        let opening = Arc::new(RunInfo {
            plan: Arc::new(plan.manifest()),
            started_at: clock::wall(),
            generator: GeneratorInfo {
                tier: "world".to_owned(),
                shards,
                reason: String::new(),
                remarks: Vec::new(),
            },
            command: Vec::new(),
            machine: Vec::new(),
            monitors: Vec::new(),
        });
        let mut aggregator = RunAggregator::new(Arc::clone(&opening), shards);
        let (_keep, interrupts) = mpsc::channel(1);
        let (control, commands) = mpsc::channel(MAX_PENDING);
        send_commands(&world.steer, start, control);
        let outside = DispatchInputs { interrupts, commands };
        let mut sinks = SinkSet::default();
        let said = Arc::new(Mutex::new(Vec::new()));
        sinks.add("said", WhenFull::Block, Listener(Arc::clone(&said))).unwrap();
        let record = Arc::new(Mutex::new(Vec::new()));
        sinks.add("record", WhenFull::Block, Recorded(Arc::clone(&record))).unwrap();
        let mut rss = || held(&world.memory, clock::now().since(start));
        let process = ProcessGauges { rss: &mut rss, limit: None, monitors: &mut Vec::new };
        let io = DispatchIo { aggregator: &mut aggregator, sinks: &mut sinks, process };
        dispatch::dispatch(plan, start, source, io, outside).await;
        if let Some(teardown) = &plan.teardown {
            alone(plan, teardown, &addresses, &target, globals).await;
        }
        assert!(sinks.join().error.is_none());
        let said = std::mem::take(&mut *said.lock().unwrap());
        let report = aggregator.conclude(Vec::new(), None);
        let again = again(&opening, &record.lock().unwrap(), None);
        Lived { report, again, target, before, said }
    })
}
