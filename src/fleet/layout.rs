//! Which shards each agent of a fleet has, and to which of them slots go that it gets later.
//!
//! The coordinator and each agent derive it from the control record.
//! Invariant: both derive the same from the same tables, so nothing of it is exchanged.

use std::collections::{BTreeMap, BTreeSet};

use super::protocol::{Member, SlotTable};
use crate::clock::RunOffset;
use crate::event::Adoption;
use crate::plan::slots::ShardRange;
use crate::stats::{Change, ChangeCause, ChangeSubject, StateChange};

/// The shards of the members that the first table names.
#[derive(Clone, Debug, Default)]
pub struct FleetLayout {
    ranges: BTreeMap<Member, ShardRange>,
}

impl FleetLayout {
    /// The layout of a fleet with this first table and this number of shards per agent: slots go to
    /// members in turn, and shards do.
    pub fn new(first: &SlotTable, shards: u16) -> Self {
        let mut members: Vec<Member> = Vec::new();
        for owner in first.owners.iter().flatten() {
            if members.contains(owner) {
                break;
            }
            members.push(*owner);
        }
        let total = members.len() as u64 * u64::from(shards.max(1));
        let ranges = ShardRange::divide(total, members.len() as u64);
        Self { ranges: members.into_iter().zip(ranges).collect() }
    }

    /// The shards of a member; `None` if the first table gave it no slots.
    pub fn range(&self, member: Member) -> Option<ShardRange> {
        self.ranges.get(&member).copied()
    }

    /// The members with their shards.
    pub fn members(&self) -> impl Iterator<Item = (Member, ShardRange)> {
        self.ranges.iter().map(|(member, range)| (*member, *range))
    }

    /// The slots that change their owner from one table to the next: each new owner deals its own
    /// among its shards, in turn.
    pub fn adoption(&self, former: &SlotTable, table: &SlotTable) -> Adoption {
        let mut dealt: BTreeMap<Member, u64> = BTreeMap::new();
        let pairs = (0u16..).zip(former.owners.iter().zip(table.owners.iter()));
        let slots = pairs.filter_map(|(slot, (before, after))| {
            let owner = after.filter(|_| before != after)?;
            let range = self.range(owner)?;
            let turn = dealt.entry(owner).or_default();
            *turn += 1;
            Some((slot, range.shard_at((*turn - 1) % range.count()) as u16))
        });
        Adoption { slots: slots.collect(), from: table.from }
    }

    /// The members whose last slots went to others from one table to the next, as changes.
    pub fn moves(&self, former: &SlotTable, table: &SlotTable, at: RunOffset) -> Vec<StateChange> {
        let adoption = self.adoption(former, table);
        let owners: BTreeSet<u16> = adoption.slots.iter().map(|(_, owner)| *owner).collect();
        let (shards, after) = (owners.len() as u64, table.counts());
        let before = former.counts();
        let losers = before.keys().filter(|member| !after.contains_key(member));
        let losers = losers.filter_map(|member| self.range(*member));
        losers
            .map(|range| StateChange {
                at,
                subject: ChangeSubject::Agent(range.process),
                change: Change::Redistributed { shards, from: table.from },
                cause: ChangeCause::NoHeartbeat,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{Incarnation, Ordinal};
    use super::*;

    #[test]
    fn slots_of_the_first_table_are_those_of_the_shards_and_moved_ones_are_dealt_in_turn() {
        let member = |ordinal| Member { ordinal: Ordinal(ordinal), incarnation: Incarnation(9) };
        let all = [member(0), member(1), member(3)];
        let first = SlotTable::first(1, 4_096, &all);
        let layout = FleetLayout::new(&first, 2);
        for (slot, owner) in first.owners.iter().enumerate() {
            assert!(layout.range(owner.unwrap()).unwrap().owns(slot as u64));
        }
        assert_eq!(layout.range(member(2)), None);
        let owners = first.without(|one| one == member(1), &[member(0), member(3)]);
        let from = RunOffset::from_ns(7);
        let adoption = layout.adoption(&first, &SlotTable { epoch: 2, previous: 1, from, owners });
        assert_eq!((adoption.from, adoption.slots.len()), (from, 1_365));
        // Shards 0 and 3 of the first member, 2 and 5 of the last one.
        let first_slots: Vec<_> = adoption.slots[..5].to_vec();
        assert_eq!(first_slots, [(1, 0), (4, 2), (7, 3), (10, 5), (13, 0)]);
    }
}
