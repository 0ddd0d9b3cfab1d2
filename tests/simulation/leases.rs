//! Shards that begin load only under a lease, as those of an agent of a fleet.

use std::sync::Arc;

use manada::clock::{self, RunOffset, Time};
use manada::engine::{self, Variables};
use manada::event::{Adoption, DELTA_QUEUE, DeltaSource, LoadLease, ShardCommand};
use manada::plan::slots::{SLOTS, ShardRange};
use manada::plan::{Address, Plan};
use manada::wire::Wire;
use manada::wire::fake::FakeTarget;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::script::ns;

/// A time without a lease.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lapse {
    /// The index of the shard.
    shard: usize,
    /// When its lease ends, and when it gets the next one.
    from: String,
    to: String,
    /// From when on all other shards have its slots, if they move. The others learn of it half a
    /// second before, the shard itself with its next lease.
    #[serde(default)]
    moved: Option<String>,
}

/// Starts a shard for each of `shards`, and tells each of leases and slots as a fleet does.
pub fn start(
    plan: &Arc<Plan>,
    (addresses, globals): (&[Address], &Variables),
    target: &FakeTarget,
    start: Time,
    (shards, lapses): (usize, &[Lapse]),
) -> DeltaSource {
    let (deltas, delta_receiver) = mpsc::channel(DELTA_QUEUE);
    let mut commands = Vec::new();
    for (shard, range) in ShardRange::divide(shards as u64, shards as u64).into_iter().enumerate() {
        let (mut setups, own) = engine::set_up(plan, addresses.to_vec(), range, start, globals);
        let mut setup = setups.remove(0);
        (setup.is_leased, setup.deltas) = (true, deltas.clone());
        commands.extend(own.commands);
        let wire = Wire::fake(target.clone());
        tokio::task::spawn_local(async move { engine::shard_loop::run(setup, wire).await });
        let own = lapses.iter().find(|lapse| lapse.shard == shard);
        let ends = own.map_or(Time::NEVER, |lapse| start.after(ns(&lapse.from)));
        let first = lease(RunOffset::ZERO, ends);
        commands[shard].try_send(ShardCommand::Lease(first)).unwrap();
    }
    for lapse in lapses {
        let (lapse, commands) = (lapse.clone(), commands.clone());
        tokio::task::spawn_local(async move {
            let moved = lapse.moved.as_ref().map(|at| ns(at));
            if let Some(from) = moved {
                clock::sleep_until(start.after(from - 500_000_000)).await;
                let others: Vec<u16> = (0..shards)
                    .filter(|other| *other != lapse.shard)
                    .map(|one| one as u16)
                    .collect();
                let own = (0..SLOTS).filter(|slot| *slot as usize % shards == lapse.shard);
                let slots =
                    own.zip(others.iter().cycle()).map(|(slot, owner)| (slot as u16, *owner));
                let adoption = Adoption { from: RunOffset::from_ns(from), slots: slots.collect() };
                for other in others {
                    let adopt = ShardCommand::Adopt(adoption.clone());
                    commands[other as usize].try_send(adopt).unwrap();
                }
            }
            clock::sleep_until(start.after(ns(&lapse.to))).await;
            if let Some(from) = moved {
                let release = ShardCommand::Release(RunOffset::from_ns(from));
                commands[lapse.shard].try_send(release).unwrap();
            }
            let next = lease(RunOffset::from_ns(ns(&lapse.to)), Time::NEVER);
            drop(commands[lapse.shard].try_send(ShardCommand::Lease(next)));
        });
    }
    DeltaSource::new(delta_receiver, None, commands, shards)
}

fn lease(since: RunOffset, until: Time) -> LoadLease {
    LoadLease { since, horizon: RunOffset::NEVER, end: RunOffset::NEVER, until }
}
