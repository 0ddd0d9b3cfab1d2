//! A listener's ledger of one channel: which of the messages that it is due have arrived.
//!
//! `engine::streams` feeds it each stamped message, and settles it when the listener ends.
//! Invariant: each due index is counted once: delivered, or lost, missed, unsent or open; what
//! arrives after it was counted as lost or missed is counted as late or replayed besides.

use super::channel::Channel;

/// The messages before the newest one that may still arrive without being counted as lost.
pub const WINDOW: u64 = 1_024;

const WORDS: usize = WINDOW as usize / 64;

/// The ledger.
#[derive(Debug)]
pub struct SequenceLedger {
    /// The first index that is due.
    base: u64,
    /// One more than the newest index that has arrived.
    top: u64,
    /// Whether an index arrived, for the last [`WINDOW`] before `top`, by index modulo its size.
    seen: Box<[u64; WORDS]>,
    /// Indices before this one were sent while the connection was away.
    away_until: u64,
    /// Due messages that have left the window without arriving, of which none has arrived since.
    lost: u64,
    missed: u64,
}

/// What an arrival is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageArrival {
    /// The first copy of a due message.
    Delivered,
    /// The first copy, after it was counted as lost.
    Late,
    /// The first copy, after it was counted as missed.
    Replayed,
    /// A further copy.
    Duplicated,
    /// Sent before the listener was ready, or never.
    Unexpected,
}

/// Due messages that were settled by an arrival, or at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Indices that became due.
    pub due: u64,
    /// Lost.
    pub lost: u64,
    /// Missed while the connection was away.
    pub missed: u64,
    /// Their sending failed.
    pub unsent: u64,
    /// Undecided, since the listener ended in mid-run.
    pub open: u64,
}

impl SequenceLedger {
    /// The ledger of a listener that is due messages from `base` on.
    pub fn new(base: u64) -> Self {
        Self { base, top: base, seen: Box::new([0; WORDS]), away_until: 0, lost: 0, missed: 0 }
    }

    /// Notes that the connection is back; messages before `next` that do not come are missed.
    pub fn came_back(&mut self, next: u64) {
        self.away_until = next;
    }

    /// Notes a message of the channel.
    pub fn arrive(&mut self, index: u64, channel: &Channel) -> (MessageArrival, Settled) {
        if index < self.base {
            return (MessageArrival::Unexpected, Settled::default());
        }
        if index >= self.top {
            // A target may bring stamps that no user sent.
            if index >= channel.next_index() {
                return (MessageArrival::Unexpected, Settled::default());
            }
            let settled = self.advance(index + 1, channel);
            self.mark(index);
            return (MessageArrival::Delivered, settled);
        }
        if index + WINDOW >= self.top {
            let arrival = if self.is_seen(index) {
                MessageArrival::Duplicated
            } else {
                MessageArrival::Delivered
            };
            self.mark(index);
            return (arrival, Settled::default());
        }
        // It left the window: it is one of the lost, if any are left, or a copy.
        let arrival = if index < self.away_until && self.missed > 0 {
            self.missed -= 1;
            MessageArrival::Replayed
        } else if self.lost > 0 {
            self.lost -= 1;
            MessageArrival::Late
        } else if self.missed > 0 {
            self.missed -= 1;
            MessageArrival::Replayed
        } else {
            MessageArrival::Duplicated
        };
        (arrival, Settled::default())
    }

    /// Notes a message that this listener is not due: its own user sent it, and the target does not
    /// send it back.
    pub fn exclude(&mut self, index: u64, channel: &Channel) -> Settled {
        if index < self.top {
            return Settled::default();
        }
        let mut settled = self.advance(index + 1, channel);
        self.mark(index);
        settled.due -= 1;
        settled
    }

    /// Whether all messages before `end` have arrived or were settled.
    pub fn has_all(&self, end: u64) -> bool {
        self.top >= end && (self.start()..self.top).all(|index| self.is_seen(index))
    }

    /// Settles all that is due before `end`, the index that [`Channel::leave`] returned. At the end
    /// of a run what has not arrived is lost; in mid-run it is open.
    pub fn settle(&mut self, end: u64, channel: &Channel, is_final: bool) -> Settled {
        let end = end.max(self.top);
        let mut settled = Settled { due: end - self.top, ..Settled::default() };
        for index in self.start()..self.top {
            if !self.is_seen(index) {
                self.settle_range(index, index + 1, channel, &mut settled);
            }
        }
        self.settle_range(self.top, end, channel, &mut settled);
        (self.base, self.top) = (end, end);
        self.seen.fill(0);
        if !is_final {
            settled.open = settled.lost + settled.missed;
            (settled.lost, settled.missed) = (0, 0);
        }
        settled
    }

    /// Moves the window so that `top` is its end; settles what leaves it.
    fn advance(&mut self, top: u64, channel: &Channel) -> Settled {
        let mut settled = Settled { due: top - self.top, ..Settled::default() };
        let (from, to) = (self.start(), top.saturating_sub(WINDOW).max(self.base));
        for index in from..to.min(self.top) {
            if self.is_seen(index) {
                self.clear(index);
            } else {
                self.settle_range(index, index + 1, channel, &mut settled);
            }
        }
        // Those that were never in the window: none of them arrived.
        self.settle_range(self.top, to, channel, &mut settled);
        self.top = top;
        settled
    }

