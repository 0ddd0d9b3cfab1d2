//! A rate limit: each attempt gets the next free slot of an even sequence.
//!
//! `engine::resilience` reserves a slot and waits for it. The generic cell rate algorithm without a
//! burst, as reservations. Source: ITU-T I.371, the virtual scheduling form.
//! Invariant: slots are at least an interval apart, over all shards; a reservation is one exchange
//! of an atomic word.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::units::Rate;

/// Units of time per ns: intervals need not be whole ns. 2⁵⁴ ns are 208 days.
const UNITS_PER_NS: u64 = 1 << 10;

/// A rate limiter.
#[derive(Debug)]
pub struct RateLimiter {
    interval: u64,
    next: AtomicU64,
}

impl RateLimiter {
    /// Creates a limiter of a rate in units of a `Rate`; at least one.
    pub fn new(units: u64) -> Self {
        let interval = u128::from(UNITS_PER_NS) * u128::from(Rate::UNITS_PER_S) * 1_000_000_000
            / u128::from(units.max(1));
        Self { interval: u64::try_from(interval).unwrap_or(u64::MAX), next: AtomicU64::new(0) }
    }

    /// Reserves the slot of an attempt that is ready `now_ns` after the run's start. Returns its
    /// time, ns after the run's start; `None` if it is more than `wait_ns` away: then nothing is
    /// reserved.
    #[inline]
    pub fn reserve(&self, now_ns: u64, wait_ns: u64) -> Option<u64> {
        let now = now_ns.saturating_mul(UNITS_PER_NS);
        let latest = now.saturating_add(wait_ns.saturating_mul(UNITS_PER_NS));
        let taken = self.next.fetch_update(Relaxed, Relaxed, |next| {
            let at = next.max(now);
            (at <= latest).then(|| at.saturating_add(self.interval))
        });
        taken.ok().map(|next| next.max(now).div_ceil(UNITS_PER_NS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn slots_are_evenly_spaced() {
        let limiter = RateLimiter::new(4 * Rate::UNITS_PER_S);
        let slot =
            |now_ms: u64| limiter.reserve(now_ms * 1_000_000, u64::MAX).map(|ns| ns / 1_000_000);
        // Three at once are 250 ms apart; after a pause the next goes at once, and no slots
        // accumulate.
        assert_eq!([0, 0, 0].map(slot), [Some(0), Some(250), Some(500)]);
        assert_eq!([2_000, 2_000].map(slot), [Some(2_000), Some(2_250)]);
        // An attempt that will not wait takes no slot.
        assert_eq!(limiter.reserve(2_000_000_000, 400_000_000), None);
        assert_eq!(slot(2_000), Some(2_500));
    }

    proptest! {
        /// In any interval there are at most as many slots as the rate allows, plus one.
        #[test]
        fn slots_never_exceed_the_rate(
            gaps in prop::collection::vec(0u64..3_000_000, 1..300),
            per_s in 1u64..100_000,
        ) {
            let limiter = RateLimiter::new(per_s * Rate::UNITS_PER_S);
            let (mut now, mut slots) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                let slot = limiter.reserve(now, u64::MAX).unwrap();
                prop_assert!(slot >= now);
                slots.push(slot);
            }
            for (at, first) in slots.iter().enumerate() {
                for (more, last) in slots[at..].iter().enumerate() {
                    let most = (last - first + 1) as f64 * per_s as f64 / S as f64;
                    prop_assert!(more as f64 <= most + 1e-3, "{more} in {}", last - first);
                }
            }
        }
    }

    #[test]
    fn shards_share_the_limit() {
        let limiter = RateLimiter::new(1_000 * Rate::UNITS_PER_S);
        let mut slots: Vec<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (0..250).filter_map(|_| limiter.reserve(0, u64::MAX)).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        slots.sort_unstable();
        assert!(slots.into_iter().eq((0..1_000).map(|k| k * 1_000_000)));
    }
}
