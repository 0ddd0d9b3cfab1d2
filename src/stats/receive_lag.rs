//! How late a shard reads the messages of its streams.
//!
//! The recorder counts messages; the shard's tick, whose due time is known, shows the lateness.
//! Invariant: each message counts once, with the later one of the two ticks around it.
//!
//! The tick waits for its turn behind the same event loop as the readers of streams, so that it is
//! late as they are. A message can be read before the tick of a turn that was late, or after it:
//! hence the later one of both ticks.

/// The messages and ticks of one shard.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReceiveLag {
    /// Messages since the last tick.
    received: u64,
    /// How late the last tick was, ns.
    late_ns: u64,
}

impl ReceiveLag {
    /// Counts a message.
    #[inline]
    pub fn count(&mut self) {
        self.received += 1;
    }

    /// Ends the interval before a tick that came this late. Returns its messages, and how late
    /// they were read, ns.
    pub fn tick(&mut self, late_ns: u64) -> (u64, u64) {
        let before = std::mem::replace(self, Self { received: 0, late_ns });
        (before.received, before.late_ns.max(late_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_count_with_the_later_tick_around_them() {
        let mut lag = ReceiveLag::default();
        let ms = 1_000_000;
        lag.count();
        assert_eq!(lag.tick(ms), (1, ms), "read before the late tick");
        lag.count();
        lag.count();
        assert_eq!(lag.tick(0), (2, ms), "read after it");
        lag.count();
        assert_eq!(lag.tick(0), (1, 0));
        assert_eq!(lag.tick(5 * ms), (0, 5 * ms));
    }
}
