//! The metrics of messages: their times, and the counts of their ledger.
//!
//! `metric` parses and prints them, `judge` and `watch` observe them.
//! Invariant: each count of the ledger has one name here, the one of reports.

use crate::stats::delta::StepWindow;
use crate::stats::{Latency, MessageCounts, MessageWindow};

/// A time of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageSpan {
    /// From the intended send to the receipt; lost messages rank above all.
    Delivery,
    /// From the actual send to the receipt.
    Transit,
    /// Between two messages of a stream.
    Gap,
    /// From dispatch to the first event with content.
    First,
    /// From dispatch to the first event with text of the answer itself.
    FirstText,
    /// Per token after the first.
    Tpot,
    /// From the opening of a stream to its end.
    Life,
    /// From the dispatch of a message to the broker's confirmation, or refusal.
    Confirm,
    /// From the dispatch of a message to the write of its batch.
    Linger,
    /// From the begin of a rebalance of a consumer group to the new positions.
    Rebalance,
}

/// The times by name.
pub(super) const SPANS: [(&str, MessageSpan); 10] = [
    ("delivery", MessageSpan::Delivery),
    ("transit", MessageSpan::Transit),
    ("gap", MessageSpan::Gap),
    ("first", MessageSpan::First),
    ("first_text", MessageSpan::FirstText),
    ("tpot", MessageSpan::Tpot),
    ("life", MessageSpan::Life),
    ("confirm", MessageSpan::Confirm),
    ("linger", MessageSpan::Linger),
    ("rebalance", MessageSpan::Rebalance),
];

impl MessageSpan {
    /// The distribution of the time.
    pub fn of(self, messages: &MessageWindow) -> Latency {
        match self {
            Self::Delivery => messages.delivery_of_all(),
            Self::Transit => messages.transit.clone().into(),
            Self::Gap => messages.gap.clone().into(),
            Self::First => messages.first.clone().into(),
            Self::FirstText => messages.first_text.clone().into(),
            Self::Tpot => messages.tpot.clone().into(),
            Self::Life => messages.life.clone().into(),
            Self::Confirm => messages.confirm.clone().into(),
            Self::Linger => messages.linger.clone().into(),
            Self::Rebalance => messages.rebalance.clone().into(),
        }
    }

    /// The distribution of the time over the messages of a step.
    pub(super) fn of_step(self, step: &StepWindow) -> Latency {
        step.messages.as_ref().map_or_else(Latency::default, |messages| self.of(messages))
    }

    /// The name in rules and reports.
    pub fn name(self) -> &'static str {
        SPANS.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// A count of messages: an index into [`MessageCounts::NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCount(usize);

impl MessageCount {
    /// Finds a count by its name; `dropped` is `messages.dropped`, since `dropped` counts starts.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix("messages.").unwrap_or(text);
        if text == "dropped" || text == "open" || name == "judged" || name == "good" {
            return None;
        }
        MessageCounts::NAMES.iter().position(|known| *known == name).map(Self)
    }

    /// The names in rules.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        MessageCounts::NAMES.into_iter().filter(|name| Self::parse(name).is_some())
    }

    /// The name in rules and reports.
    pub fn name(self) -> &'static str {
        match MessageCounts::NAMES[self.0] {
            "dropped" => "messages.dropped",
            "open" => "messages.open",
            name => name,
        }
    }

    /// Its value. Messages that came after they had been counted as lost or missed are neither.
    pub fn of(self, counts: &MessageCounts) -> u64 {
        match MessageCounts::NAMES[self.0] {
            "lost" => counts.lost_for_good(),
            "missed" => counts.missed_for_good(),
            _ => counts.all()[self.0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_one_name_each_and_lost_ones_are_lost_for_good() {
        for name in MessageCount::names() {
            let count = MessageCount::parse(name).unwrap();
            assert_eq!(count.name(), name);
            assert_eq!(MessageCount::parse(count.name()), Some(count));
        }
        let counts =
            MessageCounts { lost: 5, late: 2, missed: 3, replayed: 3, ..Default::default() };
        assert_eq!(MessageCount::parse("lost").unwrap().of(&counts), 3);
        assert_eq!(MessageCount::parse("missed").unwrap().of(&counts), 0);
        assert_eq!(MessageCount::parse("messages.dropped").unwrap().name(), "messages.dropped");
        assert_eq!(MessageCount::parse("dropped"), None);
    }
}
