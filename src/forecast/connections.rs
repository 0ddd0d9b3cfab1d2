//! Forecast of concurrent connections, and of the services they go to.
//!
//! `needs` calls it.
//! Invariant: with `only_certain` the result is a lower bound: a pool certainly needs one
//! connection only, because its calls may never overlap.

use std::collections::BTreeMap;

use crate::ids::{PoolId, ServiceId};
use crate::plan::backends::{Backends, BalanceMode};
use crate::plan::flow::{Archetype, Parallel, Step};
use crate::plan::policy::PoolStrategy;
use crate::plan::stream::{StreamAct, StreamForm};
use crate::plan::transport::HttpVersion;
use crate::plan::{Endpoint, Plan};

/// Additional bytes of a connection that a stream holds: its reader's task, its parser, a listener.
/// Measured: 10,000 event streams take 39 MB more than the program.
const STREAM_BYTES: u64 = 1_700;

/// Concurrent connections.
#[derive(Debug, Default)]
pub(super) struct ConnectionForecast {
    /// Total number.
    pub total: u64,
    /// Those of them that belong to no shared pool.
    pub unpooled: u64,
    /// Memory that they take, bytes.
    pub bytes: u64,
    /// Maximum for each service.
    pub to: BTreeMap<ServiceId, u64>,
}

/// The connection that a call uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ConnectionOwner {
    /// A connection that the user keeps.
    Own,
    /// A connection opened for the call.
    Fresh,
    /// A connection of this pool.
    Pool(PoolId),
    /// The connection of a stream, by its number in the archetype.
    Stream(usize),
    /// A stream on a connection that is another's, too.
    SharingStream(usize),
}

/// Returns the connections of `users` users of each share of each workload, where one connection
/// to a service takes `bytes_of` bytes. `only_certain`: the lower bound instead of the maximum.
pub(super) fn connections(
    plan: &Plan,
    users: &[Vec<u64>],
    only_certain: bool,
    bytes_of: impl Fn(ServiceId) -> u64,
) -> ConnectionForecast {
    let mut forecast = ConnectionForecast::default();
    let mut pooled: Vec<BTreeMap<ServiceId, u64>> =
        vec![BTreeMap::new(); plan.policies.pools.len()];
    for (workload, users) in plan.workloads.iter().zip(users) {
        for (share, users) in workload.shares.iter().zip(users) {
            for ((owner, service), each) in max_concurrent(plan, &plan.archetypes[share.archetype])
            {
                // A user may keep a connection to each backend that its calls go to.
                let backends = if only_certain { 1 } else { backends_of(plan, service) };
                let count = users * each * backends;
                match owner {
                    ConnectionOwner::Pool(pool) => {
                        *pooled[pool.index()].entry(service).or_default() += count;
                    }
                    // Calls may take no time, so it is not certain that two overlap.
                    ConnectionOwner::Fresh if only_certain => {}
                    ConnectionOwner::SharingStream(_) => {
                        forecast.bytes += users * each * STREAM_BYTES;
                    }
                    ConnectionOwner::Own | ConnectionOwner::Fresh | ConnectionOwner::Stream(_) => {
                        let is_stream = matches!(owner, ConnectionOwner::Stream(_));
                        let more = if is_stream { STREAM_BYTES } else { 0 };
                        forecast.total += count;
                        forecast.unpooled += count;
                        forecast.bytes += count * (bytes_of(service) + more);
                        *forecast.to.entry(service).or_default() += count;
                    }
                }
            }
        }
    }
    for (pool, demand) in plan.policies.pools.iter().zip(pooled) {
        let most = if only_certain { 1 } else { pool.max };
        let mut left = demand.values().sum::<u64>().min(most);
        forecast.total += left;
        let mut demand: Vec<(ServiceId, u64)> = demand.into_iter().collect();
        // The pool's split among services is unknown: each may have all of them, the most
        // expensive first.
        demand.sort_by_key(|(service, _)| std::cmp::Reverse(bytes_of(*service)));
        for (service, count) in demand {
            *forecast.to.entry(service).or_default() += count.min(most);
            let in_step = count.min(left);
            forecast.bytes += in_step * bytes_of(service);
            left -= in_step;
        }
    }
    forecast
}

/// To how many backends the calls of one user may go.
fn backends_of(plan: &Plan, service: ServiceId) -> u64 {
    match plan.services[service].backends.as_deref() {
        None | Some(Backends { balance: BalanceMode::Sticky, .. }) => 1,
        Some(backends) => backends.members.len() as u64,
    }
}

/// Whether a stream shares its connection with other streams and calls of its user.
fn shares_connection(plan: &Plan, service: ServiceId, form: StreamForm) -> bool {
    form != StreamForm::WebSocket && plan.services[service].transport.version == HttpVersion::Http2
}

/// Returns the maximum of concurrent calls of one user by owner and service. A user keeps as many
/// own connections.
fn max_concurrent(
    plan: &Plan,
    archetype: &Archetype,
) -> BTreeMap<(ConnectionOwner, ServiceId), u64> {
    let owner_of = |call: usize| {
        let endpoint = Endpoint::from_call(&archetype.calls[call]);
        let pool = plan.policies.pool_of(&endpoint);
        let owner = match pool.map(|pool| (pool, plan.policies.pools[pool].strategy)) {
            Some((pool, PoolStrategy::Shared)) => ConnectionOwner::Pool(pool),
            Some((_, PoolStrategy::PerRequest)) => ConnectionOwner::Fresh,
            Some((_, PoolStrategy::PerUser)) | None => ConnectionOwner::Own,
        };
        (owner, endpoint.service)
    };
    let mut most: BTreeMap<(ConnectionOwner, ServiceId), u64> = BTreeMap::new();
    for step in &archetype.steps {
        let mut in_step: BTreeMap<(ConnectionOwner, ServiceId), u64> = BTreeMap::new();
        match step {
            Step::Call(call) => *in_step.entry(owner_of(*call)).or_default() += 1,
            Step::Stream(call) => {
                let opened = &archetype.calls[*call];
                if let Some(step) = &opened.stream
                    && let StreamAct::Open(open) = &step.act
                {
                    let own = if shares_connection(plan, opened.service, open.form) {
                        *in_step.entry(owner_of(*call)).or_default() += 1;
                        ConnectionOwner::SharingStream(step.stream)
                    } else {
                        ConnectionOwner::Stream(step.stream)
                    };
                    *in_step.entry((own, opened.service)).or_default() += 1;
                }
            }
            Step::Parallel(parallel) => {
                for branch in &parallel.branches {
                    *in_step.entry(owner_of(branch.call)).or_default() += 1;
                }
            }
            _ => {}
        }
        for (owner, count) in in_step {
            let entry = most.entry(owner).or_default();
            *entry = (*entry).max(count.min(Parallel::AT_ONCE as u64));
        }
    }
    most
}
