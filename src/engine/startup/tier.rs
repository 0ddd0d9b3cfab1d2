//! How big an engine does a plan need? A named tier, a number of shards, and the reason.
//!
//! `run` chooses it before it starts shards; it is in every report.
//! Invariant: the tier decides how the work is spread, never what the work is.

use crate::plan::Plan;
use crate::plan::slots::SLOTS;
use crate::units::counted;

/// Starts per second that one shard makes easily; more call for another.
const RATE_PER_SHARD: f64 = 20_000.0;

/// The size of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineTier {
    /// `micro` (to 50 users), `small` (500), `medium` (2,000), `large` (5,000), `xlarge`.
    pub name: &'static str,
    /// Shards to run.
    pub shards: usize,
    /// Why.
    pub reason: String,
}

/// Chooses the tier by users and the number of shards by cores and need. `asked` overrides; no
/// shard is left without a connection of some shared pool.
pub fn choose(plan: &Plan, cores: usize, asked: Option<usize>) -> EngineTier {
    let mut tier = by_need(plan, cores, asked);
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
        return EngineTier { name, shards, reason: format!("set by --shards {shards}") };
    }
    let rate: f64 = plan
        .workloads
        .iter()
        .filter_map(crate::plan::load::Workload::peak_rate)
        .map(crate::units::Rate::as_f64)
        .sum();
    let by_rate = (rate / RATE_PER_SHARD).ceil() as usize;
    let wanted = wanted.max(by_rate);
    let local = plan.has_local_target();
    let room = if local { (cores / 2).max(1) } else { cores };
    let shards = wanted.min(room).max(1);
    let limit = match (shards < wanted, local) {
        (true, true) => format!("half of {cores} cores, since the target is on this machine"),
        (true, false) => format!("limited to {}", counted(cores as u64, "core")),
        (false, _) => "more shards would not help".to_owned(),
    };
    EngineTier { name, shards, reason: format!("up to {}; {limit}", counted(users, "user")) }
}
