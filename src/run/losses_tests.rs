//! Whose slots are whose when workers are lost one after the other.

use std::sync::Arc;

use super::*;
use crate::scenario::{self, ScenarioOverrides};

const S: u64 = 1_000_000_000;

fn plan() -> Arc<Plan> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.yaml");
    let text = "services: { it: builtin }\n\
                workloads: { w: { flow: [ { get: / } ], users: 1, duration: 9s } }\n";
    std::fs::write(&file, text).unwrap();
    Arc::new(
        scenario::load(&file, &ScenarioOverrides::default()).unwrap_or_else(|e| panic!("{e}")).0,
    )
}

/// The loss of one of four workers with two shards each.
fn loss(worker: usize) -> WorkerLoss {
    let range = ShardRange::divide(8, 4)[worker];
    WorkerLoss { worker, range, why: "killed".to_owned(), is_agent: false }
}

/// Loses a worker, noticed at `ns`.
fn lose(losses: &mut Losses<'_>, loss: &WorkerLoss, ns: u64) -> Option<Adoption> {
    let now = RunOffset::from_ns(ns);
    let adoption = losses.redistribute(loss, now);
    let loads = losses.plan.workloads.iter();
    let curves: Vec<Curve> = loads.map(|workload| workload.load.curve().clone()).collect();
    let outcome = losses.lose(loss, (now, None), adoption.as_ref(), &curves);
    assert!(matches!(outcome.changes[0].change, Change::WorkerLost { .. }));
    assert_eq!(outcome.changes.len() == 2, adoption.is_some());
    adoption
}

/// How many slots each owner gets.
fn shares(adoption: &Adoption) -> Vec<(u16, usize)> {
    let owners: BTreeSet<u16> = adoption.slots.iter().map(|(_, owner)| *owner).collect();
    let count = |owner| adoption.slots.iter().filter(|(_, other)| *other == owner).count();
    owners.into_iter().map(|owner| (owner, count(owner))).collect()
}

#[test]
fn slots_move_evenly_and_again_with_those_that_had_adopted_them() {
    let plan = plan();
    let mut losses = Losses::new(&plan, Time(0), 8, LossPolicy::Redistribute);
    let first = lose(&mut losses, &loss(0), S).unwrap();
    assert_eq!(first.from, RunOffset::from_ns(S + ADOPTION_LEAD_NS));
    // Shards 0 and 4 had 512 slots each.
    let sixth = [171, 171, 171, 171, 170, 170];
    assert_eq!(shares(&first), [1, 2, 3, 5, 6, 7].into_iter().zip(sixth).collect::<Vec<_>>());
    assert!(first.slots.iter().all(|(slot, _)| slot % 4 == 0));
    assert!(losses.is_vacant(0) && losses.is_vacant(4) && !losses.is_vacant(2));

    // A shard that has ended gets nothing.
    let mut ended = Delta::new(&plan.series_layout(), 7);
    ended.last = true;
    losses.absorb(&ended);
    // The next loss is noticed before the first slots have moved: its own and the adopted ones.
    let second = lose(&mut losses, &loss(1), S + 1).unwrap();
    assert_eq!(second.from, RunOffset::from_ns(S + 1 + ADOPTION_LEAD_NS));
    let moved = 2 * 512 + 2 * 171;
    assert_eq!(moved % 3, 1);
    let third = [moved / 3 + 1, moved / 3, moved / 3];
    assert_eq!(shares(&second), [2, 3, 6].into_iter().zip(third).collect::<Vec<_>>());
    let adopted: BTreeSet<u16> = second.slots.iter().map(|(slot, _)| *slot).collect();
    assert_eq!(adopted.len(), moved);
    // A clock that stood still: the slots move no earlier than those before.
    let third = lose(&mut losses, &loss(2), 0).unwrap();
    assert_eq!(third.from, second.from);
    // The last deltas come once the slots have moved.
    let before = losses.take(RunOffset::from_ns(S + ADOPTION_LEAD_NS - 1));
    assert!(before.iter().all(|delta| !delta.last) && before.len() == 6);
    assert!(losses.take(RunOffset::from_ns(2 * S)).iter().all(|delta| delta.last));
    assert!(losses.take(RunOffset::from_ns(3 * S)).is_empty());
}

#[test]
fn slots_stay_if_nothing_could_be_served() {
    let plan = plan();
    let moves = |policy, loss: &WorkerLoss, ns| {
        lose(&mut Losses::new(&plan, Time(0), 8, policy), loss, ns).is_some()
    };
    let one = loss(0);
    assert!(moves(LossPolicy::Redistribute, &one, S));
    assert!(!moves(LossPolicy::Continue, &one, S));
    assert!(!moves(LossPolicy::Abort, &one, S));
    let all = WorkerLoss { range: ShardRange::whole(8), ..loss(0) };
    assert!(!moves(LossPolicy::Redistribute, &all, S), "no shard is left");
    assert!(!moves(LossPolicy::Redistribute, &one, 9 * S - ADOPTION_LEAD_NS), "at the end");
}
