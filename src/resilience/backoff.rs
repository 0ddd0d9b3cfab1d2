//! How long to wait before trying again: exponential, with full jitter.
//!
//! Source: Brooker, *Exponential Backoff And Jitter* (AWS, 2015): of the variants, full jitter
//! makes the fewest calls for the same work.
//! Invariant: no wait is longer than the law's `max`.

use rand::RngExt;

use crate::plan::policy::BackoffPolicy;
use crate::seed::Rng;
use crate::units::nanos;

/// The wait after failure number `failures` in a row (from 1), ns.
pub fn wait_ns(law: &BackoffPolicy, failures: u32, rng: &mut Rng) -> u64 {
    let most = longest_ns(law, failures);
    if law.jitter && most > 0 { rng.random_range(0..=most) } else { most }
}

/// The same without jitter.
pub fn longest_ns(law: &BackoffPolicy, failures: u32) -> u64 {
    let grown =
        nanos(law.base) as f64 * law.factor.powi(failures.saturating_sub(1).min(1_000) as i32);
    (grown as u64).min(nanos(law.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    const MS: u64 = 1_000_000;

    #[test]
    fn it_doubles_up_to_its_most() {
        let law = BackoffPolicy { jitter: false, ..BackoffPolicy::default() };
        let waits = [1, 2, 3, 7, 8, 60, u32::MAX].map(|n| longest_ns(&law, n) / MS);
        assert_eq!(waits, [100, 200, 400, 6_400, 10_000, 10_000, 10_000]);
    }

    #[test]
    fn full_jitter_is_even_from_zero() {
        let law = BackoffPolicy::default();
        let mut rng = Seed::new(3).unwrap().rng(Stream::Caution, 0, 0);
        let waits: Vec<u64> = (0..40_000).map(|_| wait_ns(&law, 3, &mut rng)).collect();
        let mean = waits.iter().sum::<u64>() as f64 / 4e4 / MS as f64;
        // Uniform over 400 ms: mean 200, standard error 115/200 = 0.58.
        assert!((mean - 200.0).abs() < 2.5, "{mean}");
        assert!(waits.iter().all(|wait| *wait <= 400 * MS));
        let early = waits.iter().filter(|wait| **wait < 40 * MS).count();
        assert!((3_700..4_300).contains(&early), "{early}");
    }
}
