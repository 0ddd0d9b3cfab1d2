//! Channels of Redis, over RESP3: a connection that has subscribed still publishes.
//!
//! `session` calls it.
//! Invariant: no more of a message is kept than the service accepts.

use super::command_queue::CommandQueue;
use super::dialect::PubSubDialect;
use crate::clock::Time;
use crate::protocol::{Protocol, status};
use crate::stats::FailureKind;
use crate::wire::broker::command::PublishCommand;
use crate::wire::framed::encode;
use crate::wire::framed::redis::status_of_error;
use crate::wire::framed::resp::{AggregateKind, LineKind, RespPart, RespReader};
use crate::wire::message_stream::{Message, MessageKind};

/// The words of Redis.
#[derive(Debug)]
pub(in crate::wire) struct RedisDialect {
    resp: RespReader,
    reply: RedisReply,
}

/// A reply, or a message that no command asked for.
#[derive(Debug)]
struct RedisReply {
    is_push: bool,
    depth: usize,
    /// Its texts, one after the other, and where each ends.
    texts: Vec<u8>,
    ends: Vec<usize>,
    /// The status of the error that it is.
    error: Option<u16>,
    /// The longest that is kept, bytes.
    max: usize,
}

/// Bytes of a push beside its payload: kind, channel and pattern.
const MAX_NAMES: usize = 128 << 10;

impl RedisDialect {
    /// `max_message` is the longest payload that is accepted, bytes.
    pub(in crate::wire) fn new(max_message: u64) -> Self {
        let max = usize::try_from(max_message).unwrap_or(usize::MAX).saturating_add(MAX_NAMES);
        let reply = RedisReply {
            is_push: false,
            depth: 0,
            texts: Vec::new(),
            ends: Vec::new(),
            error: None,
            max,
        };
        Self { resp: RespReader::new(), reply }
    }
}

/// Whether a channel to subscribe to is a pattern.
fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '['])
}

impl RedisReply {
    fn take(&mut self, part: RespPart<'_>) -> Result<(), FailureKind> {
        match part {
            RespPart::Open(kind, _) => {
                self.is_push |= self.depth == 0 && kind == AggregateKind::Push;
                self.depth += 1;
            }
            RespPart::Close => self.depth -= 1,
            RespPart::Line(kind, text) => {
                if kind == LineKind::Error && self.depth == 0 {
                    self.error = Some(status_of_error(text));
                }
                self.texts.extend_from_slice(text);
                self.ends.push(self.texts.len());
            }
            RespPart::Begin(length, is_error) => {
                if is_error && self.depth == 0 {
                    self.error = Some(status::of_code(Protocol::Redis, 1));
                }
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if self.texts.len().saturating_add(length) > self.max {
                    return Err(FailureKind::MessageTooLarge);
                }
            }
            RespPart::Bytes(bytes) => self.texts.extend_from_slice(bytes),
            RespPart::End | RespPart::Null => self.ends.push(self.texts.len()),
        }
        Ok(())
    }

    fn text(&self, place: usize) -> Option<&[u8]> {
        let begin = match place {
            0 => 0,
            place => *self.ends.get(place - 1)?,
        };
        self.texts.get(begin..*self.ends.get(place)?)
    }

    /// Handles what is complete.
    fn end(
        &self,
        now: Time,
        commands: &mut CommandQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<(), FailureKind> {
        if !self.is_push {
            let text = self.error.and(self.text(0)).unwrap_or_default();
            let ok = status::of_code(Protocol::Redis, 0);
            let status = self.error.unwrap_or(ok);
            return commands.answer(now, status, &String::from_utf8_lossy(text));
        }
        let text = |place| self.text(place).ok_or(FailureKind::BadReply);
        match text(0)? {
            b"message" => {
                let payload = (MessageKind::Binary, text(2)?);
                commands.deliver(now, (text(1)?, text(1)?), payload, receive);
            }
            b"pmessage" => {
                let payload = (MessageKind::Binary, text(3)?);
                commands.deliver(now, (text(1)?, text(2)?), payload, receive);
            }
            b"subscribe" | b"psubscribe" => {
                if commands.oldest_publishes() != Some(false) {
                    return Err(FailureKind::BadReply);
                }
                return commands.answer(now, status::of_code(Protocol::Redis, 0), "");
            }
            _ => {}
        }
        Ok(())
    }
}

impl PubSubDialect for RedisDialect {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        now: Time,
        commands: &mut CommandQueue,
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Result<Option<u16>, FailureKind> {
        while !bytes.is_empty() {
            let Self { resp, reply } = self;
            let (used, is_complete) =
                resp.read::<FailureKind>(bytes, &mut |part| reply.take(part))?;
            bytes = &bytes[used..];
            if is_complete {
                reply.end(now, commands, receive)?;
                reply.texts.clear();
                reply.ends.clear();
                (reply.is_push, reply.error) = (false, None);
            }
        }
        Ok(None)
    }

    fn publish(
        &mut self,
        message: &PublishCommand<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), FailureKind> {
        encode::redis_command(out, 3);
        encode::redis_word(out, b"PUBLISH");
        encode::redis_word(out, message.destination.as_bytes());
        encode::redis_word(out, message.payload);
        Ok(())
    }

    fn subscribe(&mut self, source: &str, out: &mut Vec<u8>) -> Result<(), FailureKind> {
        let command: &[u8] = if is_pattern(source) { b"PSUBSCRIBE" } else { b"SUBSCRIBE" };
        encode::redis_command(out, 2);
        encode::redis_word(out, command);
        encode::redis_word(out, source.as_bytes());
        Ok(())
    }

    /// The end of the connection says it all.
    fn end(&mut self, _: &mut Vec<u8>) {}
}
