//! Opens connections of users before they are due.
//!
//! `worker` calls it if the scenario has `prewarm`; `users::ahead` says for which users.
//! Invariant: prewarming changes no schedule: no user begins before it is due, and a connection
//! that could not be opened early is opened when it is needed.

use crate::clock::{self, RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::{ArchetypeId, PoolId, ServiceId, WorkloadId};
use crate::pace::Stay;
use crate::plan::backends::BalanceMode;
use crate::plan::policy::PoolStrategy;
use crate::stats::sample::ConnectTimings;
use crate::wire::{CaptureRequest, Outgoing};

/// The part of the time ahead over which the connections of a population are opened, in 256ths: the
/// rest is for connections that take long.
const SPREAD: u64 = 192;

/// Opens the connections of a user of the closed model, then waits until the user is scheduled;
/// returns `false` if the user should no longer start.
pub(crate) async fn await_due(shard: &Shard, user: &mut User, id: WorkloadId, stay: &Stay) -> bool {
    let workload = &shard.plan.workloads[id];
    let (seed, due) = (shard.plan.seed, stay.enter.time(shard.zero(workload)));
    let archetype = workload.share_of(seed, id, stay.number).archetype;
    user.deadline.set_hard_end(due + shard.plan.grace);
    user.set_link(shard.plan.archetypes[archetype].link);
    // Many users may be due at once: their connections are opened one after the other, in an order
    // that a multiplicative hash of their numbers gives.
    let ahead_ns = due.since(clock::now());
    let position = stay.number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    let begin = clock::now().after(ahead_ns / 256 * position * SPREAD / 256);
    let is_over = || shard.is_draining();
    let mut opened = 0;
    if user.deadline.idle_until(begin, is_over).await.is_ok() {
        opened = connect(shard, user, stay.number, archetype, due).await;
    }
    let _ = user.deadline.idle_until(due, is_over).await;
    // A user that is ready may not be admitted, like any other, for as long as it was to stay.
    user.deadline.set_hard_end(stay.leave.time(shard.zero(workload)));
    let is_admitted = || shard.is_draining() || !shard.is_admission_closed(id);
    let _ = user.deadline.idle_until(Time::NEVER, is_admitted).await;
    if shard.is_draining() || shard.is_admission_closed(id) {
        return false;
    }
    shard.recorder.borrow_mut().record_prewarm_used(opened);
    true
}

/// Opens the connections that a task needs for any user of a workload; returns how many.
pub(crate) async fn open_connections(shard: &Shard, user: &mut User, id: WorkloadId) -> u32 {
    let mut opened = 0;
    for share in &shard.plan.workloads[id].shares {
        // A user with an emulated link opens connections over that link itself.
        if shard.plan.archetypes[share.archetype].link.is_none() {
            opened += connect(shard, user, 0, share.archetype, clock::now()).await;
        }
    }
    opened
}

/// Opens the connections of the user of the closed model with this number; returns how many.
pub(crate) async fn open_own_connections(
    shard: &Shard,
    user: &mut User,
    id: WorkloadId,
    number: u64,
) -> u32 {
    let archetype = shard.plan.workloads[id].share_of(shard.plan.seed, id, number).archetype;
    user.set_link(shard.plan.archetypes[archetype].link);
    connect(shard, user, number, archetype, clock::now()).await
}

/// Opens a user's own connections that are not open yet; returns how many.
async fn connect(
    shard: &Shard,
    user: &mut User,
    number: u64,
    archetype: ArchetypeId,
    due: Time,
) -> u32 {
    let intended = RunOffset::of(due, shard.start);
    let mut opened = 0;
    for service in own_services(shard, archetype, number) {
        let timeout = shard.plan.services[service].timeout;
        user.deadline.begin(clock::now() + timeout);
        let link = user.link();
        let outgoing = Outgoing {
            service,
            bytes: &[],
            capture: &CaptureRequest::NOTHING,
            operation: None,
            idempotent: true,
            user: number,
            link: link.as_ref(),
            number,
            intended,
        };
        let slot = &mut user.slots[service];
        let timings: Option<ConnectTimings> =
            shard.wire.prewarm(slot, &outgoing, &user.deadline).await;
        user.deadline.end();
        if let Some(timings) = timings {
            opened += u32::from(timings.open);
            shard.recorder.borrow_mut().record_prewarm(&timings, intended);
        }
    }
    opened
}

/// The services to which users of an archetype have connections of their own.
fn own_services(shard: &Shard, archetype: ArchetypeId, user: u64) -> Vec<ServiceId> {
    let pools = &shard.plan.policies.pools;
    let is_own =
        |pool: Option<PoolId>| pool.is_none_or(|at| pools[at].strategy == PoolStrategy::PerUser);
    let calls = shard.flows[archetype].calls.iter();
    let mut services: Vec<ServiceId> =
        calls.filter(|call| is_own(call.pool)).map(|call| call.call.service).collect();
    services.sort_unstable();
    services.dedup();
    services.iter().flat_map(|service| targets(shard, *service, user)).collect()
}

/// A service, or its backends to which the calls of a user may go.
fn targets(shard: &Shard, service: ServiceId, user: u64) -> Vec<ServiceId> {
    match shard.shared.backends.group(service) {
        None => vec![service],
        Some(group) if *group.balance() == BalanceMode::Sticky => {
            vec![group.service(group.choose((0, user, 0), None, &mut Vec::new()))]
        }
        Some(group) => (0..group.size()).map(|at| group.service(at)).collect(),
    }
}
