//! Stalls of a shard's event loop.
//!
//! The shard's tick and each call that begins or ends report that the loop runs.
//! Invariant: a healthy loop is seen at least every [`TICK_NS`]; a longer gap between two reports
//! is a stall, and a call that was running may have waited for all of it.

use crate::clock::Time;

/// How often the loop reports when nothing else happens, ns. A stall is overestimated by at most
/// this.
pub const TICK_NS: u64 = 5_000_000;

/// How late a tick may be before it counts as a stall, ns. Timers of an idle machine are late by
/// some 0.1 ms; `verdict::trust` tolerates 2 ms of lateness.
const TOLERANCE_NS: u64 = 2_000_000;

/// The stalls of one shard's event loop.
#[derive(Clone, Copy, Debug)]
pub struct LoopStalls {
    /// When the loop last reported.
    seen: Time,
    /// The sum of all stalls, ns.
    total_ns: u64,
    /// The longest one, ns.
    longest_ns: u64,
}

impl LoopStalls {
    /// Creates the counter of a loop that runs since `start`.
    pub fn new(start: Time) -> Self {
        Self { seen: start, total_ns: 0, longest_ns: 0 }
    }

    /// Notes that the loop runs at `now`.
    #[inline]
    pub fn seen(&mut self, now: Time) {
        let gap_ns = now.since(self.seen);
        if gap_ns > TICK_NS + TOLERANCE_NS {
            self.total_ns += gap_ns;
            self.longest_ns = self.longest_ns.max(gap_ns - TICK_NS);
        }
        self.seen = self.seen.max(now);
    }

    /// The sum of all stalls so far, ns. The difference of two readings is at least as long as the
    /// loop stalled between them.
    #[inline]
    pub const fn total_ns(&self) -> u64 {
        self.total_ns
    }

    /// Lower bound of the longest stall so far, ns.
    pub const fn longest_ns(&self) -> u64 {
        self.longest_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_gap_between_reports_is_a_stall() {
        let ms = |ms: u64| Time(ms * 1_000_000);
        let mut stalls = LoopStalls::new(ms(0));
        for at in [4, 9, 15, 15, 14, 21] {
            stalls.seen(ms(at));
        }
        assert_eq!((stalls.total_ns(), stalls.longest_ns()), (0, 0));
        stalls.seen(ms(171));
        stalls.seen(ms(172));
        stalls.seen(ms(180));
        assert_eq!(stalls.total_ns() / 1_000_000, 150 + 8);
        assert_eq!(stalls.longest_ns() / 1_000_000, 145, "at least");
    }
}
