//! The limit of the rate at which one connection may send.
//!
//! WebSockets with `?rate` ask it for each message.
//! Invariant: within any second, it admits at most one second's messages and those of a burst of
//! one second; integers only, so that equal times give equal answers.

use crate::clock::Time;
use crate::units::Rate;

/// A limit: one second's messages at once, and then one per period (a token bucket).
#[derive(Clone, Copy, Debug)]
pub(in crate::testserver) struct MessageRateLimit {
    /// Nanoseconds per message.
    period: u64,
    /// How far `full_at` may be ahead, so that a message is still admitted.
    burst: u64,
    /// When the bucket is full again.
    full_at: Time,
}

impl MessageRateLimit {
    /// Creates a limit that has admitted nothing. The rate is above zero.
    pub fn new(rate: Rate) -> Self {
        let period =
            u128::from(Rate::UNITS_PER_S) * 1_000_000_000 / u128::from(rate.units().max(1));
        let period = u64::try_from(period).unwrap_or(u64::MAX);
        let burst = 1_000_000_000_u64.saturating_sub(period);
        Self { period, burst, full_at: Time(0) }
    }

    /// Whether a message at `now` is within the limit; if so, it is counted.
    pub fn admit(&mut self, now: Time) -> bool {
        if self.full_at.since(now) > self.burst {
            return false;
        }
        self.full_at = self.full_at.max(now).after(self.period);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_of_messages_passes_at_once_then_one_per_period() {
        let mut limit = MessageRateLimit::new(Rate::per_s(10));
        let ms = |ms: u64| Time(1_000_000_000_000 + ms * 1_000_000);
        let admitted = (0..20).filter(|_| limit.admit(ms(0))).count();
        assert_eq!(admitted, 10);
        assert!(!limit.admit(ms(99)));
        assert!(limit.admit(ms(100)));
        assert!(!limit.admit(ms(100)));
        assert_eq!((0..20).filter(|_| limit.admit(ms(5_000))).count(), 10);
        // Slower than one per second: one at once.
        let mut limit = MessageRateLimit::new(Rate::from_units(Rate::UNITS_PER_S / 2));
        assert!(limit.admit(ms(0)) && !limit.admit(ms(1_999)) && limit.admit(ms(2_000)));
    }
}
