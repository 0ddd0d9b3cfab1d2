//! The open model: which starts a segment owns, and when each is due.
//!
//! `engine` takes starts from it in order.
//! Invariant: start k is due at the same ns for every segment; its due time never moves because
//! starts are late, only by a schedule change, and then for all segments alike.

use std::borrow::Cow;

use rand_distr::{Distribution, Exp1};

use crate::clock::WorkloadOffset;
use crate::curve::{Curve, ONE_START};
use crate::ids::WorkloadId;
use crate::plan::slots::Segment;
use crate::plan::{ArrivalProcess, Arrivals};
use crate::seed::{Rng, Seed, Stream};

/// A start of the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// When the start is due.
    pub due: WorkloadOffset,
    /// Number of the start over the whole run.
    pub number: u64,
}

/// The starts of one workload that one segment owns, in order.
#[derive(Debug)]
pub struct Schedule<'p> {
    arrivals: &'p Arrivals,
    /// The current target rate.
    curve: Cow<'p, Curve>,
    segment: Segment,
    slot_offset: u64,
    /// The number of the next start, owned or not.
    number: u64,
    /// The integral at which that start is due.
    amount: u128,
    gaps: Option<Rng>,
    /// The integral at the end of the curve.
    total: u128,
    /// The owned start that was found and not taken yet: its number and amount…
    found: Option<(u64, u128)>,
    /// …and when it is due.
    next: Option<Start>,
}

impl<'p> Schedule<'p> {
    /// Creates the schedule of the starts of `workload` that `segment` owns.
    pub fn new(
        arrivals: &'p Arrivals,
        workload: WorkloadId,
        slot_offset: u64,
        seed: Seed,
        segment: Segment,
    ) -> Self {
        let mut schedule = Self {
            arrivals,
            curve: Cow::Borrowed(&arrivals.curve),
            segment,
            slot_offset,
            number: 0,
            amount: 0,
            total: arrivals.curve.total(),
            found: None,
            next: None,
            gaps: match arrivals.process {
                ArrivalProcess::Constant => None,
                // One stream for the whole workload: every segment computes all starts and keeps
                // its own, so arrivals are the same for any number of shards.
                ArrivalProcess::Poisson => {
                    Some(seed.rng(Stream::Arrivals, workload.index() as u64, 0))
                }
            },
        };
        // The first arrival of a Poisson process is one gap after the beginning.
        schedule.amount = schedule.gap(0);
        schedule
    }

    fn gap(&mut self, even: u128) -> u128 {
        match &mut self.gaps {
            None => even,
            Some(rng) => {
                let gap: f64 = Exp1.sample(rng);
                // The integral is advanced in integers: gaps add up without rounding.
                (gap * ONE_START as f64) as u128
            }
        }
    }
}

impl Schedule<'_> {
    /// Replaces the rate by a curve that is the old one up to now: starts that were not taken yet
    /// are due where its integral reaches their amounts.
    pub fn replace_curve(&mut self, curve: Curve) {
        self.total = curve.total();
        self.curve = Cow::Owned(curve);
        self.next = None;
    }

    /// Returns the next owned start, without taking it; after `None` a schedule change may add
    /// starts.
    pub fn peek(&mut self) -> Option<Start> {
        if self.next.is_none() {
            while self.found.is_none() {
                let step = self.step()?;
                self.found = self.segment.owns(step.0, self.slot_offset).then_some(step);
            }
            let (number, amount) = self.found?;
            self.next = self
                .curve
                .reaches(amount)
                .map(|due_ns| Start { due: WorkloadOffset::from_ns(due_ns), number });
        }
        self.next
    }

    /// Takes the start that `peek` returned.
    pub fn advance(&mut self) {
        (self.found, self.next) = (None, None);
    }

    /// Takes the next `count` owned starts, without computing when they are due.
    pub fn pass_over(&mut self, count: u64) {
        for _ in 0..count {
            while self.found.is_none() {
                let Some(step) = self.step() else { return };
                self.found = self.segment.owns(step.0, self.slot_offset).then_some(step);
            }
            self.advance();
        }
    }

    /// Whether all starts of a fixed count are taken: no schedule change adds one.
    pub fn is_spent(&self) -> bool {
        self.found.is_none() && self.arrivals.iterations.is_some_and(|most| self.number >= most)
    }

    /// Counts owned starts among the next `most` of the whole schedule, without computing when they
    /// are due; also returns whether there may be more.
    pub fn count_some(&mut self, most: u64) -> (u64, bool) {
        let found = self.found.take().is_some_and(|(_, amount)| amount < self.total);
        let mut counted = u64::from(found);
        if self.gaps.is_none() {
            // Evenly spaced: start k is before the end while k · ONE_START is less than the total.
            let all = u64::try_from(self.total.div_ceil(ONE_START)).unwrap_or(u64::MAX);
            let end = self.arrivals.iterations.map_or(all, |most| most.min(all));
            counted += self.segment.count(self.number, end, self.slot_offset);
            self.number = end;
            return (counted, false);
        }
        for _ in 0..most {
            match self.step() {
                None => return (counted, false),
                Some((number, _)) => {
                    counted += u64::from(self.segment.owns(number, self.slot_offset));
                }
            }
        }
        (counted, true)
    }

    /// Advances to the next start of the whole schedule; returns its number and amount.
    fn step(&mut self) -> Option<(u64, u128)> {
        let (number, amount) = (self.number, self.amount);
        if self.arrivals.iterations.is_some_and(|most| number >= most) || amount >= self.total {
            return None;
        }
        self.number += 1;
        let gap = self.gap(ONE_START);
        self.amount += gap;
        Some((number, amount))
    }
}

