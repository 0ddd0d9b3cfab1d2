//! A bandwidth limit in one direction of a link: bytes come out in order, at a fixed rate.
//!
//! `emulated_link` uses it for sockets, `fake` for simulated targets.
//! Invariant: in any interval no more bytes come out than the rate allows for its length plus
//! [`SLACK_NS`]; bytes that begin after idle time have no such credit.

use crate::clock::Time;

/// How late the next bytes may be requested without slowing the link down, ns.
pub(in crate::wire) const SLACK_NS: u64 = 20_000_000;

/// One direction of a link. `now` is an argument: the pipe never waits itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct ThrottledPipe {
    /// Bytes per second; `None` for no limit.
    rate: Option<u64>,
    /// When the last byte that went in comes out.
    free: Time,
}

impl ThrottledPipe {
    /// Creates an empty pipe.
    pub(in crate::wire) const fn new(rate: Option<u64>) -> Self {
        Self { rate, free: Time(0) }
    }

    /// Begins a new transfer: idle time before it is lost.
    pub(in crate::wire) fn begin(&mut self, now: Time) {
        self.free = self.free.max(now);
    }

    /// Adds `bytes`; returns when the last of them comes out.
    pub(in crate::wire) fn carry(&mut self, now: Time, bytes: u64) -> Time {
        if now.since(self.free) > SLACK_NS {
            self.free = now;
        }
        if let Some(rate) = self.rate {
            let ns = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate));
            self.free = self.free.after(u64::try_from(ns).unwrap_or(u64::MAX));
        }
        self.free.max(now)
    }

    /// How many bytes to read at once: no more than pass within the slack, but enough that reads do
    /// not dominate our own cost.
    pub(in crate::wire) fn piece(&self) -> usize {
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
    fn transfers_take_their_expected_times() {
        // 1000 bytes a second: a byte takes a millisecond.
        for (transfers, wanted) in [
            // One after the other, each requested when the one before has come out.
            (vec![(0, 10), (10, 10), (20, 10)], vec![10, 20, 30]),
            // All at once.
            (vec![(0, 10), (0, 10), (0, 10)], vec![10, 20, 30]),
            // Requested 5 ms late, within the slack: nothing is lost.
            (vec![(0, 10), (15, 10), (25, 10)], vec![10, 20, 30]),
            // Requested 30 ms late: the time between is lost.
            (vec![(0, 10), (40, 10)], vec![10, 50]),
            // Bytes that arrive later than they could have come out come out on arrival.
            (vec![(0, 10), (25, 5)], vec![10, 25]),
            (vec![(0, 0)], vec![0]),
        ] {
            let mut pipe = ThrottledPipe::new(Some(1_000));
            let out: Vec<u64> = transfers
                .iter()
                .map(|(at, bytes)| pipe.carry(Time(at * MS), *bytes).0 / MS)
                .collect();
            assert_eq!(out, wanted, "{transfers:?}");
        }
    }

    #[test]
    fn new_transfer_has_no_credit_and_no_rate_means_no_wait() {
        let mut pipe = ThrottledPipe::new(Some(1_000));
        pipe.carry(Time(0), 10);
        pipe.begin(Time(15 * MS));
        assert_eq!(pipe.carry(Time(15 * MS), 10), Time(25 * MS));
        assert_eq!(ThrottledPipe::new(None).carry(Time(7), 1 << 40), Time(7));
    }

    #[test]
    fn pieces_are_bounded_on_both_sides() {
        let piece = |rate| ThrottledPipe::new(rate).piece();
        assert_eq!([piece(Some(1)), piece(Some(200_000)), piece(None)], [1 << 10, 4_000, 16 << 10]);
    }

    proptest! {
        #[test]
        fn output_never_exceeds_the_rate(
            rate in 1u64..1 << 34,
            transfers in prop::collection::vec((0u64..50 * MS, 0u64..1 << 20), 1..50),
        ) {
            let mut pipe = ThrottledPipe::new(Some(rate));
            pipe.begin(Time(0));
            let (mut now, mut last, mut all) = (0, Time(0), 0u128);
            for (gap, bytes) in transfers {
                now += gap;
                let out = pipe.carry(Time(now), bytes);
                prop_assert!(out >= last && out.0 >= now);
                last = out;
                all += u128::from(bytes);
                // Measured from the beginning: there is no credit before it.
                prop_assert!(u128::from(out.0) * u128::from(rate) >= all * 1_000_000_000);
            }
        }

        #[test]
        fn busy_pipe_loses_no_time(
            transfers in prop::collection::vec((0u64..SLACK_NS, 20_000u64..100_000), 1..50),
        ) {
            // A byte per microsecond; each piece takes the slack or longer, and the next one is
            // requested within the slack after it.
            let mut pipe = ThrottledPipe::new(Some(1_000_000));
            let (mut now, mut ideal) = (0, 0);
            for (late, bytes) in transfers {
                ideal += bytes * 1_000;
                now = pipe.carry(Time(now), bytes).0;
                prop_assert_eq!(now, ideal);
                now += late;
            }
        }
    }
}
