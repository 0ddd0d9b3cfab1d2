//! The closed model: which users an owner of slots has, when each enters and when it must leave.
//!
//! `engine` starts users by it.
//! Invariant: users are numbered over the whole run; the highest numbers leave first.

use crate::clock::WorkloadOffset;
use crate::curve::Curve;
use crate::plan::slots::SlotSet;

/// One user's presence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stay {
    /// When the user enters.
    pub enter: WorkloadOffset,
    /// Number of the stay over the whole run.
    pub number: u64,
    /// When the user starts no further iteration.
    pub leave: WorkloadOffset,
    /// How often it was present before: the level may fall and rise again.
    pub visit: u64,
}

/// Returns the stays of the users in `slots`, by time of entry.
pub fn stays(curve: &Curve, slot_offset: u64, slots: &SlotSet) -> Vec<Stay> {
    let mut stays: Vec<Stay> = (0..curve.peak())
        .filter(|number| slots.owns(*number, slot_offset))
        .flat_map(|number| {
            let stays = (0..).zip(curve.stays(number));
            stays.map(move |(visit, (enter_ns, leave_ns))| Stay {
                enter: WorkloadOffset::from_ns(enter_ns),
                number,
                leave: WorkloadOffset::from_ns(leave_ns),
                visit,
            })
        })
        .collect();
    stays.sort_unstable();
    stays
}

/// Returns the stays of an owner that adopts `slots` at `from`: users that are there by then enter
/// at that time.
pub fn stays_from(
    curve: &Curve,
    slot_offset: u64,
    slots: &SlotSet,
    from: WorkloadOffset,
) -> Vec<Stay> {
    let mut stays = stays(curve, slot_offset, slots);
    stays.retain(|stay| stay.enter >= from || stay.leave > from);
    stays.iter_mut().for_each(|stay| stay.enter = stay.enter.max(from));
    stays.sort_unstable();
    stays
}

/// Ends stays at `until`, and removes those that would begin then or later.
pub fn clip(stays: &mut Vec<Stay>, until: WorkloadOffset) {
    stays.retain(|stay| stay.enter < until);
    stays.iter_mut().for_each(|stay| stay.leave = stay.leave.min(until));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::slots::Segment;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        #[test]
        fn union_of_all_segments_is_the_whole_population(
            stages in prop::collection::vec((0u64..60, 0u64..1_500), 1..5),
            shards in 2u64..9,
        ) {
            let mut curve = Curve::default();
            for (users, ms) in stages {
                curve.ramp(users, Duration::from_millis(ms));
            }
            let whole = stays(&curve, 5, &Segment::WHOLE.into());
            let mut parts: Vec<Stay> = (0..shards)
                .flat_map(|shard| stays(&curve, 5, &Segment { shard, shards }.into()))
                .collect();
            parts.sort_unstable();
            prop_assert_eq!(parts, whole);
        }

        /// The user time of a lost owner until its slots move, and of all others, is the whole.
        #[test]
        fn adopted_users_make_the_whole_user_time(
            stages in prop::collection::vec((0u64..60, 0u64..1_500), 1..5),
            shards in 2u64..9,
            from_ms in 0u64..6_000,
        ) {
            let mut curve = Curve::default();
            for (users, ms) in stages {
                curve.ramp(users, Duration::from_millis(ms));
            }
            let from = WorkloadOffset::from_ns(from_ms * 1_000_000);
            let time = |stays: &[Stay]| -> u64 {
                stays.iter().map(|stay| stay.leave.since(stay.enter)).sum()
            };
            let slots = |shard| SlotSet::from(Segment { shard, shards });
            let lost = stays(&curve, 5, &slots(0));
            let before: u64 =
                lost.iter().map(|stay| stay.leave.min(from).since(stay.enter)).sum();
            let left = |shard| {
                let (all, others) = (slots(0), shards as usize - 1);
                let adopted = all.iter().skip(shard as usize - 1).step_by(others).collect();
                let adopted = stays_from(&curve, 5, &adopted, from);
                time(&stays(&curve, 5, &slots(shard))) + time(&adopted)
            };
            let parts = before + (1..shards).map(left).sum::<u64>();
            prop_assert_eq!(parts, time(&stays(&curve, 5, &Segment::WHOLE.into())));
        }

        /// At any time as many users are present as the level says, to the rounding of one.
        #[test]
        fn present_users_follow_the_level(
            stages in prop::collection::vec((0u64..60, 1u64..1_500), 1..5),
            share in 0.0f64..1.0,
        ) {
            let mut curve = Curve::default();
            for (users, ms) in stages {
                curve.ramp(users, Duration::from_millis(ms));
            }
            let at = (curve.end_ns() as f64 * share) as u64;
            let inside = stays(&curve, 0, &Segment::WHOLE.into())
                .iter()
                .filter(|stay| stay.enter.ns() <= at && at < stay.leave.ns())
                .count() as u64;
            let level = curve.level(at);
            prop_assert!(inside.abs_diff(level) <= 1, "{inside} users at level {level}");
        }
    }
}
