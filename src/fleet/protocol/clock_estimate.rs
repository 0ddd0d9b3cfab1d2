//! The clock of the bus, as one process estimates it.
//!
//! Agents and the coordinator feed it with each reply that carries a time; the start of the load
//! and the intervals of a report are counted on it.
//! Invariant: the true time differs from the estimate by at most the error, as long as the clocks
//! drift by at most [`DRIFT_PPM`]. No decision about which agent sends a request depends on it.

use super::member::BusTime;
use crate::clock::Time;

/// How much two clocks may drift apart, millionths. Oscillators of servers stay below 100.
pub const DRIFT_PPM: u64 = 200;

/// An estimate of the clock of the bus.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockEstimate {
    best: Option<ClockSample>,
}

/// One request: the bus read its clock at some moment while the request was under way.
#[derive(Clone, Copy, Debug)]
struct ClockSample {
    /// The middle between sending and receiving, on the local clock.
    middle: Time,
    /// The time that the bus read.
    bus: BusTime,
    /// Half of the round trip, ns.
    error: u64,
}

impl ClockSample {
    fn error_at(self, now: Time) -> u64 {
        let age = now.since(self.middle).max(self.middle.since(now));
        self.error + age / 1_000_000 * DRIFT_PPM
    }
}

impl ClockEstimate {
    /// Takes the time that a reply carried: kept if it leaves a smaller error than the best sample
    /// has by now. So the shortest round trip wins, and grows old. It is also kept if both cannot
    /// be true: the clock of the bus was set.
    pub fn observe(&mut self, sent: Time, received: Time, bus: BusTime) {
        let error = received.since(sent) / 2;
        let sample = ClockSample { middle: sent.after(error), bus, error };
        let is_kept = self.best.is_none_or(|best| {
            let (error, known) = (sample.error_at(received), best.error_at(received));
            let expected = self.bus_time(sample.middle).unwrap_or(bus);
            error <= known || expected.0.abs_diff(bus.0) > error + known
        });
        if is_kept {
            self.best = Some(sample);
        }
    }

    /// The error at most, ns; `None` before the first sample.
    pub fn error(&self, now: Time) -> Option<u64> {
        self.best.map(|best| best.error_at(now))
    }

    /// The time of the bus at a local time; `None` before the first sample.
    pub fn bus_time(&self, at: Time) -> Option<BusTime> {
        let best = self.best?;
        let later = best.bus.after(at.since(best.middle)).0;
        Some(BusTime(later.saturating_sub(best.middle.since(at))))
    }

    /// The local time of a time of the bus; `None` before the first sample.
    pub fn local_time(&self, at: BusTime) -> Option<Time> {
        let best = self.best?;
        Some(best.middle.after(at.since(best.bus)).before(best.bus.since(at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_lies_within_the_error_and_the_shortest_round_trip_wins() {
        // The bus is 1,000,000 ns ahead; the first request takes 100 to it and 900 back.
        let mut clock = ClockEstimate::default();
        assert_eq!(clock.bus_time(Time(5)), None);
        clock.observe(Time(0), Time(1_000), BusTime(1_000_100));
        assert_eq!(clock.error(Time(500)), Some(500));
        let off = |clock: &ClockEstimate, at: u64| {
            clock.bus_time(Time(at)).unwrap().0.abs_diff(at + 1_000_000)
        };
        assert_eq!(off(&clock, 2_000), 400);
        clock.observe(Time(3_000), Time(3_020), BusTime(1_003_015));
        assert!(off(&clock, 9_000) <= clock.error(Time(9_000)).unwrap());
        // A longer round trip does not replace it, until drift has made it worse.
        clock.observe(Time(4_000), Time(6_000), BusTime(1_004_000));
        assert_eq!(off(&clock, 9_000), 5);
        // The clock is set.
        let mut set = clock;
        set.observe(Time(5_000), Time(7_000), BusTime(77_000_000));
        assert_eq!(set.bus_time(Time(6_000)), Some(BusTime(77_000_000)));
        let late = 20_000_000_000;
        clock.observe(Time(late), Time(late + 2_000), BusTime(late + 1_001_000));
        assert_eq!(off(&clock, late), 0);
        assert_eq!(clock.local_time(BusTime(1_000_007)), Some(Time(7)));
    }
}
