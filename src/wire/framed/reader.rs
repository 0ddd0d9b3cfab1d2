//! The reader of a response, by the protocol of its service.
//!
//! `client` makes one for each exchange.
//! Invariant: bytes beyond the response are never taken for the next one.

use crate::clock::Time;
use crate::plan::broker::SessionPlan;
use crate::plan::operation::{Operation, RedisBatch, RedisCommand, ResponseEnd};
use crate::protocol::Protocol;
use crate::stats::{AttemptOutcome, AttemptPhase};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::broker::amqp::reply::AmqpReplyReader;
use crate::wire::broker::kafka::reply::KafkaReplyReader;
use crate::wire::broker::mqtt::connack::ConnackReader;
use crate::wire::broker::pubsub::beginning::BeginningReader;
use crate::wire::framed::bytes::BytesReader;
use crate::wire::framed::dns::DnsReader;
use crate::wire::framed::encode;
use crate::wire::framed::redis::RedisReader;
use crate::wire::framed::sql_reader::SqlReader;
use crate::wire::response_reader::ReadsResponse;

/// The reader of one response.
#[derive(Debug)]
pub(in crate::wire) enum FrameReader<'a> {
    Redis(RedisReader<'a>),
    Bytes(BytesReader<'a>),
    Dns(DnsReader<'a>),
    Sql(SqlReader),
    Mqtt(ConnackReader),
    Amqp(AmqpReplyReader<'a>),
    Kafka(KafkaReplyReader<'a>),
    Beginning(BeginningReader),
}

impl<'a> FrameReader<'a> {
    /// Creates the reader of an operation's response; `request` are the bytes that are sent.
    pub(in crate::wire) fn new(
        operation: &'a Operation,
        protocol: Protocol,
        (request, capture): (&'a [u8], CaptureRequest),
    ) -> Self {
        match operation {
            Operation::Redis(batch) => {
                let reader = RedisReader::new(batch, capture);
                Self::Redis(if is_after_asking(batch, request) {
                    reader.after_asking()
                } else {
                    reader
                })
            }
            Operation::Bytes(end) => Self::Bytes(BytesReader::new(end, protocol, capture)),
            Operation::Sql(statement) => Self::Sql(SqlReader::new(capture, statement.copies)),
            // `shard_wire` sends calls of gRPC over HTTP/2.
            Operation::Grpc(_) => {
                Self::Bytes(BytesReader::new(&ResponseEnd::Close, protocol, capture))
            }
            Operation::Session(SessionPlan::Mqtt(connect)) => {
                Self::Mqtt(ConnackReader::new(&connect.settings))
            }
            Operation::Session(SessionPlan::Amqp) => Self::Amqp(AmqpReplyReader::session()),
            Operation::Session(SessionPlan::Kafka) => Self::Kafka(KafkaReplyReader::session()),
            Operation::Topic(topic) => {
                Self::Kafka(KafkaReplyReader::topic(&topic.plan, capture.keep_body))
            }
            Operation::Session(SessionPlan::Redis) => Self::Beginning(BeginningReader::redis()),
            Operation::Session(SessionPlan::Postgres) => {
                Self::Beginning(BeginningReader::postgres())
            }
            Operation::Declare(declare) => {
                Self::Amqp(AmqpReplyReader::declaration(&declare.kind, capture.keep_body))
            }
            Operation::Dns(_) => {
                Self::Dns(DnsReader::new(request, protocol == Protocol::DnsTcp, capture))
            }
        }
    }
}

/// Whether ASKING precedes the commands of a batch.
fn is_after_asking(batch: &RedisBatch, request: &[u8]) -> bool {
    let is_own =
        || batch.commands.first().and_then(RedisCommand::name).as_deref() == Some("ASKING");
    request.starts_with(encode::REDIS_ASKING) && !is_own()
}

/// Calls the same method of whichever reader it is.
macro_rules! each {
    ($reader:expr, $inner:ident => $call:expr) => {
        match $reader {
            FrameReader::Redis($inner) => $call,
            FrameReader::Bytes($inner) => $call,
            FrameReader::Dns($inner) => $call,
            FrameReader::Sql($inner) => $call,
            FrameReader::Mqtt($inner) => $call,
            FrameReader::Amqp($inner) => $call,
            FrameReader::Kafka($inner) => $call,
            FrameReader::Beginning($inner) => $call,
        }
    };
}

impl ReadsResponse for FrameReader<'_> {
    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        each!(self, inner => inner.feed(bytes, capture))
    }

    fn end(&mut self) -> bool {
        each!(self, inner => inner.end())
    }

    fn status(&self) -> u16 {
        each!(self, inner => inner.status())
    }

    fn may_reuse(&self) -> bool {
        each!(self, inner => inner.may_reuse())
    }

    fn has_begun(&self) -> bool {
        each!(self, inner => inner.has_begun())
    }

    fn phase(&self) -> AttemptPhase {
        each!(self, inner => inner.phase())
    }

    fn has_first_byte(&self) -> bool {
        each!(self, inner => inner.has_first_byte())
    }

    fn read_at(&mut self, now: Time) {
        each!(self, inner => inner.read_at(now));
    }

    fn is_taken_over(&self) -> bool {
        each!(self, inner => inner.is_taken_over())
    }

    fn is_complete_when_sent(&self) -> bool {
        each!(self, inner => inner.is_complete_when_sent())
    }
}
