//! Messages of streams: the ledger that counts each of them once, and their times.
//!
//! The recorder fills a [`MessageWindow`] per step and second; tallies add, reports and rules read.
//! Invariant: at the end of a run `expected = due`, and
//! `due = delivered + lost + missed + unsent + open − late − replayed`; of messages that a broker
//! confirms, `sent = confirmed + refused + unconfirmed`.

use super::histogram::Histogram;
use super::latency::{Latency, Untimed};
use super::named::add_name;
use super::own_delay::merge_boxed;

/// Generates the counts, their names and their sum from one row per count.
macro_rules! counts {
    ($($(#[$doc:meta])* $field:ident;)+) => {
        /// Messages by what became of them.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct MessageCounts {
            $($(#[$doc])* pub $field: u64,)+
        }

        impl MessageCounts {
            /// The names of all counts in reports.
            pub const NAMES: [&'static str; [$(stringify!($field)),+].len()] =
                [$(stringify!($field)),+];

            /// All counts, in the order of [`Self::NAMES`].
            pub const fn all(&self) -> [u64; Self::NAMES.len()] {
                [$(self.$field),+]
            }

            /// Adds all counts of another.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)+
            }
        }
    };
}

counts! {
    /// Handed to the kernel by a `send`, or by a stamped request that succeeded.
    sent;
    /// Stamped sends times the listeners that were ready on their channel at the send: the
    /// publishers' side of `due`.
    expected;
    /// Arrived at a listener, an `await` or an inbox.
    received;
    /// Stamped messages of a listener's channel since it was ready: the listeners' side.
    due;
    /// First copies of due messages.
    delivered;
    /// Due, and passed by later messages or never seen until the end.
    lost;
    /// Due while the listener's connection was away, and not replayed.
    missed;
    /// Due, but the request that carried them failed.
    unsent;
    /// Due, and neither received nor lost when their listener closed in mid-run.
    open;
    /// Further copies of a message.
    duplicated;
    /// Arrived after a message that the same publisher sent later.
    reordered;
    /// Delivered after they had been counted as lost.
    late;
    /// Delivered after they had been counted as missed.
    replayed;
    /// With a stamp of another run.
    foreign;
    /// With a stamp, but sent before the listener was ready, or on another channel.
    unexpected;
    /// A listener reads stamps, and the message has none.
    unstamped;
    /// Passed over by an `await`, or left in an inbox at the end.
    unmatched;
    /// Removed from a full inbox by newer ones; or automatic answers that had no room, since the
    /// target does not read.
    dropped;
    /// Arrived in the same read as the message before.
    coalesced;
    /// With a time of receipt before the time of sending: the clocks differ.
    ahead;
    /// Content tokens of token streams.
    tokens;
    /// Token streams whose tokens are counted by chunks, since the response has no usage.
    by_chunks;
    /// Token streams that were judged by `good`.
    judged;
    /// Those of them that met all limits of `good`.
    good;
    /// Sent messages that a broker confirmed.
    confirmed;
    /// Sent messages that a broker did not take, or returned.
    refused;
    /// Sent messages whose confirmation never came: a time-out, or the end of their session.
    unconfirmed;
    /// Sent messages that were sent again, since the broker did not store them: of Kafka.
    resent;
    /// Rebalances of a consumer group that a listener is a member of.
    rebalances;
    /// Received messages that the broker had delivered before.
    redelivered;
    /// Received messages that their consumer acknowledged.
    acknowledged;
    /// Received messages that their consumer rejected.
    rejected;
}

/// The messages of a step in one second: of its send if they are stamped, else of their receipt.
#[derive(Clone, Debug, Default)]
pub struct MessageWindow {
    /// What became of them.
    pub counts: MessageCounts,
    /// From the intended send to the receipt; lost messages rank above all.
    pub delivery: Latency,
    /// From the actual send to the receipt.
    pub transit: Histogram,
    /// Between two messages of a stream.
    pub gap: Histogram,
    /// From the dispatch of a request to the first event with content.
    pub first: Histogram,
    /// From the dispatch of a request to the first event with text of the answer itself.
    pub first_text: Histogram,
    /// Time per token after the first.
    pub tpot: Histogram,
    /// From the opening of a stream to its end.
    pub life: Histogram,
    /// From the dispatch of a message to the broker's confirmation, or refusal.
    pub confirm: Histogram,
    /// From the dispatch of a message to the write of its batch.
    pub linger: Histogram,
    /// From the begin of a rebalance to the new positions.
    pub rebalance: Histogram,
    /// Streams that the step opened, at the ends of seconds.
    pub streams: HeldStreams,
    /// What its listeners had not received, at the ends of seconds.
    pub behind: Backlog,
}

/// Messages that brokers had and listeners had not received, at one moment, or added up over the
/// ends of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// The messages.
    pub messages: u64,
    /// Listeners that know how many.
    pub listeners: u64,
}

impl Backlog {
    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.listeners += other.listeners;
    }

    /// Messages for each listener, as a mean; `None` if no listener knew.
    pub fn mean(&self) -> Option<f64> {
        (self.listeners > 0).then(|| self.messages as f64 / self.listeners as f64)
    }
}

/// Streams at one moment, or added up over the ends of seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldStreams {
    /// Those that users have opened, or wait for, and not closed.
    pub wanted: u64,
    /// Those of them that are open.
    pub held: u64,
}