    /// Counts the indices from `from` to before `to`, none of which arrived.
    fn settle_range(&mut self, from: u64, to: u64, channel: &Channel, settled: &mut Settled) {
        if from >= to {
            return;
        }
        let middle = self.away_until.clamp(from, to);
        let unsent = [channel.unsent_between(from, middle), channel.unsent_between(middle, to)];
        let missed = middle - from - unsent[0];
        let lost = to - middle - unsent[1];
        settled.missed += missed;
        settled.lost += lost;
        settled.unsent += unsent[0] + unsent[1];
        self.missed += missed;
        self.lost += lost;
    }

    /// The first index of the window.
    fn start(&self) -> u64 {
        self.top.saturating_sub(WINDOW).max(self.base)
    }

    fn is_seen(&self, index: u64) -> bool {
        let (word, bit) = place(index);
        self.seen[word] >> bit & 1 == 1
    }

    fn mark(&mut self, index: u64) {
        let (word, bit) = place(index);
        self.seen[word] |= 1 << bit;
    }

    fn clear(&mut self, index: u64) {
        let (word, bit) = place(index);
        self.seen[word] &= !(1 << bit);
    }
}

fn place(index: u64) -> (usize, u64) {
    let bit = index % WINDOW;
    ((bit / 64) as usize, bit % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Channels;
    use super::*;

    /// The ledger's counts.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Sums {
        arrivals: [u64; 5],
        settled: Settled,
    }

    impl Sums {
        fn add(&mut self, settled: Settled) {
            self.settled.due += settled.due;
            self.settled.lost += settled.lost;
            self.settled.missed += settled.missed;
            self.settled.unsent += settled.unsent;
            self.settled.open += settled.open;
        }

        fn arrive(&mut self, ledger: &mut SequenceLedger, index: u64, channel: &Channel) {
            let (arrival, settled) = ledger.arrive(index, channel);
            self.arrivals[arrival as usize] += 1;
            self.add(settled);
        }

        fn balances(&self) -> bool {
            let [delivered, late, replayed, ..] = self.arrivals;
            let Settled { due, lost, missed, unsent, open } = self.settled;
            due + late + replayed == delivered + late + replayed + lost + missed + unsent + open
        }
    }

    /// (arrivals in order, sent, expected: delivered, late, replayed, duplicated, lost, missed)
    #[test]
    fn arrivals_are_told_apart() {
        for (arrivals, sent, expected) in [
            (vec![0, 1, 2], 3, [3, 0, 0, 0, 0]),
            (vec![0, 2, 1, 2], 3, [3, 0, 0, 1, 0]),
            (vec![0, 2], 4, [2, 0, 0, 0, 2]),
            (vec![0, 5_000], 5_001, [2, 0, 0, 0, 4_999]),
            (vec![0, 5_000, 1, 1], 5_001, [2, 2, 0, 0, 4_999]),
            (vec![], 7, [0, 0, 0, 0, 7]),
            // No user sent the last.
            (vec![0, 1, 1 << 39], 2, [2, 0, 0, 0, 0]),
        ] {
            let channels = Channels::default();
            let channel = channels.get("a").unwrap();
            let mut ledger = SequenceLedger::new(channel.join());
            (0..sent).for_each(|_| {
                let _ = channel.publish();
            });
            let mut sums = Sums::default();
            arrivals.iter().for_each(|index| sums.arrive(&mut ledger, *index, &channel));
            sums.add(ledger.settle(channel.leave(), &channel, true));
            let [delivered, late, replayed, duplicated, _] = sums.arrivals;
            let found = [delivered, late, replayed, duplicated, sums.settled.lost];
            assert_eq!(found, expected, "{arrivals:?}");
            assert_eq!(sums.settled.due, sent, "{arrivals:?}");
            assert!(sums.balances(), "{sums:?}");
        }
    }

    #[test]
    fn what_was_sent_while_away_is_missed_unless_it_is_replayed() {
        let channels = Channels::default();
        let channel = channels.get("a").unwrap();
        (0..3).for_each(|_| {
            let _ = channel.publish();
        });
        let mut ledger = SequenceLedger::new(channel.join());
        let mut sums = Sums::default();
        sums.arrive(&mut ledger, 1, &channel);
        (0..20).for_each(|_| {
            let _ = channel.publish();
        });
        sums.arrive(&mut ledger, 3, &channel);
        ledger.came_back(channel.next_index());
        channel.note_unsent(6);
        sums.arrive(&mut ledger, 4, &channel);
        (0..2).for_each(|_| {
            let _ = channel.publish();
        });
        sums.arrive(&mut ledger, 24, &channel);
        sums.add(ledger.settle(channel.leave(), &channel, true));
        assert_eq!(sums.arrivals, [3, 0, 0, 0, 1]);
        let expected = Settled { due: 22, lost: 1, missed: 17, unsent: 1, open: 0 };
        assert_eq!(sums.settled, expected);
        assert!(sums.balances());
    }

    proptest! {
        /// Whatever arrives, in whatever order, each due index is counted once.
        #[test]
        fn each_due_message_is_counted_once(
            sent in 0u64..4_000, steps in proptest::collection::vec((0u64..4_000, 0u8..20), 0..300),
            is_final in any::<bool>(),
        ) {
            let channels = Channels::default();
            let channel = channels.get("a").unwrap();
            let mut ledger = SequenceLedger::new(channel.join());
            (0..sent).for_each(|_| { let _ = channel.publish(); });
            let mut sums = Sums::default();
            for (index, what) in steps {
                match what {
                    0 => ledger.came_back(channel.next_index()),
                    1 => channel.note_unsent(index % sent.max(1)),
                    _ => sums.arrive(&mut ledger, index, &channel),
                }
            }
            sums.add(ledger.settle(channel.leave(), &channel, is_final));
            prop_assert_eq!(sums.settled.due, sent);
            prop_assert!(sums.balances(), "{:?}", sums);
        }
    }
}
