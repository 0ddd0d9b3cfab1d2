//! Slots: they assign the numbers of users and iterations of a run to shards.
//!
//! `engine` checks each user and arrival. Source: fixed hash slots as in Redis Cluster.
//! Invariant: every number has exactly one owner, whatever the number of shards.

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

    /// Counts the owned numbers in `from..to`.
    pub fn count(self, from: u64, to: u64, slot_offset: u64) -> u64 {
        let owned = |from: u64, to: u64| {
            (from..to).filter(|number| self.owns(*number, slot_offset)).count() as u64
        };
        let rounds = to.saturating_sub(from) / SLOTS;
        let per_round = if rounds > 0 { owned(from, from + SLOTS) } else { 0 };
        rounds * per_round + owned(from + rounds * SLOTS, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn count_equals_the_sum_of_owned_numbers() {
        for (from, to) in [(0, 0), (5, 3), (0, 4_096), (7, 10_000), (4_000, 4_200)] {
            let segment = Segment { shard: 1, shards: 3 };
            let expected = (from..to).filter(|n| segment.owns(*n, 11)).count() as u64;
            assert_eq!(segment.count(from, to, 11), expected, "{from}..{to}");
        }
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