impl HeldStreams {
    /// Adds all of another.
    pub fn add(&mut self, other: &Self) {
        self.wanted += other.wanted;
        self.held += other.held;
    }

    /// Held ones as a share of wanted ones; `None` if none were wanted.
    pub fn share(&self) -> Option<f64> {
        (self.wanted > 0).then(|| self.held as f64 / self.wanted as f64)
    }
}

/// A time of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageTime {
    /// Between two messages of a stream.
    Gap,
    /// From dispatch to the first content.
    First,
    /// From dispatch to the first text.
    FirstText,
    /// Per token after the first.
    Tpot,
    /// From opening to end.
    Life,
    /// From dispatch to confirmation.
    Confirm,
    /// From dispatch to the write of the batch.
    Linger,
    /// From the begin of a rebalance to its end.
    Rebalance,
}

impl MessageCounts {
    /// Whether the ledger balances, at the end of a run: the publishers' side equals the listeners'
    /// side, and each due message was counted once.
    pub const fn holds(&self) -> bool {
        self.expected == self.due
            && self.due + self.late + self.replayed
                == self.delivered + self.lost + self.missed + self.unsent + self.open
    }

    /// Due messages that never came, without those that came after they were counted as lost.
    pub const fn lost_for_good(&self) -> u64 {
        self.lost.saturating_sub(self.late)
    }

    /// Messages that a listener missed while its connection was away, without those that were
    /// replayed.
    pub const fn missed_for_good(&self) -> u64 {
        self.missed.saturating_sub(self.replayed)
    }

    /// Whether any message was counted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl MessageWindow {
    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.delivery.merge(&other.delivery);
        self.transit.merge(&other.transit);
        self.gap.merge(&other.gap);
        self.first.merge(&other.first);
        self.first_text.merge(&other.first_text);
        self.tpot.merge(&other.tpot);
        self.life.merge(&other.life);
        self.confirm.merge(&other.confirm);
        self.linger.merge(&other.linger);
        self.rebalance.merge(&other.rebalance);
        self.streams.add(&other.streams);
        self.behind.add(&other.behind);
    }

    /// The delivery times with each message that never came above all others.
    pub fn delivery_of_all(&self) -> Latency {
        let mut all = self.delivery.clone();
        let never = self.counts.lost_for_good() + self.counts.missed_for_good();
        all.record_untimed_n(Untimed::Lost, never);
        all
    }

    /// Records a time.
    pub fn record(&mut self, time: MessageTime, ns: u64) {
        let histogram = match time {
            MessageTime::Gap => &mut self.gap,
            MessageTime::First => &mut self.first,
            MessageTime::FirstText => &mut self.first_text,
            MessageTime::Tpot => &mut self.tpot,
            MessageTime::Life => &mut self.life,
            MessageTime::Confirm => &mut self.confirm,
            MessageTime::Linger => &mut self.linger,
            MessageTime::Rebalance => &mut self.rebalance,
        };
        histogram.record_ns(ns);
    }
}

/// Streams by what became of them. `opened = ended + open now`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamCounts {
    /// Streams that opened, reconnections included.
    pub opened: u64,
    /// Those of them that replaced one that had ended.
    pub reconnects: u64,
    /// Streams that ended.
    pub ended: u64,
    /// Ended streams by close code or failure kind, and by the side that closed: `1000 ours`.
    pub closed: std::collections::BTreeMap<String, u64>,
    /// Stamped pairs of listener and publisher beyond the bound: their order is not checked.
    pub untracked_pairs: u64,
}

impl StreamCounts {
    /// Adds all counts of another.
    pub fn add(&mut self, other: &Self) {
        self.opened += other.opened;
        self.reconnects += other.reconnects;
        self.ended += other.ended;
        self.untracked_pairs += other.untracked_pairs;
        for (why, count) in &other.closed {
            add_name(&mut self.closed, why, *count);
        }
    }
}

/// Merges the messages of a step that may have none.
pub(super) fn merge_messages(
    mine: &mut Option<Box<MessageWindow>>,
    theirs: Option<&MessageWindow>,
) {
    merge_boxed(mine, theirs, MessageWindow::merge);
}
