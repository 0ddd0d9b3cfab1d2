//! Slots: they assign the numbers of users and iterations of a run to shards, and shards to
//! processes.
//!
//! `pace` checks each user and arrival; `fleet` gives each process its shards, `run` moves slots of
//! a lost one. Source: fixed hash slots as in Redis Cluster.
//! Invariant: every number has exactly one owner, whatever the number of shards and processes.

use std::fmt;
use std::sync::Arc;

use crate::clock::RunOffset;

/// The number of slots, and the maximum number of shards.
pub const SLOTS: u64 = 4_096;

/// The part of all numbers that one shard owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The index of this shard.
    pub shard: u64,
    /// The number of shards; at least one.
    pub shards: u64,
}

impl Segment {
    /// The whole run on one shard.
    pub const WHOLE: Self = Self { shard: 0, shards: 1 };

    /// Whether this shard owns `number` of a workload with this slot offset. Slots are assigned
    /// round-robin, so any prefix of the numbers is split evenly.
    pub const fn owns(self, number: u64, slot_offset: u64) -> bool {
        (number.wrapping_add(slot_offset) % SLOTS) % self.shards == self.shard
    }
}

/// Words of a [`SlotSet`].
const WORDS: usize = (SLOTS / 64) as usize;

/// A set of slots. Clones share it.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Arc<[u64; WORDS]>);

/// Slots that an owner has from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedSlots {
    /// The slots.
    pub slots: SlotSet,
    /// When they became its own: what is due from then on.
    pub from: RunOffset,
}

impl SlotSet {
    /// Whether the set has the slot of `number`, of a workload with this slot offset.
    #[inline]
    pub fn owns(&self, number: u64, slot_offset: u64) -> bool {
        let slot = number.wrapping_add(slot_offset) % SLOTS;
        self.0[(slot / 64) as usize] >> (slot % 64) & 1 == 1
    }

    /// Counts the owned numbers in `from..to`.
    pub fn count(&self, from: u64, to: u64, slot_offset: u64) -> u64 {
        let owned = |from: u64, to: u64| {
            (from..to).filter(|number| self.owns(*number, slot_offset)).count() as u64
        };
        let rounds = to.saturating_sub(from) / SLOTS;
        let per_round = self.0.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        rounds.saturating_mul(per_round).saturating_add(owned(from + rounds * SLOTS, to.max(from)))
    }

    /// The slots in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        (0..SLOTS).filter(|slot| self.owns(*slot, 0))
    }
}

impl FromIterator<u64> for SlotSet {
    fn from_iter<I: IntoIterator<Item = u64>>(slots: I) -> Self {
        let mut words = [0; WORDS];
        for slot in slots {
            words[(slot % SLOTS / 64) as usize] |= 1 << (slot % 64);
        }
        Self(Arc::new(words))
    }
}

impl From<Segment> for SlotSet {
    fn from(segment: Segment) -> Self {
        (0..SLOTS).filter(|slot| segment.owns(*slot, 0)).collect()
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({} slots)", self.iter().count())
    }
}

/// The shards of one process, among all shards of the run: every n-th of them, where n is the
/// number of processes. So a prefix of all numbers is divided evenly over processes, too: ten users
/// over four processes of eight shards are three, three, two and two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRange {
    /// The index of the process, and of its first shard.
    pub process: u64,
    /// The number of processes; at least one.
    pub processes: u64,
    /// The number of shards of the run: at least that of processes, at most [`SLOTS`].
    pub total: u64,
}

impl ShardRange {
    /// The range of a process that has all shards.
    pub const fn whole(shards: u64) -> Self {
        Self { process: 0, processes: 1, total: shards }
    }

    /// Divides `shards` among `processes` as evenly as possible; there are at least as many shards.
    pub fn divide(shards: u64, processes: u64) -> Vec<Self> {
        (0..processes).map(|process| Self { process, processes, total: shards }).collect()
    }

    /// The number of its shards; at least one.
    pub const fn count(self) -> u64 {
        self.total.saturating_sub(self.process).div_ceil(self.processes)
    }

