//! A rate limit of our own: each attempt gets the next free place in an even row.
//!
//! The generic cell rate algorithm without a burst, as reservations: whoever asks is told when its
//! turn is, and waits. Source: ITU-T I.371, the virtual scheduling form.
//! Invariant: places are at least an interval apart, over all shards; asking is one exchange of a
//! word.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::units::Rate;

/// Parts of a ns in which places are counted: intervals need not be whole ns. 2⁵⁴ ns are 208 days.
const FINE: u64 = 1 << 10;

/// A limit.
#[derive(Debug)]
pub struct RateLimiter {
    interval: u64,
    next: AtomicU64,
}

impl RateLimiter {
    /// A rate in units of a `Rate`; at least one.
    pub fn new(units: u64) -> Self {
        let interval = u128::from(FINE) * u128::from(Rate::UNITS_PER_S) * 1_000_000_000
            / u128::from(units.max(1));
        Self { interval: u64::try_from(interval).unwrap_or(u64::MAX), next: AtomicU64::new(0) }
    }

    /// The turn of an attempt that is ready `now_ns` after the run's start; `None` when that is
    /// more than `wait_ns` away: then nothing is reserved.
    #[inline]
    pub fn reserve(&self, now_ns: u64, wait_ns: u64) -> Option<u64> {
        let now = now_ns.saturating_mul(FINE);
        let latest = now.saturating_add(wait_ns.saturating_mul(FINE));
        let taken = self.next.fetch_update(Relaxed, Relaxed, |next| {
            let at = next.max(now);
            (at <= latest).then(|| at.saturating_add(self.interval))
        });
        taken.ok().map(|next| next.max(now).div_ceil(FINE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn golden_walk() {
        let limiter = RateLimiter::new(4 * Rate::UNITS_PER_S);
        let turn =
            |now_ms: u64| limiter.reserve(now_ms * 1_000_000, u64::MAX).map(|ns| ns / 1_000_000);
        // Three at once are 250 ms apart; after a rest the next goes at once, and none is saved up.
        assert_eq!([0, 0, 0].map(turn), [Some(0), Some(250), Some(500)]);
        assert_eq!([2_000, 2_000].map(turn), [Some(2_000), Some(2_250)]);
        // Who will not wait takes no place.
        assert_eq!(limiter.reserve(2_000_000_000, 400_000_000), None);
        assert_eq!(turn(2_000), Some(2_500));
    }

    proptest! {
        /// In any stretch of time there are no more turns than the rate gives, and one.
        #[test]
        fn no_more_than_the_rate(
            gaps in prop::collection::vec(0u64..3_000_000, 1..300),
            per_s in 1u64..100_000,
        ) {
            let limiter = RateLimiter::new(per_s * Rate::UNITS_PER_S);
            let (mut now, mut turns) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                let turn = limiter.reserve(now, u64::MAX).unwrap();
                prop_assert!(turn >= now);
                turns.push(turn);
            }
            for (at, first) in turns.iter().enumerate() {
                for (more, last) in turns[at..].iter().enumerate() {
                    let most = (last - first + 1) as f64 * per_s as f64 / S as f64;
                    prop_assert!(more as f64 <= most + 1e-3, "{more} in {}", last - first);
                }
            }
        }
    }

    #[test]
    fn shards_share_it() {
        let limiter = RateLimiter::new(1_000 * Rate::UNITS_PER_S);
        let mut turns: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..250).filter_map(|_| limiter.reserve(0, u64::MAX)).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        turns.sort_unstable();
        assert!(turns.into_iter().eq((0..1_000).map(|k| k * 1_000_000)));
    }
}
