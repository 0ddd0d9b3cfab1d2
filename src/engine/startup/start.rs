//! Starts the shards of a run, each on a thread of its own.
//!
//! `run` calls it; `shard_loop` is what each thread runs.
//! Invariant: all shards of a run begin at the same time; those of a process share one
//! [`RunShared`].

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::UNIX_EPOCH;

use tokio::sync::mpsc;

use crate::cache::CacheSet;
use crate::clock::{self, Time};
use crate::engine::shard_loop;
use crate::engine::startup::run_shared::RunShared;
use crate::engine::startup::setup::{ShardSetup, Variables};
use crate::event::{COMMAND_QUEUE, DELTA_QUEUE, DeltaSource};
use crate::host;
use crate::plan::data::claims;
use crate::plan::slots::ShardRange;
use crate::plan::{Address, Plan, Safety, ServiceTarget};
use crate::wire::{ServiceEndpoint, Wire};

/// Running shards.
#[derive(Debug)]
pub struct Engine {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

/// Returns the setups of the shards of a process, and the source of their deltas; its caches are in
/// memory alone.
pub fn set_up(
    plan: &Arc<Plan>,
    addresses: Vec<Address>,
    range: ShardRange,
    start: Time,
    globals: &Variables,
) -> (Vec<ShardSetup>, DeltaSource) {
    set_up_with(plan, addresses, range, start, (globals, &CacheSet::in_memory(plan)))
}

/// Returns the setups of the shards of a process with these caches, and the source of their deltas.
pub fn set_up_with(
    plan: &Arc<Plan>,
    addresses: Vec<Address>,
    range: ShardRange,
    start: Time,
    (globals, caches): (&Variables, &Arc<CacheSet>),
) -> (Vec<ShardSetup>, DeltaSource) {
    let (deltas, delta_receiver) = mpsc::channel(DELTA_QUEUE);
    let shared = Arc::new(RunShared::new(plan, range, Arc::clone(caches)));
    let (addresses, claims) = (Arc::new(addresses), Arc::new(claims(plan)));
    let wall = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started_ms = (wall + (start - clock::now())).as_millis() as u64;
    let (mut setups, mut commands) = (Vec::new(), Vec::new());
    for segment in range.segments() {
        let (sender, receiver) = mpsc::channel(COMMAND_QUEUE);
        commands.push(sender);
        setups.push(ShardSetup {
            plan: Arc::clone(plan),
            addresses: Arc::clone(&addresses),
            segment,
            is_leased: false,
            start,
            globals: Arc::clone(globals),
            final_variables: None,
            trace: None,
            claims: Arc::clone(&claims),
            started_ms,
            shared: Arc::clone(&shared),
            deltas: deltas.clone(),
            commands: receiver,
        });
    }
    let shards = range.count() as usize;
    (setups, DeltaSource::new(delta_receiver, None, commands, shards))
}

/// Starts a thread for each setup and its endpoints, pinned to a core of the inherited CPU mask.
/// The endpoints are the caller's: to make them can take longer than the time until the start.
///
/// # Errors
/// If the system refuses a thread.
pub fn start(setups: Vec<ShardSetup>, endpoints: Vec<Vec<ServiceEndpoint>>) -> io::Result<Engine> {
    let cores = host::cores();
    let mut threads = Vec::new();
    for (place, (setup, endpoints)) in setups.into_iter().zip(endpoints).enumerate() {
        // From the last core down: the first ones serve interrupts and a local target. Processes of
        // one machine take other cores, as far as there are.
        let (index, range) = (setup.segment.shard, setup.shared.range);
        let before = (range.process * range.count()) as usize + place;
        let core = cores[cores.len() - 1 - before % cores.len()];
        let thread =
            std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                host::pin_to(core);
                clock::block_on(shard_loop::run(setup, Wire::real(endpoints))).flatten()
            })?;
        threads.push(thread);
    }
    Ok(Engine { threads })
}

/// The endpoints of a plan's services.
///
/// # Errors
/// If TLS cannot be set up.
pub fn endpoints(plan: &Plan, addresses: &[Address]) -> io::Result<Vec<ServiceEndpoint>> {
    plan.services
        .iter()
        .zip(addresses)
        .map(|(service, address)| {
            // Safety limits do not apply to the built-in target, wherever it listens; what an agent
            // allows does.
            let safety = match service.target {
                ServiceTarget::Builtin(_) => {
                    let allowed = plan.safety.allowed.clone();
                    Arc::new(Safety { allowed, ..Safety::default() })
                }
                ServiceTarget::Url(_) => Arc::clone(&plan.safety),
            };
            ServiceEndpoint::new(&service.transport, address, plan.seed, safety)
        })
        .collect()
}

impl Engine {
    /// Waits for all shards to end, except those with an index in `stuck`.
    ///
    /// # Errors
    /// The error of the first shard that failed.
    pub fn join(self, stuck: &[usize]) -> io::Result<()> {
        let mut result = Ok(());
        let threads = self.threads.into_iter().enumerate();
        for (_, thread) in threads.filter(|(shard, _)| !stuck.contains(shard)) {
            let ended = thread.join().unwrap_or_else(|_| {
                Err(io::Error::other("a shard panicked, a bug in Manada; please report it"))
            });
            if result.is_ok() {
                result = ended;
            }
        }
        result
    }
}
