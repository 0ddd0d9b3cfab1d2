//! A latency histogram in the layout of HdrHistogram at three significant digits: 1 µs to 1 h.
//!
//! Recorders fill it, tallies merge it, snapshots read quantiles from it.
//! Invariant: a value falls into the same bucket as in any HdrHistogram of these bounds (Gil Tene,
//! hdrhistogram.org), so counts move between the two without loss.
//!
//! Why not the crate: most histograms of a run are small. A step's responses of one second are a
//! few hundred values, and HdrHistogram would spend 184 KiB on them. So a histogram begins as a
//! sorted list of non-empty buckets; a busy one changes to pages, allocated when first used.

/// Half of HdrHistogram's sub-buckets at three digits: the buckets of an octave.
const HALF: usize = 1_024;
/// Counters per page: an eighth of an octave, 1 KiB. The tail of a distribution touches a few of
/// them in each octave, and ten seconds are held at a time, with several histograms each.
const PAGE: usize = 128;
/// Pages up to 1 h in µs, 23 octaves.
const PAGES: usize = 23 * HALF / PAGE;
/// Above this number of values a histogram is busy, and pages are cheaper than a list.
const BUSY: u64 = 4_096;

/// Counts of durations in µs.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: Counts,
    count: u64,
    sum_us: u64,
    min_us: u64,
    max_us: u64,
}

#[derive(Clone, Debug)]
enum Counts {
    /// Buckets and their counts, in order; and the index of the last value's bucket.
    List(Vec<(u16, u32)>, usize),
    Pages(Vec<Option<Box<[u64; PAGE]>>>),
}

impl Default for Counts {
    fn default() -> Self {
        Self::List(Vec::new(), 0)
    }
}

impl Histogram {
    /// The longest duration that is distinguished: 1 h. Longer ones count as this.
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
        self.min_us = if self.count == 0 { us } else { self.min_us.min(us) };
        self.max_us = self.max_us.max(us);
        self.count += n;
        self.sum_us += us * n;
        if self.count > BUSY && self.counts.is_list() {
            self.counts.convert_to_pages();
        }
        self.counts.add(bucket_of(us), n);
    }

    /// Adds all counts of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        self.min_us = if self.count == 0 { other.min_us } else { self.min_us.min(other.min_us) };
        self.max_us = self.max_us.max(other.max_us);
        self.count += other.count;
        self.sum_us += other.sum_us;
        if self.count > BUSY && self.counts.is_list() {
            self.counts.convert_to_pages();
        }
        self.counts.merge(&other.counts);
    }

    /// Returns the counts without those of `part`, all of which must be included here. Minimum and
    /// maximum are exact to a bucket, the sum is exact.
    #[must_use]
    pub fn without(&self, part: &Self) -> Self {
        let mut taken = part.buckets().peekable();
        let mut rest = Self::default();
        for (us, count) in self.buckets() {
            let gone = taken.next_if(|(known, _)| *known == us).map_or(0, |(_, gone)| gone);
            rest.record_n(us.min(self.max_us), count.saturating_sub(gone));
        }
        rest.sum_us = self.sum_us.saturating_sub(part.sum_us);
        rest
    }

    /// Restores a histogram from its buckets, each given as a value in it and its count, and its
    /// exact figures.
    pub(crate) fn restored(buckets: &[(u64, u64)], sum_us: u64, min_us: u64, max_us: u64) -> Self {
        let mut all = Self::default();
        buckets.iter().for_each(|(us, count)| all.record_n(*us, *count));
        Self { sum_us, min_us, max_us, ..all }
    }

    /// A sum over all values that two histograms share only if they have the same counts in the
    /// same buckets, but for one chance in 2⁶⁴. Those of parts add up to that of the whole.
    pub fn check_sum(&self) -> u64 {
        let weigh = |(us, count): (u64, u64)| splitmix(us).wrapping_mul(count);
        self.buckets().map(weigh).fold(0, u64::wrapping_add)
    }

    /// The number of durations.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The shortest duration, exact; zero if empty.
    pub const fn min_us(&self) -> u64 {
        self.min_us
    }

    /// The longest duration, exact; zero if empty.
    pub const fn max_us(&self) -> u64 {
        self.max_us
    }

    /// The sum, exact.
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// The mean in µs; zero if empty.
    pub fn mean_us(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum_us as f64 / self.count as f64 }
    }

    /// The percentile (0 to 100) by nearest rank, µs; zero if empty.
    pub fn percentile_us(&self, percentile: f64) -> u64 {
        self.at_rank(((percentile / 100.0 * self.count as f64).ceil() as u64).max(1))
    }

    /// The duration of rank `rank` (1 is the shortest): the highest value of its bucket, but at
    /// most the longest recorded. Zero if there is no such rank.
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
        let (list_part, page_part) = match &self.counts {
            Counts::List(list, _) => (list.as_slice(), &[][..]),
            Counts::Pages(pages) => (&[][..], pages.as_slice()),
        };
        let list_part = list_part.iter().map(|&(bucket, count)| (bucket, u64::from(count)));
        let page_part = (0u16..).step_by(PAGE).zip(page_part).flat_map(|(first, page)| {
            page.iter().flat_map(move |page| (first..).zip(page.iter().copied()))
        });
        list_part
            .chain(page_part.filter(|(_, count)| *count > 0))
            .map(|(bucket, count)| (highest(bucket), count))
    }
}

