//! One direction of a user's link, as a law: bytes come out in order, so many per second.
//!
//! `link` asks it for sockets, `fake` for targets that are laws.
//! Invariant: between any two moments no more comes out than the rate allows for the time between
//! them and [`SLACK_NS`] more; what begins to come after idle time has no such credit.

use crate::clock::Time;

/// How late we may ask for the next bytes without slowing the link down, ns.
pub(super) const SLACK_NS: u64 = 20_000_000;

/// A pipe. `now` is an argument: it never waits itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct ThrottledPipe {
    /// Bytes per second; none: as fast as they come.
    rate: Option<u64>,
    /// When the last byte that went in has come out.
    free: Time,
}

impl ThrottledPipe {
    /// A pipe with nothing in it.
    pub(super) const fn new(rate: Option<u64>) -> Self {
        Self { rate, free: Time(0) }
    }

    /// Something new begins to go in: time without use is lost.
    pub(super) fn begin(&mut self, now: Time) {
        self.free = self.free.max(now);
    }

    /// So many bytes go in: when the last of them has come out.
    pub(super) fn carry(&mut self, now: Time, bytes: u64) -> Time {
        if now.since(self.free) > SLACK_NS {
            self.free = now;
        }
        if let Some(rate) = self.rate {
            let ns = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate));
            self.free = self.free.after(u64::try_from(ns).unwrap_or(u64::MAX));
        }
        self.free.max(now)
    }

    /// How many bytes to read at once, so that they take no longer than the slack; never so few
    /// that reading them is all we do.
    pub(super) fn piece(&self) -> usize {
        let piece = self.rate.map_or(u64::MAX, |rate| rate / (1_000_000_000 / SLACK_NS));
        piece.clamp(1 << 10, 16 << 10) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn golden_walks() {
        // 1000 bytes a second: a byte takes a millisecond.
        for (walk, wanted) in [
            // One after the other, each asked for when the one before has come.
            (vec![(0, 10), (10, 10), (20, 10)], vec![10, 20, 30]),
            // All at once.
            (vec![(0, 10), (0, 10), (0, 10)], vec![10, 20, 30]),
            // Asked for 5 ms late, within the slack: nothing is lost.
            (vec![(0, 10), (15, 10), (25, 10)], vec![10, 20, 30]),
            // Asked for 30 ms late: the time between is lost.
            (vec![(0, 10), (40, 10)], vec![10, 50]),
            // What came later than it would have come out has come when it came.
            (vec![(0, 10), (25, 5)], vec![10, 25]),
            (vec![(0, 0)], vec![0]),
        ] {
            let mut pipe = ThrottledPipe::new(Some(1_000));
            let out: Vec<u64> =
                walk.iter().map(|(at, bytes)| pipe.carry(Time(at * MS), *bytes).0 / MS).collect();
            assert_eq!(out, wanted, "{walk:?}");
        }
    }

    #[test]
    fn what_begins_has_no_credit_and_no_rate_is_no_wait() {
        let mut pipe = ThrottledPipe::new(Some(1_000));
        pipe.carry(Time(0), 10);
        pipe.begin(Time(15 * MS));
        assert_eq!(pipe.carry(Time(15 * MS), 10), Time(25 * MS));
        assert_eq!(ThrottledPipe::new(None).carry(Time(7), 1 << 40), Time(7));
    }

    #[test]
    fn pieces_are_small_and_not_too_small() {
        let piece = |rate| ThrottledPipe::new(rate).piece();
        assert_eq!([piece(Some(1)), piece(Some(200_000)), piece(None)], [1 << 10, 4_000, 16 << 10]);
    }

    proptest! {
        #[test]
        fn no_more_comes_out_than_the_rate_allows(
            rate in 1u64..1 << 34,
            walk in prop::collection::vec((0u64..50 * MS, 0u64..1 << 20), 1..50),
        ) {
            let mut pipe = ThrottledPipe::new(Some(rate));
            pipe.begin(Time(0));
            let (mut now, mut last, mut all) = (0, Time(0), 0u128);
            for (gap, bytes) in walk {
                now += gap;
                let out = pipe.carry(Time(now), bytes);
                prop_assert!(out >= last && out.0 >= now);
                last = out;
                all += u128::from(bytes);
                // From the beginning on: there is no credit before it.
                prop_assert!(u128::from(out.0) * u128::from(rate) >= all * 1_000_000_000);
            }
        }

        #[test]
        fn a_pipe_that_is_kept_busy_loses_nothing(
            walk in prop::collection::vec((0u64..SLACK_NS, 20_000u64..100_000), 1..50),
        ) {
            // A byte a microsecond; each piece takes the slack or more, and the next one is asked
            // for within the slack after it.
            let mut pipe = ThrottledPipe::new(Some(1_000_000));
            let (mut now, mut ideal) = (0, 0);
            for (late, bytes) in walk {
                ideal += bytes * 1_000;
                now = pipe.carry(Time(now), bytes).0;
                prop_assert_eq!(now, ideal);
                now += late;
            }
        }
    }
}
