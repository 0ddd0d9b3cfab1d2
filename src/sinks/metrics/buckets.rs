//! Distributions in the buckets that receivers of metrics know: bounds of our own, or exponential
//! ones.
//!
//! Encoders call it.
//! Invariant: the counts of all buckets add up to the number of times; a time that is not known is
//! above every bound. A count never falls while times are added: receivers would take that for a
//! new start of the counter.

use std::collections::BTreeMap;

use super::family::Times;
pub use crate::stats::traced_calls::BOUNDS_US;

/// Maximum number of exponential buckets: that of the client libraries of Prometheus and
/// OpenTelemetry.
const MAX_BUCKETS: usize = 160;

/// The finest schema: 256 buckets for each doubling.
const FINEST: i32 = 8;

/// The binary logarithm of the seconds that times which are not known count as where no bucket is
/// infinite: 8,192 s, above every known time, which is an hour at most.
const BEYOND: i32 = 13;

/// The number of times at or below each bound of [`BOUNDS_US`].
///
/// Times are kept with three digits: one that is less than 0.1 % above a bound may be counted below
/// it.
pub(super) fn cumulative(times: &Times<'_>) -> [u64; BOUNDS_US.len()] {
    let mut counts = [0; BOUNDS_US.len()];
    let (mut total, mut at) = (0, 0);
    for (highest, count) in times.known.buckets() {
        let lowest = lowest(highest);
        while BOUNDS_US.get(at).is_some_and(|bound| *bound < lowest) {
            counts[at] = total;
            at += 1;
        }
        total += count;
    }
    counts[at..].fill(total);
    counts
}

/// Counts in buckets whose bounds are powers of `2^(2^-schema)` seconds.
///
/// Bucket `i` has the times above `base^(i-1)` and up to `base^i`; see the specification of native
/// histograms of Prometheus.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::sinks) struct ExponentialBuckets {
    /// How fine the buckets are: `base = 2^(2^-schema)`.
    pub(in crate::sinks) schema: i32,
    /// Times of zero.
    pub(in crate::sinks) zeros: u64,
    /// The others, by the index of their bucket.
    pub(in crate::sinks) counts: BTreeMap<i32, u64>,
}

impl ExponentialBuckets {
    /// The known times, as finely as [`MAX_BUCKETS`] permit.
    pub(super) fn of(times: &Times<'_>) -> Self {
        let mut all = Self::finest(times);
        while all.counts.len() > MAX_BUCKETS {
            all.halve();
        }
        all
    }

    /// All times in at most [`MAX_BUCKETS`] indices that follow each other; those that are not
    /// known in a bucket above every known one.
    pub(in crate::sinks) fn contiguous(times: &Times<'_>) -> Self {
        let mut all = Self::finest(times);
        if times.unknown > 0 {
            all.counts.insert(BEYOND << FINEST, times.unknown);
        }
        while all.range().len() > MAX_BUCKETS {
            all.halve();
        }
        all
    }

    /// The indices from the first bucket to the last.
    pub(in crate::sinks) fn range(&self) -> std::ops::Range<i32> {
        let first = self.counts.first_key_value().map_or(0, |(index, _)| *index);
        first..self.counts.last_key_value().map_or(0, |(index, _)| *index + 1)
    }

    fn finest(times: &Times<'_>) -> Self {
        let mut all = Self { schema: FINEST, ..Self::default() };
        for (highest, count) in times.known.buckets() {
            let us = lowest(highest);
            if us == 0 {
                all.zeros += count;
            } else {
                *all.counts.entry(index(us, FINEST)).or_default() += count;
            }
        }
        all
    }

    /// Merges each two neighbours.
    fn halve(&mut self) {
        let mut merged = BTreeMap::new();
        for (index, count) in std::mem::take(&mut self.counts) {
            *merged.entry((index + 1).div_euclid(2)).or_default() += count;
        }
        self.counts = merged;
        self.schema -= 1;
    }

    /// The index of the bucket of times that are not known: above all finite ones.
    pub(super) const fn unknown_index(&self) -> i32 {
        let last = if self.schema < 0 { 1_024 >> -self.schema } else { 1_024 << self.schema };
        last + 1
    }
}

