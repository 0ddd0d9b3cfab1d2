//! The ceilings of a run: read from `safety:`, and applied to the connections of a plan.
//!
//! `safety` calls it.
//! Invariant: where users could open more connections than allowed, they share those that are
//! allowed; a plan whose own pools or streams need more is a mistake.

use crate::forecast::needs;
use crate::plan::Plan;
use crate::plan::ceilings::{Ceiling, Ceilings, POOL};
use crate::plan::policy::{PoolPolicy, PoolStrategy};
use crate::plan::{EndpointPattern, Workload};
use crate::scenario::client::degradation::MIN_BUDGET;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::values::{self, report_wrong};
use crate::units::show_count;

/// The smallest limit of files, bytes: less than a report takes.
const MIN_DISK: u64 = 1 << 20;

/// Reads the ceilings of a `safety:` map with its origin.
pub(crate) fn read(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    origin: &str,
) -> Ceilings {
    let mut size = |diagnostics: &mut Diagnostics, name, least, expected: &str| {
        let node = fields.take(name)?;
        match values::size(diagnostics, node)? {
            bytes if bytes < least => report_wrong(diagnostics, node, expected),
            bytes => Some(Ceiling::new(bytes, origin)),
        }
    };
    let memory = size(
        diagnostics,
        "max_memory",
        MIN_BUDGET,
        "at least 16MiB, since the program itself needs most of that",
    );
    let disk =
        size(diagnostics, "max_disk", MIN_DISK, "at least 1MiB, since a report takes some of that");
    let mut count = |name| {
        let most: Option<u64> = fields.value(diagnostics, name);
        most.map(|most| Ceiling::new(most, origin))
    };
    Ceilings { memory, cores: count("max_cores"), disk, connections: count("max_connections") }
}

/// Reports ceilings of the command line that are too low; `flag` is the option of each.
pub(crate) fn check_flags(diagnostics: &mut Diagnostics, ceilings: &Ceilings) {
    for (one, least, expected) in [
        (&ceilings.memory, MIN_BUDGET, "at least 16MiB"),
        (&ceilings.disk, MIN_DISK, "at least 1MiB"),
    ] {
        if let Some(one) = one.as_ref().filter(|one| one.most < least) {
            diagnostics.global_mistake(one.origin.clone(), "too low").expected(expected);
        }
    }
}

/// The connections that a plan may have open at once without a ceiling.
fn most_connections(plan: &Plan) -> u64 {
    let users: Vec<u64> = plan.workloads.iter().map(Workload::peak_users).collect();
    let connections = needs::needs(plan, &users).connections;
    // Each call may have a second attempt beside it.
    if plan.policies.hedging.is_some() { connections * 2 } else { connections }
}

/// Keeps `max_connections`: if the plan could open more, its users share them in pools.
pub(crate) fn limit_connections(diagnostics: &mut Diagnostics, label: &str, plan: &mut Plan) {
    let Some(Ceiling { most, origin }) = plan.safety.ceilings.connections.clone() else { return };
    let needed = most_connections(plan);
    if needed <= most {
        return;
    }
    let allows = format!("{origin} allows {}", show_count(most));
    let help = "lower the load, or raise `max_connections` there";
    if let Some(own) = plan.archetypes.iter().find(|own| own.link.is_some()) {
        let name = &own.name;
        let message = format!(
            "{} connections at the peak: {allows}, and users of `{name}` share none, since they \
             have an emulated link",
            show_count(needed)
        );
        diagnostics.global_mistake(label, message).help(help);
        return;
    }
    let shared = plan.policies.pools.iter().filter(|pool| pool.strategy == PoolStrategy::Shared);
    let given: u64 = shared.map(|pool| pool.max).sum();
    let new = share_connections(plan);
    // What no pool holds: streams.
    let streams = needs::fixed_connections(plan);
    let rest = most.saturating_sub(given + streams);
    if rest < new.len() as u64 || (new.is_empty() && given + streams > most) {
        let held = match (given, streams) {
            (given, 0) => format!("the pools have {}", show_count(given)),
            (0, streams) => format!("streams hold {}", show_count(streams)),
            (given, streams) => format!(
                "the pools have {}, streams hold {}",
                show_count(given),
                show_count(streams)
            ),
        };
        let message = format!("too many connections: {held}, {allows}");
        diagnostics.global_mistake(label, message).help(help);
        return;
    }
    let count = new.len() as u64;
    for (number, at) in new.into_iter().enumerate() {
        let own = rest / count + u64::from((number as u64) < rest % count);
        let pool = &mut plan.policies.pools[at];
        (pool.connections, pool.min, pool.max) = (own, pool.min.min(own), own);
    }
}

/// Makes all calls share connections: pools of users and of single requests become shared ones, and
/// calls without a pool get one. Returns the places of these pools.
fn share_connections(plan: &mut Plan) -> Vec<usize> {
    let pools = &mut plan.policies.pools;
    let mut new = Vec::new();
    for (at, pool) in pools.iter_mut().enumerate() {
        match pool.strategy {
            PoolStrategy::Shared => continue,
            PoolStrategy::PerUser => {}
            PoolStrategy::PerRequest => pool.max_requests = Some(1),
        }
        pool.strategy = PoolStrategy::Shared;
        new.push(at);
    }
    if let Some(all) = EndpointPattern::parse("*")
        && !pools.iter().any(|pool| pool.patterns.contains(&all))
    {
        new.push(pools.len());
        pools.push(PoolPolicy::shared(POOL, vec![all], 1));
    }
    new
}