impl Iterator for Schedule<'_> {
    type Item = Start;

    fn next(&mut self) -> Option<Start> {
        let start = self.peek();
        self.advance();
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Curve;
    use crate::units::Rate;
    use proptest::prelude::*;
    use std::time::Duration;

    const WORKLOAD: WorkloadId = WorkloadId::new(3);

    fn arrivals(process: ArrivalProcess, stages: &[(u64, u64)]) -> Arrivals {
        let mut curve = Curve::default();
        for (per_s, ms) in stages {
            curve.ramp(per_s * Rate::UNITS_PER_S, Duration::from_millis(*ms));
        }
        Arrivals { process, curve, iterations: None, max_users: 1, fresh_connections: false }
    }

    fn starts(arrivals: &Arrivals, seed: u64, segment: Segment) -> Vec<Start> {
        Schedule::new(arrivals, WORKLOAD, 1_031, Seed::new(seed).unwrap(), segment).collect()
    }

    proptest! {
        /// Any number of shards makes the same traffic.
        #[test]
        fn union_of_all_segments_is_the_whole_schedule(
            seed in 0u64..1 << 53,
            poisson: bool,
            stages in prop::collection::vec((0u64..3_000, 1u64..1_500), 1..4),
            shards in 2u64..9,
        ) {
            let process = if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
            let arrivals = arrivals(process, &stages);
            let whole = starts(&arrivals, seed, Segment::WHOLE);
            prop_assert!(whole.is_sorted_by_key(|start| start.due));
            prop_assert!(whole.iter().zip(0..).all(|(start, number)| start.number == number));
            let mut parts: Vec<Start> = (0..shards)
                .flat_map(|shard| starts(&arrivals, seed, Segment { shard, shards }))
                .collect();
            parts.sort_by_key(|start| start.number);
            prop_assert_eq!(parts, whole);
        }
    }

    #[test]
    fn skipped_starts_are_those_that_would_be_taken() {
        for process in [ArrivalProcess::Poisson, ArrivalProcess::Constant] {
            let arrivals = arrivals(process, &[(1_000, 0), (1_000, 3_000), (10, 777)]);
            let segment = Segment { shard: 2, shards: 3 };
            let all = starts(&arrivals, 5, segment);
            for (peeks, count) in [(false, 0), (true, 0), (false, 17), (true, 400), (true, 9_999)] {
                let seed = Seed::new(5).unwrap();
                let mut schedule = Schedule::new(&arrivals, WORKLOAD, 1_031, seed, segment);
                if peeks {
                    schedule.peek();
                }
                schedule.pass_over(count);
                let left: Vec<Start> = schedule.collect();
                assert_eq!(left, all[(count as usize).min(all.len())..], "{process:?} {count}");
            }
        }
    }

    #[test]
    fn remaining_starts_are_counted_without_due_times() {
        for process in [ArrivalProcess::Poisson, ArrivalProcess::Constant] {
            let arrivals = arrivals(process, &[(1_000, 0), (1_000, 3_000), (10, 777)]);
            let segment = Segment { shard: 1, shards: 3 };
            let all = starts(&arrivals, 5, segment).len() as u64;
            let seed = Seed::new(5).unwrap();
            let mut schedule = Schedule::new(&arrivals, WORKLOAD, 1_031, seed, segment);
            schedule.by_ref().take(100).for_each(drop);
            schedule.peek();
            let (mut left, mut more) = (0, true);
            while more {
                let (counted, goes_on) = schedule.count_some(64);
                (left, more) = (left + counted, goes_on);
            }
            assert_eq!(left + 100, all, "{process:?}");
        }
    }

    /// All starts of a segment if the rate is changed at some times: starts due before are taken
    /// before.
    fn overridden(
        arrivals: &Arrivals,
        changes: &[(u64, u32)],
        segment: Segment,
        count_after: Option<usize>,
    ) -> (Vec<Start>, u64) {
        let seed = Seed::new(9).unwrap();
        let mut schedule = Schedule::new(arrivals, WORKLOAD, 1_031, seed, segment);
        let (mut starts, mut curve) = (Vec::new(), arrivals.curve.clone());
        for (at, permille) in changes {
            // Known a little before it takes effect, as in a run.
            let known = at.saturating_sub(200_000_000);
            while let Some(start) = schedule.peek().filter(|start| start.due.ns() < known) {
                schedule.advance();
                starts.push(start);
            }
            curve = curve.overridden_from(*at, &arrivals.curve.times(*permille));
            schedule.replace_curve(curve.clone());
        }
        starts.extend(schedule.by_ref().take(count_after.unwrap_or(usize::MAX)));
        let (mut left, mut more) = (0, true);
        while more {
            let (counted, goes_on) = schedule.count_some(64);
            (left, more) = (left + counted, goes_on);
        }
        (starts, left)
    }

    proptest! {
        /// For a changed schedule, too, the union of all segments is the whole schedule, and start
        /// k is due where the integral of the target rate reaches it.
        #[test]
        fn changed_schedule_is_the_same_for_any_number_of_shards(
            poisson: bool,
            count in prop::option::of(0u64..4_000),
            stages in prop::collection::vec((0u64..3_000, 1u64..1_500), 1..4),
            changes in prop::collection::vec((1u64..2_000, 0u32..3_000), 0..5),
            shards in 2u64..6,
            taken in prop::option::of(0usize..50),
        ) {
            let process = if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
            let arrivals = Arrivals { iterations: count, ..arrivals(process, &stages) };
            let mut at = 0;
            let changes: Vec<(u64, u32)> = changes
                .iter()
                .map(|(ms, permille)| {
                    at += ms * 1_000_000;
                    (at, *permille)
                })
                .collect();
            let (whole, none) = overridden(&arrivals, &changes, Segment::WHOLE, None);
            prop_assert_eq!(none, 0);
            prop_assert!(whole.is_sorted_by_key(|start| start.due));
            prop_assert!(whole.iter().zip(0..).all(|(start, number)| start.number == number));
            let segments = (0..shards).map(|shard| Segment { shard, shards });
            let parts = segments.map(|segment| overridden(&arrivals, &changes, segment, None).0);
            let mut parts: Vec<Start> = parts.flatten().collect();
            parts.sort_by_key(|start| start.number);
            prop_assert_eq!(&parts, &whole);
            let segments = (0..shards).map(|shard| Segment { shard, shards });
            let counted: u64 = segments
                .map(|segment| overridden(&arrivals, &changes, segment, taken))
                .map(|(taken, left)| taken.len() as u64 + left)
                .sum();
            prop_assert_eq!(counted, whole.len() as u64, "what is left is counted");
            if !poisson && count.is_none() {
                let mut curve = arrivals.curve.clone();
                for (at, permille) in &changes {
                    curve = curve.overridden_from(*at, &arrivals.curve.times(*permille));
                }
                prop_assert_eq!(whole.len() as u128, curve.total().div_ceil(ONE_START));
            }
        }
    }

    #[test]
    fn poisson_has_its_mean_and_variance() {
        // 1000/s for 100 s: N ~ Poisson(10⁵), so |N − 10⁵| < 4·√10⁵ ≈ 1265 but for 6 in 10⁵ seeds.
        let arrivals = arrivals(ArrivalProcess::Poisson, &[(1_000, 0), (1_000, 100_000)]);
        let starts = starts(&arrivals, 42, Segment::WHOLE);
        let count = starts.len() as f64;
        assert!((count - 1e5).abs() < 1_265.0, "{count}");
        // Exponential gaps: mean and standard deviation are both 1 ms; P(gap > mean) = 1/e.
        let gaps: Vec<f64> =
            starts.windows(2).map(|pair| pair[1].due.since(pair[0].due) as f64 / 1e6).collect();
        let mean = gaps.iter().sum::<f64>() / count;
        let sd = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count).sqrt();
        let over = gaps.iter().filter(|gap| **gap > 1.0).count() as f64 / count;
        assert!((mean - 1.0).abs() < 0.013 && (sd - 1.0).abs() < 0.02, "{mean} {sd}");
        assert!((over - (-1.0f64).exp()).abs() < 0.01, "{over}");
    }

    #[test]
    fn count_ends_schedule_before_the_curve() {
        let mut arrivals = arrivals(ArrivalProcess::Constant, &[(100, 0), (100, 1_000)]);
        arrivals.iterations = Some(30);
        assert_eq!(starts(&arrivals, 1, Segment::WHOLE).len(), 30);
    }
}
