//! An adaptive deadline per endpoint: a percentile of its recent times, times a factor.
//!
//! `engine::resilience` keeps one for each endpoint of a shard.
//! Invariant: the limit stays within its bounds; a timeout never tightens it, since it counts as
//! longer than its limit.

use super::RecentTimes;
use crate::plan::policy::TimeoutPolicy;
use crate::units::nanos;

/// A timeout counts as this multiple of its limit: the attempt would have taken longer, by an
/// unknown time.
const TIMEOUT_FACTOR: f64 = 1.5;

/// The adaptive deadline of an endpoint.
#[derive(Clone, Debug)]
pub struct AdaptiveTimeout {
    policy: TimeoutPolicy,
    recent: RecentTimes,
    /// The fewest times with such a percentile: the largest of fewer is arbitrary.
    min_count: usize,
    /// The percentile's rank in a full window.
    rank: usize,
    min_ns: u64,
    max_ns: u64,
    limit_ns: u64,
}

impl AdaptiveTimeout {
    /// Creates a deadline without any times.
    pub fn new(policy: TimeoutPolicy) -> Self {
        // 1/(1 − p): with fewer, the percentile is the largest.
        let min_count = (100.0 / (100.0 - policy.percentile).max(1.0)).ceil() as usize;
        Self {
            recent: RecentTimes::new(policy.window),
            min_count: min_count.min(policy.window),
            rank: RecentTimes::rank(policy.percentile, policy.window),
            min_ns: nanos(policy.min),
            max_ns: nanos(policy.max),
            limit_ns: nanos(policy.start),
            policy,
        }
    }

    /// How long an attempt may take now, ns.
    #[inline]
    pub fn limit_ns(&self) -> u64 {
        self.limit_ns
    }

    /// The recent times.
    pub fn recent(&self) -> &RecentTimes {
        &self.recent
    }

    /// Records a complete response after `ns`.
    #[inline]
    pub fn answered(&mut self, ns: u64) {
        self.recent.push(ns);
        let count = self.recent.len();
        let rank = match count {
            _ if count == self.policy.window => self.rank,
            _ if count >= self.min_count => RecentTimes::rank(self.policy.percentile, count),
            _ => return,
        };
        if let Some(percentile) = self.recent.at_rank_ns(rank) {
            let limit = (percentile as f64 * self.policy.factor) as u64;
            self.limit_ns = limit.clamp(self.min_ns, self.max_ns);
        }
    }

    /// Records that an attempt had no response within `limit_ns`.
    pub fn timed_out(&mut self, limit_ns: u64) {
        self.answered((limit_ns as f64 * TIMEOUT_FACTOR) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn limit_follows_the_percentile() {
        let mut timeout = AdaptiveTimeout::new(TimeoutPolicy::default());
        assert_eq!(timeout.limit_ns(), 5_000 * MS, "at the start");
        (0..19).for_each(|_| timeout.answered(2_000 * MS));
        assert_eq!(timeout.limit_ns(), 5_000 * MS, "nineteen tell no p95");
        timeout.answered(2_000 * MS);
        assert_eq!(timeout.limit_ns(), 3_000 * MS, "2 s × 1.5");
        (0..100).for_each(|_| timeout.answered(10 * MS));
        assert_eq!(timeout.limit_ns(), 1_000 * MS, "never below the floor");
        // The target slows down to 1.8 s: each timeout counts as 1.5 s. p95 of 100 is the 95th, so
        // five are not enough, the sixth is: 1.5 s × 1.5.
        (0..5).for_each(|_| timeout.timed_out(timeout.limit_ns()));
        assert_eq!(timeout.limit_ns(), 1_000 * MS);
        timeout.timed_out(timeout.limit_ns());
        assert_eq!(timeout.limit_ns(), 2_250 * MS);
        // Now responses arrive again, and the limit settles at 1.8 s × 1.5.
        (0..100).for_each(|_| timeout.answered(1_800 * MS));
        assert_eq!(timeout.limit_ns(), 2_700 * MS);
        // A target that never responds drives the limit to its maximum, not beyond.
        (0..200).for_each(|_| timeout.timed_out(timeout.limit_ns()));
        assert_eq!(timeout.limit_ns(), 30_000 * MS);
    }

    proptest! {
        #[test]
        fn limit_is_bounded_and_timeouts_never_tighten_it(
            times in prop::collection::vec((0u64..60_000, any::<bool>()), 0..500),
        ) {
            let mut timeout = AdaptiveTimeout::new(TimeoutPolicy::default());
            for (ms, is_response) in times {
                let before = timeout.limit_ns();
                if is_response && ms * MS <= before {
                    timeout.answered(ms * MS);
                } else {
                    timeout.timed_out(before);
                    // Times that left the window may have been longer; then the others decide, and
                    // no time that timed out at this limit is below 1.5 times it.
                    let floor = timeout.recent().percentile_ns(100.0).unwrap();
                    prop_assert!(floor >= before * 3 / 2 / 1_000 * 1_000);
                }
                prop_assert!((1_000 * MS..=30_000 * MS).contains(&timeout.limit_ns()));
            }
        }
    }
}
