//! The inbox of a stream: messages that no listener took, kept for the steps that wait for them.
//!
//! `live_stream` fills it, `wait` empties it.
//! Invariant: it is bounded in messages and bytes; the oldest are removed first, and counted.

use std::collections::VecDeque;

use crate::clock::Time;
use crate::plan::stream::{MAX_INBOX, MAX_INBOX_BYTES};
use crate::wire::message_stream::Message;

/// A message that is kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptMessage {
    /// When it was read.
    pub(crate) at: Time,
    /// Its payload.
    pub(crate) payload: Box<[u8]>,
    /// Name and id of an event, in the form of headers; empty for others.
    pub(crate) head: Box<[u8]>,
}

/// The inbox.
#[derive(Debug, Default)]
pub(crate) struct MessageInbox {
    messages: VecDeque<KeptMessage>,
    bytes: usize,
}

impl KeptMessage {
    /// Copies a message.
    pub(crate) fn of(at: Time, message: &Message<'_>) -> Self {
        Self { at, payload: message.payload.into(), head: head_of(message).into() }
    }
}

/// Name and id of an event in the form of headers, which checks and captures read.
pub(crate) fn head_of(message: &Message<'_>) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in [("event", message.event), ("id", message.id)] {
        if let Some(value) = value {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head
}

impl MessageInbox {
    /// Keeps a message. Returns how many older ones it displaced.
    pub(crate) fn push(&mut self, message: KeptMessage) -> u64 {
        self.bytes += message.payload.len();
        self.messages.push_back(message);
        let mut dropped = 0;
        while self.messages.len() > MAX_INBOX
            || self.bytes > MAX_INBOX_BYTES && self.messages.len() > 1
        {
            self.pop();
            dropped += 1;
        }
        dropped
    }

    /// Takes the oldest message.
    pub(crate) fn pop(&mut self) -> Option<KeptMessage> {
        let oldest = self.messages.pop_front()?;
        self.bytes -= oldest.payload.len();
        Some(oldest)
    }

    /// Takes all messages, oldest first.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = KeptMessage> + use<> {
        self.bytes = 0;
        std::mem::take(&mut self.messages).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u64, length: usize) -> KeptMessage {
        KeptMessage { at: Time(number), payload: vec![0; length].into(), head: Box::default() }
    }

    #[test]
    fn full_inbox_drops_the_oldest() {
        let mut inbox = MessageInbox::default();
        let dropped: u64 = (0..300).map(|number| inbox.push(message(number, 1))).sum();
        assert_eq!(dropped, 300 - MAX_INBOX as u64);
        assert_eq!(inbox.pop().unwrap().at, Time(dropped));
        assert_eq!(inbox.push(message(0, MAX_INBOX_BYTES)), MAX_INBOX as u64 - 1);
        assert_eq!(inbox.push(message(1, 2 * MAX_INBOX_BYTES)), 1, "a single one is kept");
        assert_eq!(inbox.take_all().count(), 1);
        assert!(inbox.pop().is_none() && inbox.bytes == 0);
    }
}
