//! Slots of lost shards that a shard adopts: what is due of them from a time on is its own.
//!
//! `shard_loop` hands it the command; starters and meters serve the slots.
//! Invariant: each start and each user that is due in adopted slots is counted once, also if the
//! shard learns of them late.

use std::rc::Rc;

use crate::engine::shard::Shard;
use crate::engine::starter;
use crate::ids::WorkloadId;
use crate::pace::Schedule;
use crate::plan::slots::{OwnedSlots, SlotSet};
use crate::plan::{Arrivals, Load, LoadBound};

/// Adopts slots. Workloads that a count ends keep the users that they have.
pub(crate) fn adopt(shard: &Rc<Shard>, owned: &OwnedSlots) {
    shard.shared.adopt(&shard.plan, &owned.slots);
    shard.adopted.borrow_mut().push(owned.clone());
    for (id, workload) in WorkloadId::number(&shard.plan.workloads) {
        let live = &shard.schedules[id];
        match &workload.load {
            Load::Open(arrivals) if live.has_ended() => {
                count_unserved(shard, id, arrivals, owned);
            }
            Load::Open(_) => live.slots_changed(),
            Load::Closed(users) if users.bound == LoadBound::Time => {
                let changed = live.curve_override();
                let curve = changed.as_ref().map_or(&users.curve, |(curve, _)| &**curve);
                shard.user_meters[id].adopt(owned, curve, &shard.recorder);
                if !live.has_ended() {
                    admit_users(shard, id, owned.clone());
                }
            }
            Load::Closed(_) => {}
        }
    }
}

/// Begins a starter for the users in adopted slots.
fn admit_users(shard: &Rc<Shard>, id: WorkloadId, owned: OwnedSlots) {
    shard.lifecycle.starter_began();
    let shard = Rc::clone(shard);
    tokio::task::spawn_local(async move {
        let _guard = shard.lifecycle.panic_guard();
        starter::run_adopted(&shard, id, &owned).await;
        shard.lifecycle.starter_ended();
    });
}

/// Counts the starts in adopted slots of a workload whose load is over on this shard.
fn count_unserved(shard: &Shard, id: WorkloadId, arrivals: &Arrivals, owned: &OwnedSlots) {
    let (workload, seed) = (&shard.plan.workloads[id], shard.plan.seed);
    let none = SlotSet::from_iter([]);
    let mut schedule = Schedule::new(arrivals, id, workload.slot_offset, seed, none);
    if let Some((curve, _)) = shard.schedules[id].curve_override() {
        schedule.replace_curve(Rc::unwrap_or_clone(curve));
    }
    schedule.adopt(owned.slots.clone(), owned.from.in_workload(workload.zero()));
    let mut recorder = shard.recorder.borrow_mut();
    for start in schedule {
        recorder.record_unserved(id, start.due.in_run(workload.zero()));
    }
}
