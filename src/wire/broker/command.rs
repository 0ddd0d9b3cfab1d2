//! Commands to a broker, their answers, and what a broker says of a message.
//!
//! `engine::streams` gives commands to `MessageStream::command`, and takes answers from
//! `MessageStream::take_answer`.
//! Invariant: the number of a command is chosen by its sender; a session never gives it to another.

use crate::clock::Time;
use crate::plan::broker::{PublishOptions, SubscribeOptions};

/// A command to a broker.
#[derive(Clone, Copy, Debug)]
pub enum BrokerCommand<'a> {
    /// Publishes a message. It is answered if its options say that the broker confirms it.
    Publish(PublishCommand<'a>),
    /// Begins to receive messages; it is answered.
    Subscribe {
        /// Topic filter of MQTT, queue of AMQP, topic of Kafka.
        source: &'a str,
        /// What else the subscription has.
        options: &'a SubscribeOptions,
        /// Its number, which its messages carry.
        subscription: u32,
        /// The consumer group of Kafka; `None`: the session consumes alone.
        group: Option<&'a str>,
    },
    /// Acknowledges or rejects messages; it is not answered.
    Settle(DeliverySettlement),
    /// Begins a transaction of Kafka, and aborts one that is open; it is answered.
    BeginTransaction {
        /// The transactional id.
        id: &'a str,
    },
    /// Commits the open transaction of Kafka, or aborts it if one of its messages was refused; it
    /// is answered, then with the first refusal.
    CommitTransaction,
}

/// A message to be published.
#[derive(Clone, Copy, Debug)]
pub struct PublishCommand<'a> {
    /// Topic of MQTT or Kafka, routing key of AMQP.
    pub destination: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// User properties or headers, as name and value.
    pub headers: &'a [(String, String)],
    /// The key of Kafka, by which its partition is chosen.
    pub key: Option<&'a [u8]>,
    /// The partition of Kafka; `None`: that of the key, or any.
    pub partition: Option<i32>,
    /// What else goes with it.
    pub options: &'a PublishOptions,
}

/// What a consumer makes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverySettlement {
    /// The delivery.
    pub delivery: u64,
    /// Whether all deliveries before it are settled alike.
    pub is_multiple: bool,
    /// What becomes of it.
    pub verdict: DeliveryVerdict,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryVerdict {
    /// It was handled.
    Accepted,
    /// The broker drops it, or routes it to the dead letters.
    Rejected,
    /// The broker queues it again.
    Requeued,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandAnswer {
    /// The number of the command.
    pub number: u64,
    /// When it was read.
    pub at: Time,
    /// A status of the protocol: see [`crate::protocol::status`].
    pub status: u16,
    /// The reason that the broker gives; empty if it gives none. It is not trusted.
    pub reason: Box<str>,
    /// When the message left its batch for the kernel; `None`: the protocol has no batches.
    pub written: Option<Time>,
}

/// What a broker says of a message that it delivers.
#[derive(Clone, Copy, Debug)]
pub struct BrokerDelivery<'a> {
    /// The number of the subscription that it came by; `None`: of none that this session has.
    pub subscription: Option<u32>,
    /// Identifies the delivery to a settlement; 0 if the broker expects none.
    pub delivery: u64,
    /// Whether the broker has delivered it before, to this consumer or another.
    pub is_redelivered: bool,
    /// Topic of MQTT or Kafka, routing key of AMQP.
    pub topic: &'a str,
    /// Its headers, as lines `name: value` with CRLF.
    pub headers: &'a [u8],
}