/// The shortest time of the bucket of a [`Histogram`](crate::stats::Histogram) whose longest one is
/// `highest`: 1,024 buckets for each doubling above 2,048 µs, one for each µs below.
fn lowest(highest: u64) -> u64 {
    let digits = highest.checked_ilog2().unwrap_or(0).saturating_sub(10);
    highest >> digits << digits
}

/// The index of the bucket of a time.
fn index(us: u64, schema: i32) -> i32 {
    let scale = f64::from(1u32 << schema);
    ((us as f64 / 1e6).log2() * scale).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Histogram, Latency, Untimed};

    #[test]
    fn counts_of_bounds_rise_and_leave_out_what_is_not_known() {
        let mut latency = Latency::default();
        for us in [0, 100, 101, 90_000, 100_000, 59_000_000, 3_000_000_000] {
            latency.record_response(us * 1_000);
        }
        latency.record_at_least(5_000_000_000);
        latency.record_untimed(Untimed::NoResponse);
        let times = Times::from(&latency);
        assert_eq!((times.count(), times.unknown), (9, 2));
        assert!((times.sum_s() - 3_064.190_201).abs() < 1e-9, "{}", times.sum_s());
        let counts = cumulative(&times);
        let at = |us| counts[BOUNDS_US.iter().position(|bound| *bound == us).unwrap()];
        // 100,000 µs lies in the bucket of 99,968 to 100,031.
        assert_eq!([100, 250, 50_000, 100_000, 250_000].map(at), [2, 3, 3, 5, 5]);
        assert_eq!([30_000_000, 60_000_000].map(at), [5, 6]);
        let mut single = Histogram::default();
        single.record(100_000);
        assert_eq!(cumulative(&Times::from(&single))[9], 1, "a bound belongs to its bucket");
    }

    #[test]
    fn counts_never_fall_while_longer_times_are_added() {
        // Each is a bound, or just below one, and the longest time so far.
        let mut growing = Histogram::default();
        let (mut former, mut former_native) = ([0; BOUNDS_US.len()], BTreeMap::new());
        for us in BOUNDS_US.into_iter().flat_map(|us| [us - us / 4_000, us, us + us / 900]) {
            growing.record(us);
            let counts = cumulative(&Times::from(&growing));
            assert!(counts.iter().zip(former).all(|(now, then)| *now >= then), "{us}: {counts:?}");
            let native = ExponentialBuckets::of(&Times::from(&growing));
            assert_eq!(native.schema, FINEST);
            let has_fallen = |(index, then): (&i32, &u64)| native.counts.get(index) < Some(then);
            assert!(!former_native.iter().any(has_fallen), "{us}: {native:?}");
            (former, former_native) = (counts, native.counts);
        }
    }

    #[test]
    fn exponential_buckets_hold_each_value_within_their_bounds() {
        for us in [1, 2, 999, 1_000, 1_500_000, 3_600_000_000u64] {
            let mut one = Histogram::default();
            one.record(us);
            let buckets = ExponentialBuckets::of(&Times::from(&one));
            assert_eq!(buckets.schema, FINEST);
            let (index, count) = buckets.counts.first_key_value().unwrap();
            let bound = |index: i32| (f64::from(index) / 256.0).exp2() * 1e6;
            assert_eq!(*count, 1);
            let us = lowest(us) as f64;
            assert!(bound(index - 1) < us && us <= bound(*index) * 1.000_001, "{us}");
        }
        // One second is exactly a power of two.
        assert_eq!(index(1_000_000, FINEST), 0);
        assert_eq!((index(2_000_000, 0), index(2_000_001, 0)), (1, 2));
    }

    #[test]
    fn many_buckets_become_coarser_ones_with_the_same_counts() {
        let mut wide = Histogram::default();
        (0..40_000u64).for_each(|n| wide.record(n * n % 900_000_007));
        let buckets = ExponentialBuckets::of(&Times::from(&wide));
        assert!(buckets.schema < FINEST && buckets.counts.len() <= MAX_BUCKETS);
        let all: u64 = buckets.counts.values().sum();
        assert_eq!(all + buckets.zeros, 40_000);
        // Each value is in the bucket that its schema gives it, but for the precision of three
        // digits.
        for (us, _) in wide.buckets().filter(|(us, _)| *us > 0) {
            assert!(buckets.counts.contains_key(&index(lowest(us), buckets.schema)));
        }
    }
}
