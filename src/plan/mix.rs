//! The archetype of each user of a closed workload, by systematic sampling, so that even a small
//! population has the configured mix.
//!
//! `load` looks up each user; arrivals of an open workload are drawn at random instead.
//! Invariant: a function of seed, workload and number alone; each archetype gets its quota of the
//! planned users, rounded down or up.
//!
//! Users are ranked by a low-discrepancy sequence, the multiples of the golden ratio modulo 1, and
//! the ranks are sampled at equal distances from a random start (W. G. Madow, 1949). So the first
//! users of a ramp have nearly the mix of all, and no archetype falls on one shard alone.

use std::sync::OnceLock;

use rand::RngExt;

use crate::ids::WorkloadId;
use crate::seed::{Seed, Stream};

/// The golden ratio less one.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The share of each planned user, computed at first use.
#[derive(Clone, Debug, Default)]
pub struct Mix(OnceLock<Vec<u16>>);

impl Mix {
    /// Returns the share of user `number` of workload `own`, which plans `users` users. Users
    /// beyond these repeat the mix.
    pub(super) fn share_of(
        &self,
        weights: impl Iterator<Item = f64>,
        users: u64,
        (seed, own): (Seed, WorkloadId),
        number: u64,
    ) -> usize {
        let mix = self.0.get_or_init(|| sample(&weights.collect::<Vec<_>>(), users, seed, own));
        let place = number % (mix.len() as u64).max(1);
        mix.get(place as usize).copied().map_or(0, usize::from)
    }
}

/// Computes the share of each user.
fn sample(weights: &[f64], users: u64, seed: Seed, own: WorkloadId) -> Vec<u16> {
    let position = |number: u64| (number as f64 * GOLDEN).fract();
    let mut ranked: Vec<u64> = (0..users).collect();
    ranked.sort_unstable_by(|a, b| position(*a).total_cmp(&position(*b)).then(a.cmp(b)));
    let total: f64 = weights.iter().sum();
    // Not close to 0 or 1, where rounding could lose a whole quota.
    let start =
        seed.rng(Stream::Archetype, own.index() as u64, u64::MAX).random_range(0.001..0.999);
    let mut mix = vec![0; ranked.len()];
    let (mut share, mut end) = (0, weights[0]);
    for (rank, number) in ranked.into_iter().enumerate() {
        let at = (rank as f64 + start) / users as f64 * total;
        while at >= end && share + 1 < weights.len() {
            share += 1;
            end += weights[share];
        }
        mix[number as usize] = share as u16;
    }
    mix
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::slots::Segment;

    fn mix(weights: &[f64], users: u64, seed: u64) -> Vec<usize> {
        let (mix, seed) = (Mix::default(), Seed::new(seed).unwrap());
        (0..users)
            .map(|number| {
                mix.share_of(weights.iter().copied(), users, (seed, WorkloadId::new(3)), number)
            })
            .collect()
    }

    fn count(mix: &[usize], share: usize) -> usize {
        mix.iter().filter(|one| **one == share).count()
    }

    #[test]
    fn small_populations_have_the_exact_mix() {
        for seed in 0..200 {
            let mix = mix(&[80.0, 20.0], 20, seed);
            assert_eq!((count(&mix, 0), count(&mix, 1)), (16, 4), "seed {seed}");
        }
        let thirds = mix(&[1.0, 1.0, 1.0], 9, 7);
        assert_eq!([0, 1, 2].map(|share| count(&thirds, share)), [3, 3, 3]);
        assert!([0, 1].contains(&mix(&[1.0, 1.0], 1, 5)[0]));
    }

    proptest! {
        /// Each archetype has its quota, rounded; any first part of the users has nearly the mix,
        /// and so has each shard, whatever the number of shards: with a Fibonacci number of shards
        /// the users of one advance round the circle in as many small steps.
        #[test]
        fn each_part_of_a_population_has_the_mix(
            weights in prop::collection::vec(1u32..100, 2..6),
            users in 1u64..2_000,
            seed in 0u64..1 << 53,
            shards in 1u64..9,
        ) {
            let weights: Vec<f64> = weights.into_iter().map(f64::from).collect();
            let total: f64 = weights.iter().sum();
            let mix = mix(&weights, users, seed);
            for (share, weight) in weights.iter().enumerate() {
                let quota = weight / total * users as f64;
                let found = count(&mix, share) as f64;
                prop_assert!((found - quota).abs() < 1.0 + 1e-9, "{found} of {quota}");
                for part in [users / 3, users / 2] {
                    let quota = weight / total * part as f64;
                    let found = count(&mix[..part as usize], share) as f64;
                    prop_assert!((found - quota).abs() < 6.0, "{found} of {quota} in {part}");
                }
                for shard in 0..shards {
                    let segment = Segment { shard, shards };
                    let own = (0..users).filter(|number| segment.owns(*number, 0));
                    let own: Vec<usize> = own.map(|number| mix[number as usize]).collect();
                    let (found, quota) =
                        (count(&own, share) as f64, weight / total * own.len() as f64);
                    prop_assert!((found - quota).abs() < 10.0 + 0.1 * quota, "{found} of {quota}");
                }
            }
        }
    }
}
