//! Carries a plan out: shards, their users, and the one visible stack of a call.
//!
//! `run` starts it and gets a Source of Deltas.
//! Invariant: one shard is one thread with its own runtime, users and recorder; shards share
//! nothing but the run's counters.

mod admission_gate;
mod attempt;
mod checks;
mod closed_user;
mod conclude;
mod curl;
mod exemplar;
mod generator_error;
mod hedge;
mod iteration;
mod live_schedule;
mod parallel;
mod prepared;
mod prewarm;
mod redacted;
mod redirect;
mod rendezvous;
mod request;
mod resilience;
mod rows;
pub mod shard;
pub mod single_user;
mod starter;
pub mod tier;
mod trace_recorder;
mod user;
mod user_meter;
mod worker;

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::UNIX_EPOCH;

use tokio::sync::{Notify, mpsc};

use crate::clock::{self, Time};
use crate::event::{COMMAND_QUEUE, DELTA_QUEUE, DeltaSource, ShardCommand};
use crate::host;
use crate::plan::data::{RowClaim, claims};
use crate::plan::policy::BreakerName;
use crate::plan::slots::Segment;
use crate::plan::{Address, Endpoints, Load, LoadBound, Plan, ServiceTarget, Workload};
use crate::resilience::{BreakerBoard, RateLimits};
use crate::stats::Delta;
use crate::template::Value;
use crate::wire::{ServiceEndpoint, Wire};
use rendezvous::RendezvousPoint;
pub use trace_recorder::TraceRecorder;

/// What all shards of a run share: counts that belong to the run as a whole.
#[derive(Debug)]
pub struct RunShared {
    /// Users at work, by workload.
    pub users: Vec<AtomicU64>,
    /// Iterations handed out, by workload.
    pub iterations: Vec<AtomicU64>,
    /// Those of them that come on top of the count that ends their workload, by workload.
    pub uncounted: Vec<AtomicU64>,
    /// Users of workloads that a count ends, by workload.
    pub populations: Vec<ClosedPopulation>,
    /// Users at work over all workloads and shards.
    pub present: AtomicU64,
    /// The most of them at once.
    pub peak: AtomicU64,
    /// Where users wait for each other, by archetype.
    pub rendezvous: Vec<Vec<RendezvousPoint>>,
    /// Where calls go, told apart by method and path.
    pub endpoints: Endpoints,
    /// Their breakers, those of services, and that of all.
    pub board: BreakerBoard,
    /// The names of those breakers.
    pub names: Vec<String>,
    /// How many attempts there are at most.
    pub limits: RateLimits,
}

/// The users of a closed workload that a count ends: when nobody is left it is over, on all shards
/// at once, and until then more may be asked for.
#[derive(Debug)]
pub struct ClosedPopulation {
    /// Users to come and at work, over all shards.
    pub left: AtomicU64,
    /// Told when nobody is left, or no iteration.
    pub over: Notify,
}

impl ClosedPopulation {
    fn of(workload: &Workload) -> Self {
        let stays = match &workload.load {
            Load::Closed(users) if users.bound != LoadBound::Time => {
                (0..users.curve.peak()).map(|number| users.curve.stays(number).len() as u64).sum()
            }
            Load::Closed(_) | Load::Open(_) => 0,
        };
        Self { left: AtomicU64::new(stays), over: Notify::new() }
    }
}

/// Values of variables by slot; `None` is unset.
pub type Variables = Arc<Vec<Option<Value>>>;

/// What a shard needs to begin.
#[derive(Debug)]
pub struct ShardSetup {
    /// The run.
    pub plan: Arc<Plan>,
    /// Where each service is.
    pub addresses: Arc<Vec<Address>>,
    /// This shard's part.
    pub segment: Segment,
    /// When the run begins.
    pub start: Time,
    /// What the scenario's `setup` left: every archetype's first variables.
    pub globals: Variables,
    /// Where the last user's variables are left, when somebody wants them.
    pub final_variables: Option<Arc<Mutex<Vec<Option<Value>>>>>,
    /// Who looks on, if anybody does.
    pub trace: Option<TraceRecorder>,
    /// Whose rows begin where, by workload, share and draw.
    pub claims: Arc<Vec<Vec<Vec<RowClaim>>>>,
    /// The same by the wall clock: ms since the epoch.
    pub started_ms: u64,
    /// What it shares with the other shards.
    pub shared: Arc<RunShared>,
    /// Where its deltas go.
    pub deltas: mpsc::Sender<Delta>,
    /// What it is told.
    pub commands: mpsc::Receiver<ShardCommand>,
}

