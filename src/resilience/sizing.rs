//! How many connections a pool should have, by how it was used.
//!
//! `run::steward` asks once per interval. Source: the rules of seed 003 §2.1.
//! Invariant: the size stays within the pool's `min` and `max`, and moves by a fifth at most.

use crate::plan::policy::PoolPolicy;
use crate::stats::PoolUse;

/// A pool whose waits are longer than this at p95 is too small, µs…
pub const WAIT_US: u64 = 100_000;
/// …or one of which more than this share is lent…
const BUSY: f64 = 0.8;
/// …unless more than this share of its attempts fail: more connections make that worse.
const ERRORS: f64 = 0.05;
/// It is too large when less than this share is lent.
const FREE: f64 = 0.3;
/// It grows by a fifth, but by no more than so many; it shrinks by a tenth.
const MOST: u64 = 10;
/// It does not shrink below this by being idle.
const SMALL: u64 = 5;

/// A pool of `size` connections was used so since it was looked at last: its new size and why, when
/// it changes.
pub fn resize(law: &PoolPolicy, size: u64, used: &PoolUse) -> Option<(u64, String)> {
    let busy = used.utilisation().unwrap_or(0.0);
    let errors = used.error_share().unwrap_or(0.0);
    let wait_us = used.waits.percentile_us(95.0);
    let shrunk = (size - (size / 10).max(1).min(size)).max(law.min);
    let (wanted, why) = if errors > ERRORS {
        (shrunk, format!("{:.1} % of its attempts failed", errors * 100.0))
    } else if wait_us > WAIT_US || used.gave_up > 0 && used.leases == 0 {
        (grown(law, size), format!("p95 of the wait is {} ms", wait_us / 1_000))
    } else if busy > BUSY {
        (grown(law, size), format!("{:.0} % in use", busy * 100.0))
    } else if busy < FREE && size > SMALL {
        (shrunk, format!("{:.0} % in use", busy * 100.0))
    } else {
        return None;
    };
    (wanted != size).then_some((wanted, why))
}

/// A fifth more, within bounds.
pub fn grown(law: &PoolPolicy, size: u64) -> u64 {
    (size + (size / 5).clamp(1, MOST)).min(law.max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn law(min: u64, max: u64) -> PoolPolicy {
        PoolPolicy { min, ..PoolPolicy::shared("p", Vec::new(), max) }
    }

    fn used(busy: f64, failed: u64, wait_ms: u64) -> PoolUse {
        let mut used = PoolUse { leases: 100, failed, ..PoolUse::default() };
        (used.busy, used.room) = ((busy * 1e6) as u128, 1_000_000);
        used.waits.record_n(wait_ms * 1_000, 100);
        used
    }

    #[test]
    fn by_the_rules() {
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
            // Failing is no reason for more of it, however long the wait.
            (50, 0.9, 6, 500, Some(45)),
            (2, 0.9, 6, 500, None),
        ] {
            let new = resize(&law(2, 200), size, &used(busy, failed, wait_ms));
            let case = format!("{size} {busy} {failed} {wait_ms}");
            assert_eq!(new.map(|(new, _)| new), wanted, "{case}");
        }
    }

    proptest! {
        #[test]
        fn within_its_bounds(
            size in 1u64..300, busy in 0.0f64..1.0, failed in 0u64..100, wait_ms in 0u64..500,
        ) {
            let law = law(1, 300);
            if let Some((new, _)) = resize(&law, size, &used(busy, failed, wait_ms)) {
                prop_assert!(new >= law.min && new <= law.max);
                prop_assert!(new.abs_diff(size) <= (size / 5).max(1));
            }
        }
    }
}
