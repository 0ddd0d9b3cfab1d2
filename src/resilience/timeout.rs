//! A deadline that follows an endpoint: a percentile of its last times, times a factor.
//!
//! `engine::caution` keeps one for each endpoint of a shard.
//! Invariant: the limit stays within its bounds; a timeout never tightens it, since it enters as
//! longer than it was allowed to be.

use super::RecentTimes;
use crate::plan::policy::TimeoutPolicy;
use crate::units::nanos;

/// A timeout enters the window at so many times its limit: the attempt would have taken longer,
/// nobody knows how much.
const TIMED_OUT: f64 = 1.5;

/// An endpoint's deadline.
#[derive(Clone, Debug)]
pub struct AdaptiveTimeout {
    law: TimeoutPolicy,
    recent: RecentTimes,
    /// Below so many times there is no such percentile: the largest of few is anything.
    enough: usize,
    /// The percentile's rank in a full window.
    rank: usize,
    min_ns: u64,
    max_ns: u64,
    limit_ns: u64,
}

impl AdaptiveTimeout {
    /// One that knows nothing yet.
    pub fn new(law: TimeoutPolicy) -> Self {
        // 1/(1 − p): with fewer, the percentile is the largest.
        let enough = (100.0 / (100.0 - law.percentile).max(1.0)).ceil() as usize;
        Self {
            recent: RecentTimes::new(law.window),
            enough: enough.min(law.window),
            rank: RecentTimes::rank(law.percentile, law.window),
            min_ns: nanos(law.min),
            max_ns: nanos(law.max),
            limit_ns: nanos(law.start),
            law,
        }
    }

    /// How long an attempt may take now, ns.
    #[inline]
    pub fn limit_ns(&self) -> u64 {
        self.limit_ns
    }

    /// The last times.
    pub fn recent(&self) -> &RecentTimes {
        &self.recent
    }

    /// An attempt got a complete answer after `ns`.
    #[inline]
    pub fn answered(&mut self, ns: u64) {
        self.recent.push(ns);
        let count = self.recent.len();
        let rank = match count {
            _ if count == self.law.window => self.rank,
            _ if count >= self.enough => RecentTimes::rank(self.law.percentile, count),
            _ => return,
        };
        if let Some(percentile) = self.recent.at_rank_ns(rank) {
            let limit = (percentile as f64 * self.law.factor) as u64;
            self.limit_ns = limit.clamp(self.min_ns, self.max_ns);
        }
    }

    /// An attempt got none within `limit_ns`.
    pub fn timed_out(&mut self, limit_ns: u64) {
        self.answered((limit_ns as f64 * TIMED_OUT) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn golden_walk() {
        let mut timeout = AdaptiveTimeout::new(TimeoutPolicy::default());
        assert_eq!(timeout.limit_ns(), 5_000 * MS, "at the start");
        (0..19).for_each(|_| timeout.answered(2_000 * MS));
        assert_eq!(timeout.limit_ns(), 5_000 * MS, "nineteen tell no p95");
        timeout.answered(2_000 * MS);
        assert_eq!(timeout.limit_ns(), 3_000 * MS, "2 s × 1.5");
        (0..100).for_each(|_| timeout.answered(10 * MS));
        assert_eq!(timeout.limit_ns(), 1_000 * MS, "never below the floor");
        // The target slows down to 1.8 s: each timeout enters at 1.5 s. p95 of 100 is the 95th, so
        // five are not enough, the sixth is: 1.5 s × 1.5.
        (0..5).for_each(|_| timeout.timed_out(timeout.limit_ns()));
        assert_eq!(timeout.limit_ns(), 1_000 * MS);
        timeout.timed_out(timeout.limit_ns());
        assert_eq!(timeout.limit_ns(), 2_250 * MS);
        // Now it gets its answers again, and settles at 1.8 s × 1.5.
        (0..100).for_each(|_| timeout.answered(1_800 * MS));
        assert_eq!(timeout.limit_ns(), 2_700 * MS);
        // A target that answers nothing drives it to the cap, not beyond.
        (0..200).for_each(|_| timeout.timed_out(timeout.limit_ns()));
        assert_eq!(timeout.limit_ns(), 30_000 * MS);
    }

    proptest! {
        #[test]
        fn within_bounds_and_no_timeout_tightens_it(
            times in prop::collection::vec((0u64..60_000, any::<bool>()), 0..500),
        ) {
            let mut timeout = AdaptiveTimeout::new(TimeoutPolicy::default());
            for (ms, answers) in times {
                let before = timeout.limit_ns();
                if answers && ms * MS <= before {
                    timeout.answered(ms * MS);
                } else {
                    timeout.timed_out(before);
                    // What left the window may have been longer; then the rest decides, and none
                    // of those that timed out at this limit is below 1.5 times it.
                    let floor = timeout.recent().percentile_ns(100.0).unwrap();
                    prop_assert!(floor >= before * 3 / 2 / 1_000 * 1_000);
                }
                prop_assert!((1_000 * MS..=30_000 * MS).contains(&timeout.limit_ns()));
            }
        }
    }
}
