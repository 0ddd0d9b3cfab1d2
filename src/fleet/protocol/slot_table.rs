//! Which member owns which slot, from which time of the schedule on.
//!
//! The coordinator makes tables; agents look up each arrival in them.
//! Invariant: the owner of an arrival follows from its number and its intended time alone: it is
//! that of the latest table whose time is not later.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::member::Member;
use crate::clock::RunOffset;

/// The most tables of a control record: the first, and the latest ones. Those between concern
/// arrivals that are long due.
pub const MAX_TABLES: usize = 8;

/// The owners of all slots from a time of the schedule on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotTable {
    /// Rises with each table that was ever made, also if it did not come into force: two tables
    /// never share it.
    pub epoch: u64,
    /// The epoch of the table before; zero if there is none.
    pub previous: u64,
    /// Arrivals intended from here on, until the next table.
    pub from: RunOffset,
    /// The owner of each slot; `None` if its arrivals are not sent.
    pub owners: Arc<[Option<Member>]>,
}

impl SlotTable {
    /// The first table: slots in turn to each member, so any prefix of the numbers is even.
    pub fn first(epoch: u64, slots: usize, members: &[Member]) -> Self {
        let owner = |slot: usize| (!members.is_empty()).then(|| members[slot % members.len()]);
        let owners = (0..slots).map(owner).collect();
        Self { epoch, previous: 0, from: RunOffset::ZERO, owners }
    }

    /// The owner of a slot.
    pub fn owner(&self, slot: usize) -> Option<Member> {
        self.owners.get(slot).copied().flatten()
    }

    /// Returns the owners after slots of `lost` members, and those without an owner, have gone to
    /// `heirs` in turn; without heirs they have no owner.
    pub fn without(
        &self,
        lost: impl Fn(Member) -> bool,
        heirs: &[Member],
    ) -> Arc<[Option<Member>]> {
        let mut turn = 0;
        let owner = |owner: &Option<Member>| {
            if owner.is_some_and(|owner| !lost(owner)) {
                return *owner;
            }
            turn += 1;
            (!heirs.is_empty()).then(|| heirs[(turn - 1) % heirs.len()])
        };
        self.owners.iter().map(owner).collect()
    }

    /// Returns the table that takes the place of this one and of `other`, of which only one is in
    /// force, and it is unknown which: slots that they give to different owners have none.
    #[must_use]
    pub fn without_contested(&self, epoch: u64, other: &Self) -> Self {
        let pairs = self.owners.iter().zip(other.owners.iter());
        let owners = pairs.map(|(own, other)| own.filter(|_| own == other)).collect();
        Self { epoch, previous: self.epoch, from: other.from, owners }
    }

    /// Returns the owners after each returning member has got the slots back that the first table
    /// gave to its ordinal.
    pub fn with_returned(&self, home: &Self, returning: &[Member]) -> Arc<[Option<Member>]> {
        let back = |slot: usize| {
            let home = home.owner(slot)?;
            returning.iter().find(|member| member.ordinal == home.ordinal).copied()
        };
        (0..self.owners.len()).map(|slot| back(slot).or(self.owner(slot))).collect()
    }

    /// The number of slots of each owner.
    pub fn counts(&self) -> BTreeMap<Member, usize> {
        let mut counts = BTreeMap::new();
        for owner in self.owners.iter().flatten() {
            *counts.entry(*owner).or_default() += 1;
        }
        counts
    }
}

/// The tables that an agent has read.
#[derive(Clone, Debug, Default)]
pub struct TableHistory {
    tables: Vec<SlotTable>,
}

impl TableHistory {
    /// Takes the tables of a control record. `certain` is the horizon of the agent until now: a
    /// table that it has not read can only concern its arrivals from there on. So where tables are
    /// missing, it owns nothing from there to the next that is known.
    pub fn adopt(&mut self, tables: &[SlotTable], certain: RunOffset) {
        for table in tables {
            let last = self.tables.last();
            if last.is_some_and(|last| table.epoch <= last.epoch) {
                continue;
            }
            if let Some(known) = last.filter(|last| table.previous != last.epoch) {
                let unknown = SlotTable {
                    epoch: table.epoch - 1,
                    previous: known.epoch,
                    from: known.from.max(certain),
                    owners: known.owners.iter().map(|_| None).collect(),
                };
                self.tables.push(unknown);
            }
            self.tables.push(table.clone());
        }
        let surplus = self.tables.len().saturating_sub(2 * MAX_TABLES);
        self.tables.drain(..surplus);
    }

    /// The owner of an arrival.
    pub fn owner(&self, slot: usize, intended: RunOffset) -> Option<Member> {
        let table = self.tables.iter().rev().find(|table| table.from <= intended)?;
        table.owner(slot)
    }

    /// The tables, by epoch.
    pub fn all(&self) -> &[SlotTable] {
        &self.tables
    }

    /// The epoch of the latest table; zero if there is none.
    pub fn epoch(&self) -> u64 {
        self.tables.last().map_or(0, |table| table.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::member::{Incarnation, Ordinal};
    use super::*;

    fn member(ordinal: u16, incarnation: u64) -> Member {
        Member { ordinal: Ordinal(ordinal), incarnation: Incarnation(incarnation) }
    }

    #[test]
    fn only_slots_of_lost_members_move_and_come_back() {
        let all = [member(0, 1), member(1, 1), member(2, 1)];
        let first = SlotTable::first(1, 12, &all);
        assert_eq!(first.counts().values().copied().collect::<Vec<_>>(), [4, 4, 4]);
        let owners = first.without(|owner| owner == all[1], &[all[0], all[2]]);
        let second = SlotTable { epoch: 2, previous: 1, from: RunOffset::from_ns(100), owners };
        assert_eq!(second.counts().values().copied().collect::<Vec<_>>(), [6, 6]);
        for slot in 0..12 {
            let stays = first.owner(slot) != Some(all[1]);
            assert_eq!(stays, first.owner(slot) == second.owner(slot));
        }
        let back = member(1, 2);
        let owners = second.with_returned(&first, &[back]);
        for (slot, owner) in owners.iter().enumerate() {
            let expected = first.owner(slot).map(|owner| owner.ordinal);
            assert_eq!(owner.map(|owner| owner.ordinal), expected);
        }
    }

    #[test]
    fn arrivals_that_missing_tables_may_concern_have_no_owner() {
        let (a, b) = (member(0, 1), member(1, 1));
        let table = |epoch, from, owner| SlotTable {
            epoch,
            previous: epoch - 1,
            from: RunOffset::from_ns(from),
            owners: Arc::from([Some(owner)]),
        };
        let mut history = TableHistory::default();
        history.adopt(&[table(1, 0, a)], RunOffset::ZERO);
        history.adopt(&[table(1, 0, b), table(3, 90, b)], RunOffset::from_ns(50));
        let owner = |at| history.owner(0, RunOffset::from_ns(at));
        assert_eq!([owner(49), owner(50), owner(89), owner(90)], [Some(a), None, None, Some(b)]);
        assert_eq!(history.epoch(), 3);
    }
}