impl Counts {
    #[expect(clippy::inline_always, reason = "a call less for each of a request's ten durations")]
    #[inline(always)]
    fn add(&mut self, bucket: u16, n: u64) {
        match self {
            Self::List(list, last) => {
                // Most values fall into the bucket of the last one: lag and body times are nearly
                // always 0.
                if list.get(*last).is_none_or(|(known, _)| *known != bucket) {
                    *last = match list.binary_search_by_key(&bucket, |(known, _)| *known) {
                        Ok(place) => place,
                        Err(place) => {
                            list.insert(place, (bucket, 0));
                            place
                        }
                    };
                }
                // At most BUSY in all, so the cast is lossless.
                list[*last].1 += n as u32;
            }
            Self::Pages(pages) => page_of(pages, bucket)[usize::from(bucket) % PAGE] += n,
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Pages(mine), Self::Pages(theirs)) => {
                for (first, theirs) in (0u16..).step_by(PAGE).zip(theirs) {
                    let Some(theirs) = theirs else { continue };
                    let mine = page_of(mine, first).iter_mut();
                    mine.zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
                }
            }
            (mine, Self::List(list, _)) => {
                list.iter().for_each(|(bucket, count)| mine.add(*bucket, u64::from(*count)));
            }
            // The sum of counts exceeds BUSY if a part's does, so it has changed to pages already.
            (Self::List(..), Self::Pages(_)) => {
                debug_assert!(false, "a busy part of a quiet whole");
            }
        }
    }

    #[inline]
    fn is_list(&self) -> bool {
        matches!(self, Self::List(..))
    }

    /// Happens once per histogram: not inlined, to keep `record` small.
    #[cold]
    #[inline(never)]
    fn convert_to_pages(&mut self) {
        if let Self::List(list, _) = self {
            let list = std::mem::take(list);
            *self = Self::Pages(Vec::new());
            list.into_iter().for_each(|(bucket, count)| self.add(bucket, u64::from(count)));
        }
    }
}

/// The page of a bucket, allocated when first used.
#[inline]
fn page_of(pages: &mut Vec<Option<Box<[u64; PAGE]>>>, bucket: u16) -> &mut [u64; PAGE] {
    let index = usize::from(bucket) / PAGE;
    if index >= pages.len() {
        pages.resize_with(index + 1, || None);
    }
    pages[index].get_or_insert_with(|| Box::new([0; PAGE]))
}

/// The bucket of a value up to `MAX_US`: page number and index in the page.
#[inline]
const fn bucket_of(us: u64) -> u16 {
    let page = 64 - (us | (HALF as u64 - 1)).leading_zeros() as usize - 10;
    let shift = page.saturating_sub(1);
    (page * HALF + ((us >> shift) as usize & (HALF - 1))) as u16
}

/// The highest value of a bucket.
const fn highest(bucket: u16) -> u64 {
    let (page, index) = (bucket as usize / HALF, bucket as usize % HALF);
    if page == 0 {
        return index as u64;
    }
    let shift = page - 1;
    (((HALF + index) as u64) << shift) + (1 << shift) - 1
}

const _: () = assert!(bucket_of(Histogram::MAX_US) as usize / PAGE < PAGES);

/// Mixes the bits of a number (Sebastiano Vigna's splitmix64).
const fn splitmix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Vec<u64>> {
        // Both representations, and all octaves equally: durations are spread over magnitudes.
        let size = prop_oneof![1usize..300, (BUSY as usize - 50)..(BUSY as usize + 200)];
        size.prop_flat_map(draws)
    }

    fn draws(size: usize) -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((0u32..33, any::<u64>()), size).prop_map(|draws| {
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
        fn merging_equals_recording(a in values(), b in values(), c in values()) {
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

        /// Against sorted values: a quantile is exact to 0.1 %.
        #[test]
        fn rank_is_exact_to_a_thousandth(mut values in values(), share in 0.0f64..1.0) {
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
