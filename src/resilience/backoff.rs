//! How long to wait before a retry: exponential, with full jitter.
//!
//! Retries and the connect gate use it. Source: Brooker, *Exponential Backoff And Jitter* (AWS,
//! 2015): of the variants, full jitter makes the fewest calls for the same work.
//! Invariant: no wait is longer than the policy's `max`.

use rand::RngExt;

use crate::plan::policy::BackoffPolicy;
use crate::seed::Rng;
use crate::units::nanos;

/// Draws the wait after `failures` failures in a row (from 1), ns.
pub fn wait_ns(policy: &BackoffPolicy, failures: u32, rng: &mut Rng) -> u64 {
    let most = longest_ns(policy, failures);
    if policy.jitter && most > 0 { rng.random_range(0..=most) } else { most }
}

/// Returns the longest wait after `failures` failures in a row, ns.
pub fn longest_ns(policy: &BackoffPolicy, failures: u32) -> u64 {
    let grown = nanos(policy.base) as f64
        * policy.factor.powi(failures.saturating_sub(1).min(1_000) as i32);
    (grown as u64).min(nanos(policy.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    const MS: u64 = 1_000_000;

    #[test]
    fn longest_wait_doubles_up_to_max() {
        let policy = BackoffPolicy { jitter: false, ..BackoffPolicy::default() };
        let waits = [1, 2, 3, 7, 8, 60, u32::MAX].map(|n| longest_ns(&policy, n) / MS);
        assert_eq!(waits, [100, 200, 400, 6_400, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn full_jitter_is_uniform_from_zero() {
        let policy = BackoffPolicy::default();
        let mut rng = Seed::new(3).unwrap().rng(Stream::Caution, 0, 0);
        let waits: Vec<u64> = (0..40_000).map(|_| wait_ns(&policy, 3, &mut rng)).collect();
        let mean = waits.iter().sum::<u64>() as f64 / 4e4 / MS as f64;
        // Uniform over 400 ms: mean 200, standard error 115/200 = 0.58.
        assert!((mean - 200.0).abs() < 2.5, "{mean}");
        assert!(waits.iter().all(|wait| *wait <= 400 * MS));
        let early = waits.iter().filter(|wait| **wait < 40 * MS).count();
        assert!((3_700..4_300).contains(&early), "{early}");
    }
}
