//! Messages that wait for their confirmation.
//!
//! `channel` notes each message that it publishes, and settles those that the broker names.
//! Invariant: each message is settled once; delivery tags count from 1 without gaps, as the broker
//! counts.

use std::collections::VecDeque;

use super::fault::AmqpFault;

/// The messages, in the order of their tags.
#[derive(Debug)]
pub(super) struct UnconfirmedMessages {
    /// The tag of the first one.
    first: u64,
    waiting: VecDeque<UnconfirmedMessage>,
}

/// A message that waits, or that was settled before one that waits.
#[derive(Clone, Copy, Debug)]
struct UnconfirmedMessage {
    /// The number of its command; `None`: nothing waits for its answer.
    number: Option<u64>,
    /// See [`mark`](super::publish::mark); 0 if it is not returned in any case.
    mark: u64,
    /// The status that it was returned with; 0: it was not.
    returned: u16,
    is_settled: bool,
}

impl UnconfirmedMessages {
    pub(super) const fn new() -> Self {
        Self { first: 1, waiting: VecDeque::new() }
    }

    /// How many messages are kept.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Notes that a message was published.
    pub(super) fn push(&mut self, number: Option<u64>, mark: u64) {
        let message = UnconfirmedMessage { number, mark, returned: 0, is_settled: false };
        self.waiting.push_back(message);
    }

    /// Notes that the broker returned the oldest message with this mark.
    pub(super) fn note_returned(&mut self, mark: u64, status: u16) {
        let waits = |message: &&mut UnconfirmedMessage| {
            message.mark == mark && message.returned == 0 && !message.is_settled
        };
        // A broker that returns what was not sent is answered by nothing: it harms no message.
        if let Some(message) = self.waiting.iter_mut().find(waits) {
            message.returned = status;
        }
    }

    /// Settles a message, or all up to it, and calls `each` with the number of each command and the
    /// status that its message was returned with, or 0. The tag 0 is for all messages.
    pub(super) fn settle(
        &mut self,
        tag: u64,
        is_multiple: bool,
        mut each: impl FnMut(u64, u16),
    ) -> Result<(), AmqpFault> {
        let count = match tag {
            0 if is_multiple => self.waiting.len(),
            _ => usize::try_from(tag.saturating_add(1).saturating_sub(self.first))
                .map_err(|_| AmqpFault::Unexpected)?,
        };
        if count > self.waiting.len() || (count == 0 && !is_multiple) {
            return Err(AmqpFault::Unexpected);
        }
        if is_multiple {
            for message in self.waiting.drain(..count) {
                settled(&message, &mut each);
            }
            self.first += count as u64;
        } else {
            let message = &mut self.waiting[count - 1];
            if message.is_settled {
                return Err(AmqpFault::Unexpected);
            }
            message.is_settled = true;
            if let Some(number) = message.number {
                each(number, message.returned);
            }
        }
        while self.waiting.front().is_some_and(|message| message.is_settled) {
            self.waiting.pop_front();
            self.first += 1;
        }
        Ok(())
    }
}

fn settled(message: &UnconfirmedMessage, each: &mut impl FnMut(u64, u16)) {
    if let Some(number) = message.number.filter(|_| !message.is_settled) {
        each(number, message.returned);
    }
}
