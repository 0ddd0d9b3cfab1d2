//! Schedules of segments against the schedule of the whole.

use super::*;
use crate::curve::Curve;
use crate::plan::slots::Segment;
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

/// A shard, or what a lost one leaves.
struct Owner<'a> {
    schedule: Schedule<'a>,
    parts: Vec<(SlotSet, WorkloadOffset)>,
    taken: Vec<Start>,
    is_lost: bool,
}

impl Owner<'_> {
    fn take_before(&mut self, at: u64) {
        while let Some(start) = self.schedule.peek().filter(|start| start.due.ns() < at) {
            self.schedule.advance();
            self.taken.push(start);
        }
    }
}

/// Loses a shard at `at`: its slots go to all others at `from`, which learn of it at `told`.
fn lose<'a>(
    owners: &mut [Owner<'a>],
    (lost, at, from, told): (usize, u64, u64, u64),
    mut vacancy: Schedule<'a>,
) {
    let from = WorkloadOffset::from_ns(from);
    let left: Vec<usize> =
        (0..owners.len()).filter(|one| *one != lost && !owners[*one].is_lost).collect();
    let owner = &mut owners[lost];
    owner.take_before(at);
    for (slots, from) in &owner.parts {
        vacancy.adopt(slots.clone(), *from);
    }
    vacancy.pass_over(owner.taken.len() as u64);
    vacancy.release_from(from);
    (owner.schedule, owner.is_lost) = (vacancy, true);
    let mut slots: Vec<u64> = owner.parts.iter().flat_map(|(slots, _)| slots.iter()).collect();
    slots.sort_unstable();
    for (index, one) in left.iter().enumerate() {
        let own = slots.iter().skip(index).step_by(left.len()).copied();
        let (own, owner): (SlotSet, _) = (own.collect(), &mut owners[*one]);
        owner.take_before(told);
        owner.schedule.adopt(own.clone(), from);
        owner.parts.push((own, from));
    }
}

proptest! {
    /// Shards are lost one after the other, also such as had adopted slots, and the load changes:
    /// each start is made by one shard, or left by a lost one before others have its slots.
    #[test]
    fn each_start_has_one_owner_whatever_is_lost(
        poisson: bool,
        count in prop::option::of(0u64..4_000),
        // At low rates a schedule looks far ahead.
        stages in prop::collection::vec(
            (prop_oneof![0u64..15, 0u64..600], 1u64..2_500), 1..4),
        // Which shard is lost, after how long, and when the others learn of it: also too late.
        losses in prop::collection::vec((0usize..5, 0u64..900, 0u64..900, 0u32..2_000), 0..5),
        shards in 2u64..6,
    ) {
        const MS: u64 = 1_000_000;
        let process = if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
        let arrivals = Arrivals { iterations: count, ..arrivals(process, &stages) };
        let seed = Seed::new(9).unwrap();
        let schedule = |slots| Schedule::new(&arrivals, WORKLOAD, 1_031, seed, slots);
        let mut owners: Vec<Owner<'_>> = (0..shards)
            .map(|shard| SlotSet::from(Segment { shard, shards }))
            .map(|slots| Owner {
                schedule: schedule(slots.clone()),
                parts: vec![(slots, WorkloadOffset::ZERO)],
                taken: Vec::new(),
                is_lost: false,
            })
            .collect();
        let mut whole = Owner {
            schedule: schedule(Segment::WHOLE.into()),
            parts: Vec::new(),
            taken: Vec::new(),
            is_lost: false,
        };
        let (mut now, mut last, mut curve) = (0, 0, arrivals.curve.clone());
        let mut bounds = Vec::new();
        for (lost, gap_ms, told_ms, permille) in losses {
            let at = now + gap_ms * MS;
            let (from, told) = (last.max(at + 500 * MS), at + told_ms * MS);
            let alive = owners.iter().filter(|owner| !owner.is_lost).count();
            if alive > 1 && owners.get(lost).is_some_and(|owner| !owner.is_lost) {
                let mut vacancy = schedule(SlotSet::from_iter([]));
                vacancy.replace_curve(curve.clone());
                lose(&mut owners, (lost, at, from, told), vacancy);
                bounds.push((lost, at, from));
                last = from;
            }
            // The load changes a little later: before or after the slots have moved.
            curve = curve.overridden_from(told + 50 * MS, &arrivals.curve.times(permille));
            for owner in owners.iter_mut().chain([&mut whole]) {
                owner.take_before(told);
                owner.schedule.replace_curve(curve.clone());
            }
            now = told;
        }
        for owner in owners.iter_mut().chain([&mut whole]) {
            owner.take_before(u64::MAX);
        }
        for (lost, at, from) in bounds {
            // No start of a lost shard is due in the time of others.
            let late = owners[lost].taken.iter().filter(|start| start.due.ns() >= from);
            prop_assert_eq!(late.count(), 0, "lost at {}, moved at {}", at, from);
        }
        let mut parts: Vec<Start> = owners.into_iter().flat_map(|owner| owner.taken).collect();
        parts.sort_by_key(|start| start.number);
        prop_assert_eq!(parts, whole.taken);
    }

    /// What a run that is stopped leaves is counted, too, whatever was adopted.
    #[test]
    fn remaining_starts_of_adopted_slots_are_counted(
        poisson: bool,
        stages in prop::collection::vec((0u64..600, 1u64..1_500), 1..4),
        taken in 0usize..300,
        from_ms in 0u64..4_000,
        until_ms in 0u64..4_000,
    ) {
        let process = if poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Constant };
        let arrivals = arrivals(process, &stages);
        let make = || {
            let segment = |shard| Segment { shard, shards: 3 };
            let mut schedule =
                Schedule::new(&arrivals, WORKLOAD, 1_031, Seed::new(5).unwrap(), segment(1));
            schedule.by_ref().take(taken).for_each(drop);
            schedule.peek();
            schedule.adopt(segment(2).into(), WorkloadOffset::from_ns(from_ms * 1_000_000));
            schedule.release_from(WorkloadOffset::from_ns(until_ms * 1_000_000));
            schedule
        };
        let expected = make().count() as u64;
        let (mut schedule, mut left, mut more) = (make(), 0, true);
        schedule.peek();
        while more {
            let (counted, goes_on) = schedule.count_some(64);
            (left, more) = (left + counted, goes_on);
        }
        prop_assert_eq!(left, expected);
    }
}

#[test]
fn amounts_tell_what_is_due_from_a_time_on() {
    let arrivals = arrivals(
        ArrivalProcess::Constant,
        &[(0, 300), (7, 500), (0, 0), (0, 400), (9, 0), (9, 800)],
    );
    let curve = &arrivals.curve;
    for amount in (0..).map(|start| start * ONE_START).take_while(|amount| *amount < curve.total())
    {
        let due = curve.reaches(amount).unwrap();
        for from in [0, 1, 300_000_000, 800_000_001, 900_000_000, 1_200_000_000, due, due + 1] {
            for from in [from.saturating_sub(1), from, from + 1] {
                let least = least_amount(curve, WorkloadOffset::from_ns(from));
                assert_eq!(amount >= least, due >= from, "{amount} due at {due}, from {from}");
            }
        }
    }
    assert_eq!(least_amount(curve, WorkloadOffset::NEVER), curve.total());
}