/// Running shards.
#[derive(Debug)]
pub struct Engine {
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl RunShared {
    /// Nothing handed out yet.
    pub fn new(plan: &Plan) -> Self {
        let endpoints = Endpoints::new(plan);
        let zeros = || plan.workloads.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            users: zeros(),
            iterations: zeros(),
            uncounted: zeros(),
            populations: plan.workloads.iter().map(ClosedPopulation::of).collect(),
            present: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            rendezvous: plan
                .archetypes
                .iter()
                .map(|kind| (0..kind.rendezvous).map(|_| RendezvousPoint::default()).collect())
                .collect(),
            board: BreakerBoard::new(plan, &endpoints),
            names: BreakerName::all(plan).into_iter().map(|breaker| breaker.name).collect(),
            limits: RateLimits::new(plan, &endpoints),
            endpoints,
        }
    }
}

/// The set-ups of all shards, and the Source of what they will measure.
pub fn set_up(
    plan: &Arc<Plan>,
    addresses: Vec<Address>,
    shards: usize,
    start: Time,
    globals: &Variables,
) -> (Vec<ShardSetup>, DeltaSource) {
    let (deltas, receiver) = mpsc::channel(DELTA_QUEUE);
    let shared = Arc::new(RunShared::new(plan));
    let (addresses, claims) = (Arc::new(addresses), Arc::new(claims(plan)));
    let wall = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    let started_ms = (wall + (start - clock::now())).as_millis() as u64;
    let (mut setups, mut commands) = (Vec::new(), Vec::new());
    for shard in 0..shards as u64 {
        let (sender, told) = mpsc::channel(COMMAND_QUEUE);
        commands.push(sender);
        setups.push(ShardSetup {
            plan: Arc::clone(plan),
            addresses: Arc::clone(&addresses),
            segment: Segment { shard, shards: shards as u64 },
            start,
            globals: Arc::clone(globals),
            final_variables: None,
            trace: None,
            claims: Arc::clone(&claims),
            started_ms,
            shared: Arc::clone(&shared),
            deltas: deltas.clone(),
            commands: told,
        });
    }
    (setups, DeltaSource { deltas: receiver, commands })
}

/// Starts a thread for each set-up, pinned inside the inherited CPU mask.
///
/// # Errors
/// When the system gives no thread, or TLS cannot be set up.
pub fn start(setups: Vec<ShardSetup>) -> io::Result<Engine> {
    let cores = host::cores();
    let mut threads = Vec::new();
    for setup in setups {
        // From the last core down: the first ones serve interrupts and a local target.
        let index = setup.segment.shard as usize;
        let core = cores[cores.len() - 1 - index % cores.len()];
        let endpoints = endpoints(&setup.plan, &setup.addresses)?;
        let thread =
            std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                host::pin_to(core);
                clock::block_on(shard::run(setup, Wire::real(endpoints))).flatten()
            })?;
        threads.push(thread);
    }
    Ok(Engine { threads })
}

/// The ways to a plan's services.
///
/// # Errors
/// When TLS cannot be set up.
pub fn endpoints(plan: &Plan, addresses: &[Address]) -> io::Result<Vec<ServiceEndpoint>> {
    plan.services
        .iter()
        .zip(addresses)
        .map(|(service, address)| {
            // What is built in is ours, wherever it listens.
            let safety = match service.target {
                ServiceTarget::Builtin(_) => Arc::default(),
                ServiceTarget::Url(_) => Arc::clone(&plan.safety),
            };
            ServiceEndpoint::new(&service.transport, address, plan.seed, safety)
        })
        .collect()
}

impl Engine {
    /// Waits for all shards to end but those that are `stuck`.
    ///
    /// # Errors
    /// The first shard's that could not run.
    pub fn join(self, stuck: &[usize]) -> io::Result<()> {
        let mut result = Ok(());
        let threads = self.threads.into_iter().enumerate();
        for (_, thread) in threads.filter(|(shard, _)| !stuck.contains(shard)) {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a shard panicked")));
            if result.is_ok() {
                result = ended;
            }
        }
        result
    }
}
