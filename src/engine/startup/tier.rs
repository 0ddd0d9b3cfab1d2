//! How big an engine does a plan need? A named tier, the numbers of shards and processes, and the
//! reason.
//!
//! `run` chooses it before it starts shards; it is in every report.
//! Invariant: the tier decides how the work is spread, never what the work is.

use crate::forecast;
use crate::plan::ceilings::Ceiling;
use crate::plan::slots::SLOTS;
use crate::plan::{Load, Plan, Share};
use crate::units::{counted, show_count};

/// Starts per second that one shard makes easily; more call for another.
const RATE_PER_SHARD: f64 = 20_000.0;

/// The size of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineTier {
    /// `micro` (to 50 users), `small` (500), `medium` (2,000), `large` (5,000), `xlarge`.
    pub name: &'static str,
    /// Shards to run.
    pub shards: usize,
    /// Processes to run them in: one is this process, several are its workers.
    pub processes: usize,
    /// Why.
    pub reason: String,
}

impl EngineTier {
    /// The size on this number of agents, with `shards` each.
    #[must_use]
    pub fn on_agents(self, agents: usize, shards: usize) -> Self {
        let reason = format!(
            "{} with {} each, set by --agents",
            counted(agents as u64, "agent"),
            counted(shards as u64, "shard")
        );
        Self { shards: agents * shards, processes: agents, reason, ..self }
    }
}

/// What the command line sets of the engine's size; `None`: by need.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineSize {
    /// Shards.
    pub shards: Option<usize>,
    /// Processes.
    pub processes: Option<usize>,
}

/// Most processes that are started without `--processes`.
const MOST_BY_NEED: usize = 32;

/// Open files of a process that are left for what a forecast does not know.
const SPARE_DESCRIPTORS: u64 = 256;

/// Chooses the tier by users, the number of shards by cores and need, and the number of processes
/// by the open files that one may have (`None`: any number). `asked` overrides; no shard is left
/// without a connection of some shared pool, no process without a user of some workload.
pub fn choose(
    plan: &Plan,
    cores: usize,
    descriptors: Option<u64>,
    asked: EngineSize,
) -> EngineTier {
    let mut tier = by_need(plan, cores, asked.shards);
    let needed = forecast::certain_needs(plan).descriptors;
    let by_descriptors = descriptors.filter(|most| needed > *most).map(|most| {
        let each = most.saturating_sub(SPARE_DESCRIPTORS).max(1);
        (needed.div_ceil(each) as usize, most)
    });
    match (asked.processes, by_descriptors) {
        (Some(1), _) => {}
        (Some(processes), _) => {
            tier.processes = processes.max(1);
            let of = counted(tier.processes as u64, "worker");
            tier.reason = format!("{}; {of}, set by --processes", tier.reason);
        }
        (None, Some((processes, most)))
            if processes <= MOST_BY_NEED && single_process(plan).is_none() =>
        {
            tier.processes = processes;
            tier.reason = format!(
                "{}; {}, since {} open files are needed and a process may have {}",
                tier.reason,
                counted(processes as u64, "worker"),
                show_count(needed),
                show_count(most)
            );
        }
        (None, _) => {}
    }
    if let Some(most) = least_limit(plan)
        && tier.processes as u64 > most
    {
        tier.processes = most.max(1) as usize;
        tier.reason = format!(
            "{}; at most {}, since each needs a user and a connection of its own",
            tier.reason,
            counted(tier.processes as u64, "worker")
        );
    }
    if let Some(limit) = &plan.safety.ceilings.cores
        && tier.shards.max(tier.processes) as u64 > limit.most
    {
        let most = usize::try_from(limit.most).unwrap_or(usize::MAX);
        (tier.shards, tier.processes) = (tier.shards.min(most), tier.processes.min(most));
        let most = counted(limit.most, "core");
        tier.reason = format!("{}; {} allows {most}", tier.reason, limit.origin);
    }
    tier.shards = tier.shards.max(tier.processes);
    if let Some(pool) = plan.policies.smallest_pool()
        && (tier.shards as u64) > pool.connections
    {
        tier.shards = pool.connections.max(1) as usize;
        tier.reason = format!(
            "{}; at most one per connection of the pool `{}` ({})",
            tier.reason, pool.name, pool.connections
        );
    }
    tier
}

/// The cores that the rates of a plan need, if its `max_cores` is lower.
pub fn missing_cores(plan: &Plan) -> Option<(u64, &Ceiling)> {
    let limit = plan.safety.ceilings.cores.as_ref()?;
    let needed = cores_by_rate(plan) as u64;
    (needed > limit.most).then_some((needed, limit))
}

/// The cores that the rates of a plan need.
fn cores_by_rate(plan: &Plan) -> usize {
    let rates = plan.workloads.iter().filter_map(crate::plan::load::Workload::peak_rate);
    let rate: f64 = rates.map(crate::units::Rate::as_f64).sum();
    (rate / RATE_PER_SHARD).ceil() as usize
}

/// Why a plan can only run in one process; `None` if it can run in several.
pub fn single_process(plan: &Plan) -> Option<&'static str> {
    let mut workloads = plan.workloads.iter().flat_map(|workload| &workload.shares);
    let mut kinds = workloads.clone().map(|share| &plan.archetypes[share.archetype]);
    if kinds.any(|kind| kind.rendezvous > 0) {
        return Some("users of a `rendezvous` wait for each other within one process");
    }
    let stamps = |share: &Share| {
        plan.archetypes[share.archetype].calls.iter().any(|call| call.stamp.is_some())
    };
    workloads
        .any(stamps)
        .then_some("the delivery of stamped messages is counted within one process")
}

/// The smallest limit that processes divide among themselves: users of an open workload, or
/// connections of a pool.
fn least_limit(plan: &Plan) -> Option<u64> {
    let users = plan.workloads.iter().filter_map(|workload| match &workload.load {
        Load::Open(arrivals) => Some(arrivals.max_users),
        Load::Closed(_) => None,
    });
    users.chain(plan.policies.smallest_pool().map(|pool| pool.connections)).min()
}

fn by_need(plan: &Plan, cores: usize, asked: Option<usize>) -> EngineTier {
    let users = plan.peak_users();
    let (name, wanted) = match users {
        0..=50 => ("micro", 1),
        51..=500 => ("small", 2),
        501..=2_000 => ("medium", 4),
        2_001..=5_000 => ("large", 16),
        _ => ("xlarge", usize::MAX),
    };
    if let Some(shards) = asked {
        let shards = shards.clamp(1, SLOTS as usize);
        let reason = format!("set by --shards {shards}");
        return EngineTier { name, shards, processes: 1, reason };
    }
    let wanted = wanted.max(cores_by_rate(plan));
    let local = plan.has_local_target();
    let room = if local { (cores / 2).max(1) } else { cores };
    let shards = wanted.min(room).max(1);
    let limit = match (shards < wanted, local) {
        (true, true) => format!("half of {cores} cores, since the target is on this machine"),
        (true, false) => format!("limited to {}", counted(cores as u64, "core")),
        (false, _) => "more shards would not help".to_owned(),
    };
    let reason = format!("up to {}; {limit}", counted(users, "user"));
    EngineTier { name, shards, processes: 1, reason }
}
