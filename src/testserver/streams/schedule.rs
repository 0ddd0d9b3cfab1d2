//! The schedule and the text of messages at a set rate.
//!
//! Ticks of WebSockets and of event streams follow it.
//! Invariant: message n has its number and its intended time from the schedule, which counts from
//! the start of the server; a late one moves no other.

use std::fmt::Write;
use std::time::Duration;

use crate::clock::{self, Time};
use crate::units::Rate;

/// A schedule that is later than this leaves ticks out.
const MAX_LATE: Duration = Duration::from_secs(1);

/// When batches of messages are due.
#[derive(Clone, Copy, Debug)]
pub(in crate::testserver) struct TickSchedule {
    started: Time,
    rate: Rate,
    batch: u32,
}

impl TickSchedule {
    /// Creates a schedule of batches of `batch` messages, at `rate` messages per second.
    pub fn new(started: Time, rate: Rate, batch: u32) -> Self {
        Self { started, rate, batch }
    }

    /// When a batch is due.
    pub fn due(&self, batch: u64) -> Time {
        let messages = u128::from(batch) * u128::from(self.batch);
        let ns = messages * u128::from(Rate::UNITS_PER_S) * 1_000_000_000;
        let ns = ns / u128::from(self.rate.units().max(1));
        self.started.after(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    /// The first batch that is due after `now`.
    pub fn next(&self, now: Time) -> u64 {
        let messages = u128::from(now.since(self.started)) * u128::from(self.rate.units())
            / (u128::from(Rate::UNITS_PER_S) * 1_000_000_000);
        u64::try_from(messages / u128::from(self.batch)).unwrap_or(u64::MAX - 1) + 1
    }

    /// Waits until `batch` is due. If that was more than a second ago, `batch` becomes the next
    /// one; returns how many were left out.
    pub async fn wait(&self, batch: &mut u64) -> u64 {
        clock::sleep_until(self.due(*batch)).await;
        if clock::now() - self.due(*batch) <= MAX_LATE {
            return 0;
        }
        let missed = self.next(clock::now()) - *batch;
        *batch += missed;
        clock::sleep_until(self.due(*batch)).await;
        missed
    }
}

/// Writes `{"type":"tick","n":…,"us":…,"pad":"…"}`: the number of the message, and when it is to be
/// sent, in µs of CLOCK_MONOTONIC. It is `size` bytes long, or as long as its numbers need.
pub(in crate::testserver) fn tick_text(n: u64, due: Time, size: usize, text: &mut String) {
    text.clear();
    // Writing into memory cannot fail.
    let _ = write!(text, "{{\"type\":\"tick\",\"n\":{n},\"us\":{}", due.0 / 1_000);
    let pad = size.saturating_sub(text.len() + ",\"pad\":\"\"}".len());
    if pad > 0 {
        let _ = write!(text, ",\"pad\":\"{:x<pad$}\"", "");
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_due_by_the_rate() {
        let schedule = TickSchedule::new(Time(77), Rate::per_s(300), 8);
        for batch in [0, 1, 2, 75, 1_000_000_007] {
            let due = schedule.due(batch);
            assert!((due.0 - 77).abs_diff(batch * 8 * 1_000_000_000 / 300) <= 1, "{batch}");
            assert_eq!(schedule.next(due.after(1)), batch + 1);
            assert!(schedule.next(due.before(1)) <= batch + 1);
        }
    }

    #[test]
    fn late_schedule_leaves_ticks_out() {
        clock::block_on_virtual(async {
            let schedule = TickSchedule::new(Time(0), Rate::per_s(10), 1);
            let mut batch = 1;
            assert_eq!(schedule.wait(&mut batch).await, 0);
            assert_eq!((clock::now(), batch), (Time(100_000_000), 1));
            clock::freeze_world(500_000_000);
            batch = 2;
            assert_eq!(schedule.wait(&mut batch).await, 0, "half a second is caught up");
            clock::freeze_world(2_000_000_000);
            assert_eq!(schedule.wait(&mut batch).await, 25);
            assert_eq!((batch, clock::now()), (27, Time(2_700_000_000)));
        });
    }

    #[test]
    fn ticks_have_their_size() {
        let mut text = String::new();
        for size in [0, 50, 64, 4_096] {
            tick_text(123, Time(9_876_543_210), size, &mut text);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!((&value["n"], &value["us"]), (&123.into(), &9_876_543.into()));
            assert!(text.len() == size || size < 60, "{text}");
        }
    }
}