    /// The shard at place `index` among its own.
    pub const fn shard_at(self, index: u64) -> u64 {
        self.process + index * self.processes
    }

    /// The segments of its shards.
    pub fn segments(self) -> impl Iterator<Item = Segment> {
        (0..self.count())
            .map(move |index| Segment { shard: self.shard_at(index), shards: self.total })
    }

    /// Whether one of its shards owns `number`, to which the slot offset of its workload is added.
    pub const fn owns(self, number: u64) -> bool {
        self.contains((number % SLOTS) % self.total)
    }

    /// Whether it has this shard.
    pub const fn contains(self, shard: u64) -> bool {
        shard < self.total && shard % self.processes == self.process
    }

    /// Its part of a count that holds over the whole run: how many numbers below `most` its shards
    /// own. The parts of all processes add up to `most`.
    pub fn part_of(self, most: u64) -> u64 {
        if self.processes == 1 {
            return most;
        }
        let rest = (0..most % SLOTS).filter(|number| self.owns(*number)).count() as u64;
        (most / SLOTS).saturating_mul(self.per_round()).saturating_add(rest)
    }

    /// The number at place `index` among those that its shards own, in rising order.
    pub fn number_at(self, index: u64) -> u64 {
        if self.processes == 1 {
            return index;
        }
        let (round, place) = (index / self.per_round(), index % self.per_round());
        let slot = place / self.count() * self.total + self.shard_at(place % self.count());
        round * SLOTS + slot
    }

    /// How many of the slots its shards own: the first shards have one more if they do not divide
    /// evenly.
    const fn per_round(self) -> u64 {
        let (each, with_one_more) = (SLOTS / self.total, SLOTS % self.total);
        self.count() * each + with_one_more.saturating_sub(self.process).div_ceil(self.processes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn processes_share_counts_and_numbers_exactly(
            shards in 1u64..300,
            processes in 1u64..40,
            most in 0u64..20_000,
        ) {
            let ranges = ShardRange::divide(shards.max(processes), processes);
            prop_assert_eq!(ranges.iter().map(|range| range.part_of(most)).sum::<u64>(), most);
            let mut numbers: Vec<u64> = ranges
                .iter()
                .flat_map(|range| (0..range.part_of(most)).map(|index| range.number_at(index)))
                .collect();
            numbers.sort_unstable();
            prop_assert!(numbers.iter().copied().eq(0..most));
            let parts = ranges.iter().map(|range| range.count());
            prop_assert!(parts.clone().max().unwrap() - parts.min().unwrap() <= 1);
        }
    }

    #[test]
    fn count_equals_the_sum_of_owned_numbers() {
        for (from, to) in [(0, 0), (5, 3), (0, 4_096), (7, 10_000), (4_000, 4_200)] {
            let segment = Segment { shard: 1, shards: 3 };
            let expected = (from..to).filter(|n| segment.owns(*n, 11)).count() as u64;
            let slots = SlotSet::from(segment);
            assert_eq!(slots.count(from, to, 11), expected, "{from}..{to}");
            assert!((from..to).all(|n| slots.owns(n, 11) == segment.owns(n, 11)));
        }
        let slots: SlotSet = [7, 4_095, 64].into_iter().collect();
        assert!(slots.iter().eq([7, 64, 4_095]));
    }

    #[test]
    fn each_number_has_one_owner_and_prefixes_are_even() {
        for shards in [1, 2, 3, 5, 16] {
            let mut owned = vec![0u64; shards as usize];
            for number in 0..10_000 {
                let owners: Vec<u64> = (0..shards)
                    .filter(|&shard| Segment { shard, shards }.owns(number, 7))
                    .collect();
                assert_eq!(owners.len(), 1);
                owned[owners[0] as usize] += 1;
            }
            let (least, most) = (owned.iter().min().unwrap(), owned.iter().max().unwrap());
            assert!(most - least <= 3, "{shards} shards: {owned:?}");
        }
    }
}
