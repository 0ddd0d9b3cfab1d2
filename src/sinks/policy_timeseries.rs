//! The state of pools, timeouts and breakers, second by second over all shards.
//!
//! `files` passes it deltas and gets complete seconds in order, for `pools` and `endpoints`.
//! Invariant: each count is in exactly one second; a shard without a delta in a second keeps its
//! earlier state.

use std::collections::BTreeMap;

use crate::stats::seconds::OPEN;
use crate::stats::{Delta, PoolUse, ResilienceSnapshot};

const SECOND_NS: u64 = 1_000_000_000;

/// A second of some shards.
#[derive(Clone, Debug, Default)]
pub(super) struct PolicySecond {
    pub(super) pools: Vec<PoolUse>,
    pub(super) guarded: ResilienceSnapshot,
}

/// The seconds that are not complete yet.
#[derive(Debug, Default)]
pub(super) struct PolicyTimeseries {
    /// By second and shard.
    open: BTreeMap<u64, BTreeMap<usize, PolicySecond>>,
    /// The last state of each shard in complete seconds.
    shards: BTreeMap<usize, PolicySecond>,
    newest: u64,
    /// The first incomplete second.
    next: u64,
}

impl PolicyTimeseries {
    /// Adds a delta and returns the seconds that it completes, oldest first.
    pub(super) fn absorb(&mut self, delta: &Delta) -> Vec<(u64, PolicySecond)> {
        // A shard sends its delta when a second is over, except for the last one.
        let over = u64::from(!delta.last);
        let second = (delta.gauges.elapsed_ns / SECOND_NS).saturating_sub(over);
        // A late delta is counted in the first incomplete second.
        let second = second.max(self.next);
        let stand = self.open.entry(second).or_default().entry(delta.shard).or_default();
        stand.then(delta);
        self.newest = self.newest.max(second);
        let mut closed = Vec::new();
        while let Some(oldest) = self.open.first_entry()
            && oldest.key() + u64::from(OPEN) < self.newest
        {
            let (second, shards) = oldest.remove_entry();
            closed.push((second, self.close(second, shards)));
        }
        closed
    }

    /// Returns all remaining seconds, at the end of the run.
    pub(super) fn finish(&mut self) -> Vec<(u64, PolicySecond)> {
        let all = std::mem::take(&mut self.open);
        all.into_iter().map(|(second, shards)| (second, self.close(second, shards))).collect()
    }

    fn close(&mut self, second: u64, shards: BTreeMap<usize, PolicySecond>) -> PolicySecond {
        self.next = second + 1;
        let mut sum = PolicySecond::default();
        // Shards without a delta come first, so that the latest state of a breaker wins.
        let silent = self.shards.iter().filter(|(shard, _)| !shards.contains_key(shard));
        silent.for_each(|(_, stand)| sum.add(stand));
        for (shard, stand) in shards {
            sum.add(&stand);
            self.shards.insert(shard, stand.standing());
        }
        sum
    }
}

impl PolicySecond {
    fn then(&mut self, delta: &Delta) {
        self.pools.resize(delta.pools.len().max(self.pools.len()), PoolUse::default());
        self.pools.iter_mut().zip(&delta.pools).for_each(|(mine, later)| mine.then(later));
        self.guarded.then(&delta.resilience);
    }

    fn add(&mut self, other: &Self) {
        self.pools.resize(other.pools.len().max(self.pools.len()), PoolUse::default());
        self.pools.iter_mut().zip(&other.pools).for_each(|(mine, theirs)| mine.add(theirs));
        self.guarded.add(&other.guarded);
    }

    fn standing(&self) -> Self {
        Self {
            pools: self.pools.iter().map(PoolUse::standing).collect(),
            guarded: self.guarded.standing(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::SeriesLayout;
    use crate::stats::{BreakerState, BreakerUse};

    /// The delta of a shard with a pool of `size`, at a time in ms.
    fn delta(shard: usize, ms: u64, size: u64, leases: u64, last: bool) -> Delta {
        let shape =
            SeriesLayout { workloads: 1, checks: vec![0], pools: 1, ..SeriesLayout::default() };
        let mut delta = Delta::new(&shape, shard);
        (delta.gauges.elapsed_ns, delta.last) = (ms * 1_000_000, last);
        (delta.pools[0].size, delta.pools[0].leases) = (size, leases);
        let state = if shard == 0 { BreakerState::Open } else { BreakerState::Closed };
        let breaker = BreakerUse { state: Some(state), opened: 0, refused: leases };
        delta.resilience = ResilienceSnapshot { timeouts_ns: vec![ms], breakers: vec![breaker] };
        delta
    }

    #[test]
    fn seconds_are_sums_and_who_has_ended_still_stands() {
        let mut standings = PolicyTimeseries::default();
        let mut rows = Vec::new();
        for one in [
            delta(0, 1_000, 3, 5, false),
            delta(1, 1_001, 2, 6, false),
            // The end of the run: half a second.
            delta(1, 1_500, 2, 1, true),
            delta(0, 2_000, 4, 7, false),
            delta(0, 3_000, 4, 8, false),
            // Delayed for three seconds, then all at once.
            delta(0, 6_200, 4, 9, false),
            delta(0, 6_201, 4, 1, true),
        ] {
            rows.extend(standings.absorb(&one));
        }
        assert!(rows.is_empty(), "no second is complete so early");
        rows.extend(standings.finish());
        let seen = |(second, stand): &(u64, PolicySecond)| {
            let (pool, breaker) = (&stand.pools[0], &stand.guarded.breakers[0]);
            (*second, pool.size, pool.leases, breaker.refused)
        };
        let seen: Vec<_> = rows.iter().map(seen).collect();
        assert_eq!(seen, [(0, 5, 11, 11), (1, 6, 8, 8), (2, 6, 8, 8), (5, 6, 9, 9), (6, 6, 1, 1)]);
        let state = |at: usize| rows[at].1.guarded.breakers[0].state;
        // Shard 1 saw it closed and ended, so its state is older.
        assert_eq!([state(0), state(2)], [Some(BreakerState::Closed), Some(BreakerState::Open)]);
        assert_eq!(rows[0].1.guarded.timeouts_ns, [1_001], "the longest of all");
    }

    #[test]
    fn nothing_grows_and_what_is_late_is_not_lost() {
        let mut standings = PolicyTimeseries::default();
        let (mut rows, mut leases) = (Vec::new(), 0);
        for second in 1..100 {
            rows.extend(standings.absorb(&delta(0, second * 1_000, 1, 1, false)));
            assert!(standings.open.len() <= OPEN as usize + 1);
        }
        rows.extend(standings.absorb(&delta(1, 2_000, 1, 40, true)));
        rows.extend(standings.finish());
        rows.iter().for_each(|(_, stand)| leases += stand.pools[0].leases);
        assert_eq!(leases, 139);
        assert!(rows.iter().map(|(second, _)| *second).eq(0..99));
    }
}
