//! How many connections the users of a plan have at once, and to which services.
//!
//! `needs` asks it.
//! Invariant: what is said to be sure is: a pool surely needs one connection, for its calls may all
//! be over at once.

use std::collections::BTreeMap;

use crate::plan::flow::{Archetype, Parallel, Step};
use crate::plan::policy::PoolStrategy;
use crate::plan::{Endpoint, Plan};

/// Connections at once.
#[derive(Debug, Default)]
pub(super) struct ConnectionForecast {
    /// In all.
    pub total: u64,
    /// Bytes they take.
    pub bytes: u64,
    /// The most to each service.
    pub to: BTreeMap<usize, u64>,
}

/// Whose connection a call goes over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ConnectionOwner {
    /// One that its user keeps.
    Own,
    /// One that is opened for it.
    Fresh,
    /// One of this pool.
    Pool(usize),
}

/// Those of so many users of each share of each workload, where one to a service takes `bytes_of`.
pub(super) fn connections(
    plan: &Plan,
    users: &[Vec<u64>],
    surely: bool,
    bytes_of: impl Fn(usize) -> u64,
) -> ConnectionForecast {
    let mut found = ConnectionForecast::default();
    let mut pooled: Vec<BTreeMap<usize, u64>> = vec![BTreeMap::new(); plan.policies.pools.len()];
    for (workload, users) in plan.workloads.iter().zip(users) {
        for (share, users) in workload.shares.iter().zip(users) {
            for ((line, service), each) in at_once(plan, &plan.archetypes[share.archetype]) {
                let count = users * each;
                match line {
                    ConnectionOwner::Pool(pool) => {
                        *pooled[pool].entry(service).or_default() += count
                    }
                    // Calls may take no time: nobody surely makes two at once.
                    ConnectionOwner::Fresh if surely => {}
                    ConnectionOwner::Own | ConnectionOwner::Fresh => {
                        found.total += count;
                        found.bytes += count * bytes_of(service);
                        *found.to.entry(service).or_default() += count;
                    }
                }
            }
        }
    }
    for (pool, wanted) in plan.policies.pools.iter().zip(pooled) {
        let most = if surely { 1 } else { pool.max };
        let mut left = wanted.values().sum::<u64>().min(most);
        found.total += left;
        let mut wanted: Vec<(usize, u64)> = wanted.into_iter().collect();
        // Which services have them is not known: each may have them all, the dearest first.
        wanted.sort_by_key(|(service, _)| std::cmp::Reverse(bytes_of(*service)));
        for (service, count) in wanted {
            *found.to.entry(service).or_default() += count.min(most);
            let here = count.min(left);
            found.bytes += here * bytes_of(service);
            left -= here;
        }
    }
    found
}

/// How many calls one user has under way at most at once, by line and service; its own connections
/// are as many, and stay.
fn at_once(plan: &Plan, archetype: &Archetype) -> BTreeMap<(ConnectionOwner, usize), u64> {
    let line_of = |call: usize| {
        let endpoint = Endpoint::from_call(&archetype.calls[call]);
        let pool = plan.policies.pool_of(&endpoint);
        let line = match pool.map(|pool| (pool, plan.policies.pools[pool].strategy)) {
            Some((pool, PoolStrategy::Shared)) => ConnectionOwner::Pool(pool),
            Some((_, PoolStrategy::PerRequest)) => ConnectionOwner::Fresh,
            Some((_, PoolStrategy::PerUser)) | None => ConnectionOwner::Own,
        };
        (line, endpoint.service)
    };
    let mut most: BTreeMap<(ConnectionOwner, usize), u64> = BTreeMap::new();
    for step in &archetype.steps {
        let mut here: BTreeMap<(ConnectionOwner, usize), u64> = BTreeMap::new();
        match step {
            Step::Call(call) => *here.entry(line_of(*call)).or_default() += 1,
            Step::Parallel(parallel) => {
                for branch in &parallel.branches {
                    *here.entry(line_of(branch.call)).or_default() += 1;
                }
            }
            _ => {}
        }
        for (line, count) in here {
            let known = most.entry(line).or_default();
            *known = (*known).max(count.min(Parallel::AT_ONCE as u64));
        }
    }
    most
}
