//! The size of a connection pool, derived from its use.
//!
//! `run::supervisor` calls it once per interval. Source: the rules of seed 003 §2.1.
//! Invariant: the size stays within the pool's `min` and `max`, and changes by a fifth at most.

use crate::plan::policy::PoolPolicy;
use crate::stats::{ChangeCause, PoolUse};

/// A pool is too small if the p95 of its waits is longer than this, µs…
pub const WAIT_US: u64 = 100_000;
/// …or if more than this share of it is in use…
const BUSY: f64 = 0.8;
/// …unless more than this share of its attempts fail: more connections make that worse.
const ERRORS: f64 = 0.05;
/// A pool is too large if less than this share of it is in use.
const FREE: f64 = 0.3;
/// A pool grows by a fifth, but by no more than this; it shrinks by a tenth.
const MAX_GROWTH: u64 = 10;
/// Low use does not shrink a pool below this.
const SMALL: u64 = 5;

/// Returns the new size of a pool of `size` connections, from its use since the last call and from
/// the connections that are predicted to be in use before the next one, and why; `None` if the size
/// does not change.
pub fn resize(
    policy: &PoolPolicy,
    size: u64,
    used: &PoolUse,
    predicted: Option<f64>,
) -> Option<(u64, ChangeCause)> {
    let busy = used.utilisation().unwrap_or(0.0);
    let room = size.max(1) as f64 * policy.streams as f64;
    let soon = predicted.map_or(0.0, |in_use| in_use / room);
    let errors = used.error_share().unwrap_or(0.0);
    let wait_us = used.waits.percentile_us(95.0);
    let shrunk = (size - (size / 10).max(1).min(size)).max(policy.min);
    let (wanted, why) = if errors > ERRORS {
        (shrunk, ChangeCause::PoolErrors { share: errors })
    } else if wait_us > WAIT_US || used.gave_up > 0 && used.leases == 0 {
        (grown(policy, size), ChangeCause::PoolWait { p95_us: wait_us })
    } else if busy > BUSY {
        (grown(policy, size), ChangeCause::PoolInUse { share: busy })
    } else if soon > BUSY && soon > busy {
        (grown(policy, size), ChangeCause::PoolPredicted { share: soon })
    } else if busy < FREE && size > SMALL {
        (shrunk, ChangeCause::PoolInUse { share: busy })
    } else {
        return None;
    };
    (wanted != size).then_some((wanted, why))
}

/// Returns a size a fifth larger, within bounds.
pub fn grown(policy: &PoolPolicy, size: u64) -> u64 {
    (size + (size / 5).clamp(1, MAX_GROWTH)).min(policy.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(min: u64, max: u64) -> PoolPolicy {
        PoolPolicy { min, ..PoolPolicy::shared("p", Vec::new(), max) }
    }

    fn used(busy: f64, failed: u64, wait_ms: u64) -> PoolUse {
        let mut used = PoolUse { leases: 100, failed, ..PoolUse::default() };
        (used.busy, used.room) = ((busy * 1e6) as u128, 1_000_000);
        used.waits.record_n(wait_ms * 1_000, 100);
        used
    }

    #[test]
    fn sizes_follow_the_rules() {
        for (size, busy, failed, wait_ms, wanted) in [
            (50, 0.5, 0, 0, None),
            (50, 0.5, 0, 101, Some(60)),
            (50, 0.81, 0, 0, Some(60)),
            (100, 0.9, 0, 0, Some(110)),
            (3, 0.9, 0, 0, Some(4)),
            (195, 0.9, 0, 0, Some(200)),
            (200, 0.9, 0, 0, None),
            (50, 0.29, 0, 0, Some(45)),
            (5, 0.1, 0, 0, None),
            // Failures are no reason to grow, however long the wait.
            (50, 0.9, 6, 500, Some(45)),
            (2, 0.9, 6, 500, None),
        ] {
            let new = resize(&policy(2, 200), size, &used(busy, failed, wait_ms), None);
            let case = format!("{size} {busy} {failed} {wait_ms}");
            assert_eq!(new.map(|(new, _)| new), wanted, "{case}");
        }
    }

    #[test]
    fn pools_grow_ahead_of_a_predicted_use() {
        for (busy, failed, predicted, wanted) in [
            (0.5, 0, 45.0, Some((60, ChangeCause::PoolPredicted { share: 0.9 }))),
            (0.5, 0, 40.0, None),
            // What is in use already is the better reason; failures are against any growth.
            (0.9, 0, 45.0, Some((60, ChangeCause::PoolInUse { share: 0.9 }))),
            (0.5, 6, 45.0, Some((45, ChangeCause::PoolErrors { share: 0.06 }))),
            // A pool that will be needed does not shrink.
            (0.2, 0, 45.0, Some((60, ChangeCause::PoolPredicted { share: 0.9 }))),
        ] {
            let new = resize(&policy(2, 200), 50, &used(busy, failed, 0), Some(predicted));
            assert_eq!(new, wanted, "{busy} {failed} {predicted}");
        }
    }

    proptest! {
        #[test]
        fn size_stays_within_bounds(
            size in 1u64..300, busy in 0.0f64..1.0, failed in 0u64..100, wait_ms in 0u64..500,
            predicted in prop::option::of(0.0f64..500.0),
        ) {
            let policy = policy(1, 300);
            if let Some((new, _)) = resize(&policy, size, &used(busy, failed, wait_ms), predicted) {
                prop_assert!(new >= policy.min && new <= policy.max);
                prop_assert!(new.abs_diff(size) <= (size / 5).max(1));
            }
        }
    }
}
