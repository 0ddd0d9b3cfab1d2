//! The inbox of a stream: messages that no listener took, kept for the steps that wait for them.
//!
//! `live_stream` fills it, `wait` empties it.
//! Invariant: it is bounded in messages and bytes; the oldest are removed first, and counted.

use std::collections::VecDeque;

use crate::clock::Time;
use crate::plan::stream::{MAX_INBOX, MAX_INBOX_BYTES};
use crate::wire::broker::command::BrokerDelivery;
use crate::wire::message_stream::Message;

/// A message that is kept.
#[derive(Clone, Debug)]
pub(crate) struct KeptMessage {
    /// When it was read.
    pub(crate) at: Time,
    /// Its payload.
    pub(crate) payload: Box<[u8]>,
    /// Name and id of an event, topic and headers of a broker's message, in the form of headers;
    /// empty for others.
    pub(crate) head: Box<[u8]>,
    /// How a broker identifies it; `None`: it comes from no broker.
    pub(crate) place: Option<DeliveryPlace>,
}

/// How a broker identifies a message that it delivered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryPlace {
    pub(crate) subscription: Option<u32>,
    pub(crate) delivery: u64,
    pub(crate) is_redelivered: bool,
}

/// The inbox.
#[derive(Debug, Default)]
pub(crate) struct MessageInbox {
    messages: VecDeque<KeptMessage>,
    bytes: usize,
}

impl DeliveryPlace {
    /// The delivery of a kept message with this head, which names its topic.
    pub(crate) fn with_head(self, headers: &[u8]) -> BrokerDelivery<'_> {
        let Self { subscription, delivery, is_redelivered } = self;
        BrokerDelivery { subscription, delivery, is_redelivered, topic: "", headers }
    }
}

impl KeptMessage {
    /// Copies a message.
    pub(crate) fn of(at: Time, message: &Message<'_>) -> Self {
        let place = message.delivery.map(|delivery| DeliveryPlace {
            subscription: delivery.subscription,
            delivery: delivery.delivery,
            is_redelivered: delivery.is_redelivered,
        });
        Self { at, payload: message.payload.into(), head: head_of(message).into(), place }
    }
}

/// Name and id of an event, topic and headers of a broker's message, in the form of headers, which
/// checks and captures read.
pub(crate) fn head_of(message: &Message<'_>) -> Vec<u8> {
    let mut head = Vec::new();
    let topic = message.delivery.map(|delivery| delivery.topic);
    for (name, value) in [("event", message.event), ("id", message.id), ("topic", topic)] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    head.extend_from_slice(message.delivery.map_or(&[], |delivery| delivery.headers));
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
        KeptMessage {
            at: Time(number),
            payload: vec![0; length].into(),
            head: Box::default(),
            place: None,
        }
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
