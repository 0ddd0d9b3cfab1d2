//! The seam between protocols and the engine: what lives on a connection and brings messages.
//!
//! Each protocol implements [`MessageStream`] in a folder of its own; `engine::streams` runs it.
//! Invariant: what a target sends is hostile: a message, its pieces and the output have bounds, and
//! every way a stream can end is a [`StreamEnd`].

use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Time;
use crate::grpc::GrpcCall;
use crate::ids::ServiceId;
use crate::plan::broker::MqttSettings;
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::stats::sample::ConnectTimings;
use crate::wire::broker::command::{BrokerCommand, BrokerDelivery, CommandAnswer};

/// Takes a message, with the time of the read that completed it.
pub type ReceiveMessage<'a> = &'a mut dyn FnMut(Time, Message<'_>);

/// A connection, or a response in pieces, that brings messages until it ends.
pub trait MessageStream: std::fmt::Debug {
    /// Reads what has arrived and hands each complete message to `receive`, in order, with the time
    /// of the read that completed it. Answers what the protocol demands (a ping, a close) and keeps
    /// its own deadlines. `Pending` when nothing more is here; the task is woken then.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd>;

    /// Queues a message for the target. Returns false if the stream takes none: it is closing, or
    /// its protocol brings messages only.
    fn send(&mut self, message: Message<'_>) -> bool;

    /// Queues a command to a broker under this number.
    ///
    /// # Errors
    /// `Closed` if the stream takes none any more, `MessageTooLarge` if the protocol or the broker
    /// does not allow its length, `NotOpen` if the protocol has no such command.
    fn command(&mut self, _number: u64, _command: BrokerCommand<'_>) -> Result<(), FailureKind> {
        Err(FailureKind::NotOpen)
    }

    /// Takes the oldest answer to a command. `poll_receive` brings them.
    fn take_answer(&mut self) -> Option<CommandAnswer> {
        None
    }

    /// Whether the target asked for a pause of publishing: `connection.blocked` or a full window.
    fn is_held_back(&self) -> bool {
        false
    }

    /// Takes a finished rebalance of a consumer group: a subscription of it, and how long no
    /// message came because of it, ns.
    fn take_rebalance(&mut self) -> Option<(u32, u64)> {
        None
    }

    /// Messages that were sent again since the last call, since a broker did not store them.
    fn take_resent(&mut self) -> u64 {
        0
    }

    /// Takes a further connection that the stream has opened, or failed to open.
    fn take_connection(&mut self) -> Option<ConnectTimings> {
        None
    }

    /// Messages that the broker has and a subscription has not received; `None`: not known.
    fn behind(&self, _subscription: u32) -> Option<u64> {
        None
    }

    /// Ends what is sent; the target goes on sending until it ends the stream. Returns false if the
    /// protocol has no such end.
    fn finish(&mut self) -> bool {
        false
    }

    /// Hands queued bytes to the kernel; ready when all of them are handed over. The task that it
    /// wakes is to be the one of `poll_receive`, which writes what is left.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>>;

    /// Bytes that wait for the kernel.
    fn queued(&self) -> usize {
        0
    }

    /// Begins to close; `poll_receive`, which has to be called next, sends it and returns the end,
    /// within the protocol's own deadline.
    fn close(&mut self, code: u16, reason: &str);

    /// Takes the text with which the target explained its end; `None` if it did not.
    fn take_end_text(&mut self) -> Option<Vec<u8>> {
        None
    }

    /// Bytes handed to the kernel and read since the last call.
    fn take_traffic(&mut self) -> Traffic;

    /// How long the target asks clients to wait before they connect again; `None` if it did not.
    fn reconnect_delay(&self) -> Option<Duration> {
        None
    }
}

/// One message.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What the payload is.
    pub kind: MessageKind,
    /// The payload, without framing and compression; for an event its data.
    pub payload: &'a [u8],
    /// The name of an event; `None` for the default one.
    pub event: Option<&'a str>,
    /// The last event id, if the stream has one.
    pub id: Option<&'a str>,
    /// What the broker says of it; `None`: it comes from no broker.
    pub delivery: Option<&'a BrokerDelivery<'a>>,
}

impl<'a> Message<'a> {
    /// A message that has nothing but a payload.
    pub const fn new(kind: MessageKind, payload: &'a [u8]) -> Self {
        Self { kind, payload, event: None, id: None, delivery: None }
    }
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnd {
    /// Whether our side began to close.
    pub is_ours: bool,
    /// The close code of WebSocket, of the target or ours, or the status of a broker or of gRPC;
    /// `None` where
    /// there is none. 1005: a close frame without a code; 1006: no close frame.
    pub code: Option<u16>,
    /// What went wrong; `None`: a regular end.
    pub failure: Option<FailureKind>,
}

/// Bytes of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Handed to the kernel.
    pub sent: u64,
    /// Read.
    pub received: u64,
}

/// The protocol that a response opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamProtocol {
    /// RFC 6455, after a response with status 101.
    WebSocket,
    /// `text/event-stream` of the HTML standard.
    Events,
    /// A message per line.
    Lines,
    /// A session of MQTT.
    Mqtt(MqttSettings),
    /// A channel of AMQP 0-9-1.
    Amqp,
    /// A producer and consumer of Kafka.
    Kafka(KafkaSettings),
    /// Channels of Redis.
    Redis,
    /// Channels of PostgreSQL.
    Postgres,
    /// A call of gRPC.
    Grpc,
}

/// The settings of a stream.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// The protocol.
    pub protocol: StreamProtocol,
    /// The longest message accepted, bytes, after decompression.
    pub max_message: u64,
    /// How long the target may be silent before our ping; `None`: no pings.
    pub ping: Option<Duration>,
    /// How long it may take to answer a ping.
    pub pong: Duration,
    /// How long it may take to answer a close.
    pub close: Duration,
}

/// What the request of a stream offers.
#[derive(Clone, Copy, Debug)]
pub struct StreamOffer<'a> {
    /// The random key of a WebSocket handshake.
    pub key: [u8; 16],
    /// Subprotocols of WebSocket, the preferred one first.
    pub subprotocols: &'a [String],
    /// Whether permessage-deflate (RFC 7692) is offered.
    pub deflate: bool,
    /// The call of gRPC; `None`: it is none.
    pub grpc: Option<&'a GrpcCall>,
    /// The service that the stream belongs to.
    pub service: ServiceId,
    /// The number of its user; it selects the local address of further connections.
    pub user: u64,
}
