//! The closed model: how many users a load requires over time, on one shard.
//!
//! `engine` compares it with the users that are running.
//! Invariant: between two changes of the curve the level is exactly that of the users' stays.

use super::Stay;
use crate::clock::WorkloadOffset;

/// The number of users that a workload's curve requires of a segment, over time.
#[derive(Debug, Default)]
pub struct TargetUsers {
    /// When users are due to enter and to leave, each ascending.
    enters: Vec<WorkloadOffset>,
    leaves: Vec<WorkloadOffset>,
    /// How many of these times have passed.
    entered: usize,
    left: usize,
}

impl TargetUsers {
    /// Creates it from these stays, starting at `from`.
    pub fn new(stays: &[Stay], from: WorkloadOffset) -> Self {
        let mut enters: Vec<WorkloadOffset> = stays.iter().map(|stay| stay.enter).collect();
        let mut leaves: Vec<WorkloadOffset> = stays.iter().map(|stay| stay.leave).collect();
        enters.sort_unstable();
        leaves.sort_unstable();
        let entered = enters.partition_point(|at| *at <= from);
        let left = leaves.partition_point(|at| *at <= from);
        Self { enters, leaves, entered, left }
    }

    /// Advances to `to` and reports each interval of a constant level as `(from, to, users)`.
    /// Calls must be contiguous.
    pub fn advance(
        &mut self,
        from: WorkloadOffset,
        to: WorkloadOffset,
        mut stretch: impl FnMut(WorkloadOffset, WorkloadOffset, u64),
    ) {
        let mut at = from;
        while at < to {
            while self.enters.get(self.entered).is_some_and(|enter| *enter <= at) {
                self.entered += 1;
            }
            while self.leaves.get(self.left).is_some_and(|leave| *leave <= at) {
                self.left += 1;
            }
            let next = [self.enters.get(self.entered), self.leaves.get(self.left)];
            let next = next.into_iter().flatten().fold(to, |next, at| next.min(*at));
            stretch(at, next, (self.entered - self.left) as u64);
            at = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::Curve;
    use crate::pace::stays;
    use crate::plan::slots::Segment;
    use proptest::prelude::*;
    use std::time::Duration;

    proptest! {
        /// However the time is divided, the users' time is that of their stays.
        #[test]
        fn integral_is_the_sum_of_all_stays(
            stages in prop::collection::vec((0u64..40, 0u64..1_500), 1..5),
            cuts in prop::collection::vec(0.0f64..1.0, 0..9),
        ) {
            let mut curve = Curve::default();
            for (users, ms) in stages {
                curve.ramp(users, Duration::from_millis(ms));
            }
            let stays = stays(&curve, 0, &Segment::WHOLE.into());
            let end = curve.end_ns();
            let mut cuts: Vec<u64> = cuts.iter().map(|cut| (end as f64 * cut) as u64).collect();
            cuts.push(end + 1_000);
            cuts.sort_unstable();
            let at = WorkloadOffset::ZERO;
            let (mut target, mut sum, mut at) = (TargetUsers::new(&stays, at), 0, at);
            for cut in cuts.into_iter().map(WorkloadOffset::from_ns) {
                target.advance(at, cut, |from, to, users| sum += to.since(from) * users);
                at = cut;
            }
            let want: u64 = stays.iter().map(|stay| stay.leave.since(stay.enter)).sum();
            prop_assert_eq!(sum, want);
        }
    }
}
