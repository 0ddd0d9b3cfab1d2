//! The closed model: how many users a load requires over time, on one shard.
//!
//! `engine` compares it with the users that are running.
//! Invariant: between two changes of the curve the level is exactly that of the users' stays.

use super::Stay;

/// The number of users that a workload's curve requires of a segment, over time.
#[derive(Debug, Default)]
pub struct TargetUsers {
    /// When users are due to enter and to leave, ns after the workload's zero, each ascending.
    enters: Vec<u64>,
    leaves: Vec<u64>,
    /// How many of these times have passed.
    entered: usize,
    left: usize,
}

impl TargetUsers {
    /// Creates it from these stays, starting at `from_ns` after the workload's zero.
    pub fn new(stays: &[Stay], from_ns: u64) -> Self {
        let mut enters: Vec<u64> = stays.iter().map(|stay| stay.enter_ns).collect();
        let mut leaves: Vec<u64> = stays.iter().map(|stay| stay.leave_ns).collect();
        enters.sort_unstable();
        leaves.sort_unstable();
        let entered = enters.partition_point(|at| *at <= from_ns);
        let left = leaves.partition_point(|at| *at <= from_ns);
        Self { enters, leaves, entered, left }
    }

    /// Advances from `from_ns` to `to_ns` and reports each interval of a constant level as
    /// `(from_ns, to_ns, users)`. Calls must be contiguous.
    pub fn advance(&mut self, from_ns: u64, to_ns: u64, mut stretch: impl FnMut(u64, u64, u64)) {
        let mut at = from_ns;
        while at < to_ns {
            while self.enters.get(self.entered).is_some_and(|enter| *enter <= at) {
                self.entered += 1;
            }
            while self.leaves.get(self.left).is_some_and(|leave| *leave <= at) {
                self.left += 1;
            }
            let next = [self.enters.get(self.entered), self.leaves.get(self.left)];
            let next = next.into_iter().flatten().fold(to_ns, |next, at| next.min(*at));
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
            let stays = stays(&curve, 0, Segment::WHOLE);
            let end = curve.end_ns();
            let mut cuts: Vec<u64> = cuts.iter().map(|cut| (end as f64 * cut) as u64).collect();
            cuts.push(end + 1_000);
            cuts.sort_unstable();
            let (mut target, mut sum, mut at) = (TargetUsers::new(&stays, 0), 0, 0);
            for cut in cuts {
                target.advance(at, cut, |from, to, users| sum += (to - from) * users);
                at = cut;
            }
            let want: u64 = stays.iter().map(|stay| stay.leave_ns - stay.enter_ns).sum();
            prop_assert_eq!(sum, want);
        }
    }
}
