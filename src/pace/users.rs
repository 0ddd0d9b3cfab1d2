//! The closed model: which users a segment owns, when each enters and when it must leave.
//!
//! `engine` starts users by it.
//! Invariant: users are numbered over the whole run; the highest numbers leave first.

use crate::clock::WorkloadOffset;
use crate::curve::Curve;
use crate::plan::slots::Segment;

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

/// Returns the stays of the users that `segment` owns, by time of entry.
pub fn stays(curve: &Curve, slot_offset: u64, segment: Segment) -> Vec<Stay> {
    let mut stays: Vec<Stay> = (0..curve.peak())
        .filter(|number| segment.owns(*number, slot_offset))
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

#[cfg(test)]
mod tests {
    use super::*;
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
            let whole = stays(&curve, 5, Segment::WHOLE);
            let mut parts: Vec<Stay> = (0..shards)
                .flat_map(|shard| stays(&curve, 5, Segment { shard, shards }))
                .collect();
            parts.sort_unstable();
            prop_assert_eq!(parts, whole);
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
            let inside = stays(&curve, 0, Segment::WHOLE)
                .iter()
                .filter(|stay| stay.enter.ns() <= at && at < stay.leave.ns())
                .count() as u64;
            let level = curve.level(at);
            prop_assert!(inside.abs_diff(level) <= 1, "{inside} users at level {level}");
        }
    }
}
