//! What a shard does when its lease is renewed, and when others have its slots.
//!
//! `shard_loop` hands it the commands of an agent.
//! Invariant: the time between two leases is counted once, as time in which users were due and did
//! nothing, up to the moment from which others have the slots.

use std::rc::Rc;

use crate::clock::RunOffset;
use crate::engine::shard::Shard;
use crate::event::LoadLease;
use crate::ids::WorkloadId;
use crate::plan::{Load, LoadBound};
use crate::stats::{Change, ChangeCause, ChangeSubject, StateChange};

/// Takes a lease.
pub(crate) fn grant(shard: &Rc<Shard>, lease: &LoadLease) {
    let former = shard.lease.grant(*lease);
    // Users go on where they were: what was left of a pace or a think follows now. So what became
    // due meanwhile does not follow all at once.
    let Some(former) = former else { return };
    let since = lease.since.time(shard.start);
    if since <= former.until {
        return;
    }
    shard
        .user_meters
        .iter()
        .for_each(|meter| meter.count_without_lease(&shard.recorder, former.until));
    let range = shard.shared.range;
    if shard.segment.shard == range.process {
        // One notice for all shards of the process.
        shard.recorder.borrow_mut().push_change(StateChange {
            at: lease.since,
            subject: ChangeSubject::Agent(range.process),
            change: Change::NoLease { since: RunOffset::of(former.until, shard.start) },
            cause: ChangeCause::NoHeartbeat,
        });
    }
    for (id, workload) in WorkloadId::number(&shard.plan.workloads) {
        if matches!(workload.load, Load::Closed(_)) {
            shard.schedules[id].suspend(former.until, since);
        }
    }
}

/// What is due from `from` on belongs to other shards, for good. Users of workloads that a count
/// ends stay: their slots do not move.
pub(crate) fn release(shard: &Rc<Shard>, from: RunOffset) {
    let from = shard.lease.release(from);
    for (id, workload) in WorkloadId::number(&shard.plan.workloads) {
        let live = &shard.schedules[id];
        match &workload.load {
            Load::Open(_) => live.slots_changed(),
            Load::Closed(users) if users.bound == LoadBound::Time => {
                let changed = live.curve_override();
                let curve = changed.as_ref().map_or(&users.curve, |(curve, _)| &**curve);
                shard.user_meters[id].release(from, curve);
                live.release(from.time(shard.start));
            }
            Load::Closed(_) => {}
        }
    }
}
