//! A user as a publisher: its number, and the numbers of its stamped messages.
//!
//! `stamping` stamps messages with it.
//! Invariant: a message gets its place on its channel by one atomic operation, which also counts
//! the listeners that are due it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::clock::RunOffset;
use crate::delivery::Channel;
use crate::engine::shard::Shard;
use crate::ids::StepId;

/// The state of a user that stamps messages.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: u32,
    /// Its next sequence number, by channel. Users publish on few channels.
    sequences: Vec<(u32, u32)>,
    /// The last channel by name.
    last: Option<(String, Arc<Channel>)>,
}

/// A message that was stamped and not yet sent.
#[derive(Debug)]
pub(crate) struct StampedMessage {
    channel: Arc<Channel>,
    index: u64,
    listeners: u64,
}

impl Publisher {
    /// A publisher with a number of its own.
    pub(super) fn new(shard: &Shard) -> Self {
        let number = shard.shared.next_publisher.fetch_add(1, Relaxed);
        Self { number, sequences: Vec::new(), last: None }
    }

    /// Its number.
    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    /// The number of its next message on a channel.
    pub(super) fn next_sequence(&mut self, channel: u32) -> u32 {
        let known = self.sequences.iter_mut().find(|(known, _)| *known == channel);
        match known {
            Some((_, next)) => {
                *next = next.wrapping_add(1);
                *next - 1
            }
            None => {
                self.sequences.push((channel, 1));
                0
            }
        }
    }

    /// The channel of this name; `None` if there are too many.
    pub(super) fn channel(&mut self, shard: &Shard, name: &str) -> Option<Arc<Channel>> {
        if let Some((known, channel)) = &self.last
            && known == name
        {
            return Some(Arc::clone(channel));
        }
        let channel = shard.shared.channels.get(name)?;
        self.last = Some((name.to_owned(), Arc::clone(&channel)));
        Some(channel)
    }
}

impl StampedMessage {
    /// Message `index` of a channel, which this many listeners are due.
    pub(super) fn new(channel: Arc<Channel>, index: u64, listeners: u64) -> Self {
        Self { channel, index, listeners }
    }

    /// Ends the send of the message: counts it, and the deliveries that are due for it. If it
    /// failed, its listeners are due it, and will not get it.
    pub(crate) fn end(self, shard: &Shard, place: (StepId, RunOffset), is_sent: bool) {
        self.end_taken(shard, place, is_sent, is_sent);
    }

    /// As [`Self::end`], of a message that a broker may have refused: it is sent, and its listeners
    /// will not get it.
    pub(crate) fn end_taken(
        self,
        shard: &Shard,
        (step, at): (StepId, RunOffset),
        is_sent: bool,
        is_taken: bool,
    ) {
        if !is_taken {
            self.channel.note_unsent(self.index);
        }
        let mut recorder = shard.recorder.borrow_mut();
        let counts = &mut recorder.messages(step, at).counts;
        counts.expected += self.listeners;
        counts.sent += u64::from(is_sent);
    }
}
