//! The most recent times of an endpoint, with any percentile of them without sorting.
//!
//! `timeout` and hedging read it.
//! Invariant: `sorted` holds exactly the values of `ring`; once full, each new value replaces one.

/// The most recent times, µs.
#[derive(Clone, Debug)]
pub struct RecentTimes {
    /// In order of arrival; the oldest is at `next` once it is full.
    ring: Vec<u32>,
    /// The same values in order of size, updated in place. For a hundred values an update moves 200
    /// bytes on average.
    sorted: Vec<u32>,
    next: usize,
    size: usize,
}

impl RecentTimes {
    /// Creates a window of the last `size` times; at least one.
    pub fn new(size: usize) -> Self {
        Self { ring: Vec::new(), sorted: Vec::new(), next: 0, size: size.max(1) }
    }

    /// Adds a time; more than 71 minutes count as that.
    #[inline]
    pub fn push(&mut self, ns: u64) {
        let us = u32::try_from(ns / 1_000).unwrap_or(u32::MAX);
        if self.ring.len() == self.size {
            let old = std::mem::replace(&mut self.ring[self.next], us);
            self.next = (self.next + 1) % self.size;
            let from = self.sorted.partition_point(|known| *known < old);
            let to = self.sorted.partition_point(|known| *known < us);
            // One move instead of a removal and an insertion.
            if from < to {
                self.sorted.copy_within(from + 1..to, from);
                self.sorted[to - 1] = us;
            } else {
                self.sorted.copy_within(to..from, to + 1);
                self.sorted[to] = us;
            }
        } else {
            self.ring.push(us);
            let at = self.sorted.partition_point(|known| *known < us);
            self.sorted.insert(at, us);
        }
    }

    /// The number of times.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there are no times.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The rank of a percentile (0 to 100) among `count`, by nearest rank; from 1.
    pub fn rank(percentile: f64, count: usize) -> usize {
        ((percentile / 100.0 * count as f64).ceil() as usize).max(1)
    }

    /// The time of a rank, from the shortest (1) on, ns.
    #[inline]
    pub fn at_rank_ns(&self, rank: usize) -> Option<u64> {
        self.sorted.get(rank.checked_sub(1)?).map(|us| u64::from(*us) * 1_000)
    }

    /// The percentile (0 to 100) by nearest rank, ns; `None` if there are no times.
    #[inline]
    pub fn percentile_ns(&self, percentile: f64) -> Option<u64> {
        self.at_rank_ns(Self::rank(percentile, self.sorted.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Compared with sorting the last `size` times.
        #[test]
        fn percentile_equals_sorted_window(
            values in prop::collection::vec(0u64..50, 1..400),
            size in 1usize..120,
            percentile in 1.0f64..100.0,
        ) {
            let mut recent = RecentTimes::new(size);
            for (at, value) in values.iter().enumerate() {
                recent.push(value * 1_000);
                let mut last = values[(at + 1).saturating_sub(size)..=at].to_vec();
                last.sort_unstable();
                let rank = (percentile / 100.0 * last.len() as f64).ceil() as usize;
                prop_assert_eq!(recent.percentile_ns(percentile), Some(last[rank - 1] * 1_000));
            }
        }
    }
}
