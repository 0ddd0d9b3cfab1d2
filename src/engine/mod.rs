//! Carries a plan out: shards, their users, and the one visible stack of a call.
//!
//! `run` starts it and gets a Source of Deltas.
//! Invariant: one shard is one thread with its own runtime, users and recorder; shards share
//! nothing but the run's counters.

mod attempt;
mod checks;
mod hop;
mod prepared;
mod request;
mod seat;
pub mod shard;
pub mod tier;
mod user;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::clock::{self, Time};
use crate::event::{COMMANDS, Command, DELTAS, Source};
use crate::host;
use crate::plan::slots::Segment;
use crate::plan::{Address, Plan};
use crate::stats::Delta;
use crate::wire::{Endpoint, Wire};

/// What all shards of a run share: counts that belong to the run as a whole.
#[derive(Debug)]
pub struct Shared {
    /// Users at work, by workload.
    pub users: Vec<AtomicU64>,
    /// Iterations handed out, by workload.
    pub iterations: Vec<AtomicU64>,
    /// Users at work over all workloads and shards.
    pub present: AtomicU64,
    /// The most of them at once.
    pub peak: AtomicU64,
}

/// What a shard needs to begin.
#[derive(Debug)]
pub struct Setup {
    /// The run.
    pub plan: Arc<Plan>,
    /// Where each service is.
    pub addresses: Arc<Vec<Address>>,
    /// This shard's part.
    pub segment: Segment,
    /// When the run begins.
    pub start: Time,
    /// What it shares with the other shards.
    pub shared: Arc<Shared>,
    /// Where its deltas go.
    pub deltas: mpsc::Sender<Delta>,
    /// What it is told.
    pub commands: mpsc::Receiver<Command>,
}

/// Running shards.
#[derive(Debug)]
pub struct Engine {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Shared {
    /// Nothing handed out yet.
    pub fn new(plan: &Plan) -> Self {
        let zeros = || plan.workloads.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            users: zeros(),
            iterations: zeros(),
            present: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }
}

/// The set-ups of all shards, and the Source of what they will measure.
pub fn set_up(
    plan: &Arc<Plan>,
    addresses: Vec<Address>,
    shards: usize,
    start: Time,
) -> (Vec<Setup>, Source) {
    let (deltas, receiver) = mpsc::channel(DELTAS);
    let shared = Arc::new(Shared::new(plan));
    let addresses = Arc::new(addresses);
    let (mut setups, mut commands) = (Vec::new(), Vec::new());
    for shard in 0..shards as u64 {
        let (sender, told) = mpsc::channel(COMMANDS);
        commands.push(sender);
        setups.push(Setup {
            plan: Arc::clone(plan),
            addresses: Arc::clone(&addresses),
            segment: Segment { shard, shards: shards as u64 },
            start,
            shared: Arc::clone(&shared),
            deltas: deltas.clone(),
            commands: told,
        });
    }
    (setups, Source { deltas: receiver, commands })
}

/// Starts a thread for each set-up, pinned inside the inherited CPU mask.
///
/// # Errors
/// When the system gives no thread, or TLS cannot be set up.
pub fn start(setups: Vec<Setup>) -> io::Result<Engine> {
    let cores = host::cores();
    let mut threads = Vec::new();
    for setup in setups {
        // From the last core down: the first ones serve interrupts and a local target.
        let index = setup.segment.shard as usize;
        let core = cores[cores.len() - 1 - index % cores.len()];
        let endpoints = endpoints(&setup)?;
        let thread =
            std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                host::pin_to(core);
                clock::block_on(shard::run(setup, Wire::real(endpoints))).flatten()
            })?;
        threads.push(thread);
    }
    Ok(Engine { threads })
}

fn endpoints(setup: &Setup) -> io::Result<Vec<Endpoint>> {
    let services = setup.plan.services.iter().zip(setup.addresses.iter());
    services
        .map(|(service, address)| Endpoint::new(&service.reach, address, setup.plan.seed))
        .collect()
}

impl Engine {
    /// Waits for all shards to end.
    ///
    /// # Errors
    /// The first shard's that could not run.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a shard panicked")));
            if result.is_ok() {
                result = ended;
            }
        }
        result
    }
}
