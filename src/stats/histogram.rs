//! A latency histogram in the layout of HdrHistogram at three significant digits: 1 µs to 1 h.
//!
//! Recorders fill it, tallies merge it, snapshots read quantiles from it.
//! Invariant: the same value falls into the same bucket as in any HdrHistogram of these bounds
//! (Gil Tene, hdrhistogram.org), so counts move between the two without loss.
//!
//! Why our own: counters come in pages of one octave, made when first touched. A step whose answers
//! take 0.1 to 1 ms costs four pages of 8 KiB instead of 184 KiB, and shedding it each second
//! costs as little.

/// Counters in a page; half of HdrHistogram's sub-buckets at three digits.
const PAGE: usize = 1_024;
/// Pages up to 1 h in µs.
const PAGES: usize = 23;

/// Counts of durations in µs.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    pages: Vec<Option<Box<[u64; PAGE]>>>,
    count: u64,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
}

impl Histogram {
    /// The longest duration told apart: 1 h. Longer ones count as this.
    pub const MAX_US: u64 = 3_600_000_000;

    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, us: u64) {
        self.record_n(us, 1);
    }

    /// Counts a duration given in ns, rounded to the nearest µs.
    #[inline]
    pub fn record_ns(&mut self, ns: u64) {
        self.record_n((ns + 500) / 1_000, 1);
    }

    /// Counts the same duration `n` times.
    #[inline]
    pub fn record_n(&mut self, us: u64, n: u64) {
        if n == 0 {
            return;
        }
        let us = us.min(Self::MAX_US);
        let (page, index) = place(us);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        self.pages[page].get_or_insert_with(|| Box::new([0; PAGE]))[index] += n;
        self.min_us = if self.count == 0 { us } else { self.min_us.min(us) };
        self.max_us = self.max_us.max(us);
        self.count += n;
        self.sum_us += us * n;
    }

    /// Adds all counts of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if other.pages.len() > self.pages.len() {
            self.pages.resize_with(other.pages.len(), || None);
        }
        for (mine, theirs) in self.pages.iter_mut().zip(&other.pages) {
            match (mine, theirs) {
                (Some(mine), Some(theirs)) => {
                    mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
                }
                (mine @ None, Some(_)) => mine.clone_from(theirs),
                (_, None) => {}
            }
        }
        self.min_us = if self.count == 0 { other.min_us } else { self.min_us.min(other.min_us) };
        self.max_us = self.max_us.max(other.max_us);
        self.count += other.count;
        self.sum_us += other.sum_us;
    }

    /// How many durations were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The shortest, exact; zero when empty.
    pub const fn min_us(&self) -> u64 {
        self.min_us
    }

    /// The longest, exact; zero when empty.
    pub const fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The sum, exact.
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// The mean in µs; zero when empty.
    pub fn mean_us(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_us as f64 / self.count as f64 }
    }

    /// The duration of rank `rank` (1 is the shortest): the highest value of its bucket, but never
    /// more than the longest seen. Zero when there is no such rank.
    pub fn at_rank(&self, rank: u64) -> u64 {
        let mut left = rank;
        for (us, count) in self.buckets() {
            if left <= count {
                return us.min(self.max_us);
            }
            left -= count;
        }
        0
    }

    /// The non-empty buckets in order, as their highest value and count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.pages.iter().enumerate().flat_map(|(page, counters)| {
            counters.iter().flat_map(move |counters| {
                counters
                    .iter()
                    .enumerate()
                    .filter(|(_, count)| **count > 0)
                    .map(move |(index, count)| (highest(page, index), *count))
            })
        })
    }

    /// How many counted durations are at most `us`, to the precision of a bucket.
    pub fn count_up_to(&self, us: u64) -> u64 {
        let limit = highest_of(us);
        self.buckets().take_while(|(value, _)| *value <= limit).map(|(_, count)| count).sum()
    }
}

/// The page and the index in it of a value up to `MAX_US`.
#[inline]
const fn place(us: u64) -> (usize, usize) {
    let page = 64 - (us | (PAGE as u64 - 1)).leading_zeros() as usize - 10;
    let shift = page.saturating_sub(1);
    (page, (us >> shift) as usize & (PAGE - 1))
}

/// The highest value of a bucket.
const fn highest(page: usize, index: usize) -> u64 {
    if page == 0 {
        return index as u64;
    }
    let shift = page - 1;
    (((PAGE + index) as u64) << shift) + (1 << shift) - 1
}

const fn highest_of(us: u64) -> u64 {
    let (page, index) = place(if us < Histogram::MAX_US { us } else { Histogram::MAX_US });
    highest(page, index)
}

const _: () = assert!(place(Histogram::MAX_US).0 == PAGES - 1);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<u64>> {
        // All octaves alike: durations are spread over magnitudes.
        prop::collection::vec((0u32..33, any::<u64>()), 1..300).prop_map(|draws| {
            draws.into_iter().map(|(bits, draw)| draw & ((1 << bits) - 1)).collect()
        })
    }

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&us| histogram.record(us));
        histogram
    }

    proptest! {
        /// The oracle: the hdrhistogram crate with the same bounds and digits.
        #[test]
        fn agrees_with_hdrhistogram(values in values(), p in 0.0f64..=1.0) {
            let ours = of(&values);
            let mut theirs =
                hdrhistogram::Histogram::<u64>::new_with_bounds(1, Histogram::MAX_US, 3).unwrap();
            for &us in &values {
                theirs.record(us.min(Histogram::MAX_US)).unwrap();
            }
            let rank = ((p * values.len() as f64).ceil() as u64).max(1);
            let wanted = theirs.value_at_quantile(p);
            prop_assert_eq!(ours.at_rank(rank).min(ours.max_us()), wanted.min(ours.max_us()));
            prop_assert_eq!(ours.count(), theirs.len());
            for (us, count) in ours.buckets() {
                prop_assert_eq!(theirs.count_at(us), count);
            }
        }

        /// Merging in any grouping is the same as recording in one place.
        #[test]
        fn merging_is_recording(a in values(), b in values(), c in values()) {
            let mut left = of(&a);
            left.merge(&of(&b));
            left.merge(&of(&c));
            let mut right = of(&c);
            let mut pair = of(&b);
            pair.merge(&of(&a));
            right.merge(&pair);
            let whole = of(&[a, b, c].concat());
            for other in [&left, &right] {
                prop_assert!(other.buckets().eq(whole.buckets()));
                prop_assert_eq!(
                    (other.count(), other.sum_us(), other.min_us(), other.max_us()),
                    (whole.count(), whole.sum_us(), whole.min_us(), whole.max_us())
                );
            }
        }

        /// Against sorted values: a quantile is right to 0.1 %.
        #[test]
        fn a_rank_is_right_to_a_thousandth(mut values in values(), share in 0.0f64..1.0) {
            let histogram = of(&values);
            values.iter_mut().for_each(|us| *us = (*us).min(Histogram::MAX_US));
            values.sort_unstable();
            let index = (share * values.len() as f64) as usize;
            let exact = values[index] as f64;
            let found = histogram.at_rank(index as u64 + 1) as f64;
            prop_assert!(found >= exact && found <= exact * 1.001 + 1e-9, "{found} for {exact}");
        }
    }
}
