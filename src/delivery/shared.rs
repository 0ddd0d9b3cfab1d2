//! Ledgers of listeners that share the messages of a channel, as the consumers of a queue do: each
//! message is due at one of them.
//!
//! `engine::streams` feeds them through [`DueLedger`], from all shards.
//! Invariant: as of `sequence`; the group is due messages from the first listener that is ready to
//! the last that ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::channel::Channel;
use super::sequence::{MessageArrival, SequenceLedger, Settled};

/// The groups of a run, by the number of their channel and their name.
#[derive(Debug, Default)]
pub struct ListenerGroups(Mutex<HashMap<(u32, String), Arc<SharedLedger>>>);

impl ListenerGroups {
    /// The group of this name on a channel.
    fn get(&self, channel: &Channel, name: &str) -> Arc<SharedLedger> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(groups.entry((channel.number(), name.to_owned())).or_default())
    }
}

/// The ledger of a group.
#[derive(Debug, Default)]
pub struct SharedLedger(Mutex<SharedState>);

#[derive(Debug, Default)]
struct SharedState {
    members: u64,
    /// `None` while there is no member.
    ledger: Option<SequenceLedger>,
}

impl SharedLedger {
    /// Adds a member, which is ready now.
    fn join(&self, channel: &Channel) {
        let mut state = self.state();
        state.members += 1;
        state.ledger.get_or_insert_with(|| SequenceLedger::new(channel.join()));
    }

    fn leave(&self, channel: &Channel, is_final: bool) -> Settled {
        let mut state = self.state();
        state.members = state.members.saturating_sub(1);
        if state.members > 0 {
            return Settled::default();
        }
        let ledger = state.ledger.take();
        ledger.map_or_else(Settled::default, |mut ledger| {
            ledger.settle(channel.leave(), channel, is_final)
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, SharedState> {
        // Nothing panics while holding the lock; if it did, the state would still be valid.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger of one listener: its own, or that of its group.
#[derive(Debug)]
pub enum DueLedger {
    /// All messages of the channel are due at the listener.
    Own(SequenceLedger),
    /// Each message is due at one listener of the group.
    Shared(Arc<SharedLedger>),
}

impl DueLedger {
    /// Begins the ledger of a listener that is ready now; `group`: the group that it belongs to.
    pub fn begin(channel: &Channel, group: Option<(&ListenerGroups, &str)>) -> Self {
        match group {
            None => Self::Own(SequenceLedger::new(channel.join())),
            Some((groups, name)) => {
                let shared = groups.get(channel, name);
                shared.join(channel);
                Self::Shared(shared)
            }
        }
    }

    /// As [`SequenceLedger::arrive`]. Without a ledger a message is unexpected.
    pub fn arrive(&mut self, index: u64, channel: &Channel) -> (MessageArrival, Settled) {
        match self {
            Self::Own(ledger) => ledger.arrive(index, channel),
            Self::Shared(shared) => match &mut shared.state().ledger {
                Some(ledger) => ledger.arrive(index, channel),
                None => (MessageArrival::Unexpected, Settled::default()),
            },
        }
    }

    /// As [`SequenceLedger::came_back`]; other members of a group receive meanwhile.
    pub fn came_back(&mut self, next: u64) {
        if let Self::Own(ledger) = self {
            ledger.came_back(next);
        }
    }

    /// As [`SequenceLedger::exclude`]; a group is due what its members send.
    pub fn exclude(&mut self, index: u64, channel: &Channel) -> Settled {
        match self {
            Self::Own(ledger) => ledger.exclude(index, channel),
            Self::Shared(_) => Settled::default(),
        }
    }

    /// As [`SequenceLedger::has_all`].
    pub fn has_all(&self, end: u64) -> bool {
        match self {
            Self::Own(ledger) => ledger.has_all(end),
            Self::Shared(shared) => {
                shared.state().ledger.as_ref().is_none_or(|ledger| ledger.has_all(end))
            }
        }
    }

    /// Ends the listener: as [`SequenceLedger::settle`] at the end of the channel so far. Of a
    /// group the last member settles.
    pub fn end(&mut self, channel: &Channel, is_final: bool) -> Settled {
        match self {
            Self::Own(ledger) => ledger.settle(channel.leave(), channel, is_final),
            Self::Shared(shared) => shared.leave(channel, is_final),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Channels;

    #[test]
    fn each_message_of_a_group_is_due_once() {
        let (groups, channel) =
            (ListenerGroups::default(), Channels::default().get("orders").unwrap());
        let mut members = [(); 3].map(|()| DueLedger::begin(&channel, Some((&groups, "orders"))));
        let mut alone = DueLedger::begin(&channel, None);
        let slots: Vec<_> = (0..9).map(|_| channel.publish()).collect();
        assert!(slots.iter().all(|slot| slot.listeners == 2), "the group, and the one alone");
        for (place, slot) in slots.iter().enumerate().take(7) {
            let (arrival, _) = members[place % 3].arrive(slot.index, &channel);
            assert_eq!(arrival, MessageArrival::Delivered);
        }
        assert_eq!(members[0].arrive(0, &channel).0, MessageArrival::Duplicated, "delivered twice");
        assert!(!members[2].has_all(channel.next_index()));
        let [a, b, c] = &mut members;
        assert_eq!(a.end(&channel, true), Settled::default());
        assert_eq!(b.end(&channel, true), Settled::default());
        let last = c.end(&channel, true);
        assert_eq!((last.due, last.lost), (2, 2), "those after the newest that arrived");
        let settled = alone.end(&channel, true);
        assert_eq!((settled.due, settled.lost), (9, 9));
        assert_eq!(channel.publish().listeners, 0);
    }

    #[test]
    fn a_group_begins_again_after_its_last_member() {
        let (groups, channel) =
            (ListenerGroups::default(), Channels::default().get("orders").unwrap());
        let mut first = DueLedger::begin(&channel, Some((&groups, "orders")));
        channel.publish();
        assert_eq!(first.end(&channel, false).open, 1);
        channel.publish();
        let mut second = DueLedger::begin(&channel, Some((&groups, "orders")));
        assert_eq!(second.arrive(1, &channel).0, MessageArrival::Unexpected);
        assert_eq!(second.end(&channel, true), Settled::default());
    }
}
