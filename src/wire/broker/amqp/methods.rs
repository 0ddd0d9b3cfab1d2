//! Methods that a broker sends.
//!
//! `framed::amqp_login`, `reply` and `channel` read them.
//! Invariant: a method that no client here waits for is a fault, since what follows it is unknown.

use super::fault::AmqpFault;
use super::table::AmqpFields;

/// A method of a broker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::wire) enum ServerMethod<'a> {
    Start {
        version: [u8; 2],
        /// Names, with spaces between them.
        mechanisms: &'a [u8],
    },
    /// A challenge of SASL.
    Secure,
    Tune {
        channel_max: u16,
        frame_max: u32,
        heartbeat: u16,
    },
    OpenOk,
    ConnectionClose(CloseReason<'a>),
    ConnectionCloseOk,
    /// The broker takes no messages of the connection for now.
    Blocked,
    Unblocked,
    ChannelOpenOk,
    /// Whether the broker takes messages of the channel.
    Flow(bool),
    ChannelClose(CloseReason<'a>),
    ChannelCloseOk,
    ExchangeDeclareOk,
    ExchangeDeleteOk,
    QueueDeclareOk {
        queue: &'a [u8],
        messages: u32,
        consumers: u32,
    },
    QueueBindOk,
    /// Messages that were removed.
    QueuePurgeOk(u32),
    /// Messages that were in the queue.
    QueueDeleteOk(u32),
    QosOk,
    /// The tag of the consumer.
    ConsumeOk(&'a [u8]),
    /// The broker ended a consumer: its queue is gone.
    Cancel {
        tag: &'a [u8],
        has_answer: bool,
    },
    Return(ReturnedMessage<'a>),
    Deliver(DeliveredMessage<'a>),
    /// Messages were confirmed.
    Ack {
        tag: u64,
        is_multiple: bool,
    },
    /// Messages were not taken.
    Nack {
        tag: u64,
        is_multiple: bool,
    },
    SelectOk,
}

/// Why a broker closes a connection or a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct CloseReason<'a> {
    pub(in crate::wire) code: u16,
    pub(in crate::wire) text: &'a [u8],
    /// Class and number of the method that was wrong; zeros if it was none.
    pub(in crate::wire) cause: (u16, u16),
}

/// A message that no queue, or no consumer, took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct ReturnedMessage<'a> {
    pub(in crate::wire) code: u16,
    pub(in crate::wire) exchange: &'a [u8],
    pub(in crate::wire) key: &'a [u8],
}

/// A message for a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct DeliveredMessage<'a> {
    pub(in crate::wire) consumer: &'a [u8],
    pub(in crate::wire) tag: u64,
    pub(in crate::wire) is_redelivered: bool,
    pub(in crate::wire) exchange: &'a [u8],
    pub(in crate::wire) key: &'a [u8],
}

impl<'a> ServerMethod<'a> {
    /// Reads the payload of a frame as one.
    pub(in crate::wire) fn read(payload: &'a [u8]) -> Result<Self, AmqpFault> {
        let mut fields = AmqpFields(payload);
        let class = fields.short()?;
        let method = fields.short()?;
        match class {
            10 => connection(method, &mut fields),
            20 => channel(method, &mut fields),
            40 | 50 => declaration((class, method), &mut fields),
            60 => basic(method, &mut fields),
            85 if method == 11 => Ok(Self::SelectOk),
            _ => Err(AmqpFault::Unexpected),
        }
    }
}

fn connection<'a>(method: u16, fields: &mut AmqpFields<'a>) -> Result<ServerMethod<'a>, AmqpFault> {
    Ok(match method {
        10 => {
            let version = [fields.byte()?, fields.byte()?];
            // Properties of the server.
            fields.long_text()?;
            ServerMethod::Start { version, mechanisms: fields.long_text()? }
        }
        20 => ServerMethod::Secure,
        30 => ServerMethod::Tune {
            channel_max: fields.short()?,
            frame_max: fields.long()?,
            heartbeat: fields.short()?,
        },
        41 => ServerMethod::OpenOk,
        50 => ServerMethod::ConnectionClose(close_reason(fields)?),
        51 => ServerMethod::ConnectionCloseOk,
        60 => ServerMethod::Blocked,
        61 => ServerMethod::Unblocked,
        _ => return Err(AmqpFault::Unexpected),
    })
}

fn channel<'a>(method: u16, fields: &mut AmqpFields<'a>) -> Result<ServerMethod<'a>, AmqpFault> {
    Ok(match method {
        11 => ServerMethod::ChannelOpenOk,
        20 => ServerMethod::Flow(fields.byte()? & 1 != 0),
        40 => ServerMethod::ChannelClose(close_reason(fields)?),
        41 => ServerMethod::ChannelCloseOk,
        _ => return Err(AmqpFault::Unexpected),
    })
}

fn declaration<'a>(
    method: (u16, u16),
    fields: &mut AmqpFields<'a>,
) -> Result<ServerMethod<'a>, AmqpFault> {
    Ok(match method {
        (40, 11) => ServerMethod::ExchangeDeclareOk,
        (40, 21) => ServerMethod::ExchangeDeleteOk,
        (50, 11) => ServerMethod::QueueDeclareOk {
            queue: fields.short_text()?,
            messages: fields.long()?,
            consumers: fields.long()?,
        },
        (50, 21) => ServerMethod::QueueBindOk,
        (50, 31) => ServerMethod::QueuePurgeOk(fields.long()?),
        (50, 41) => ServerMethod::QueueDeleteOk(fields.long()?),
        _ => return Err(AmqpFault::Unexpected),
    })
}

fn basic<'a>(method: u16, fields: &mut AmqpFields<'a>) -> Result<ServerMethod<'a>, AmqpFault> {
    Ok(match method {
        11 => ServerMethod::QosOk,
        21 => ServerMethod::ConsumeOk(fields.short_text()?),
        30 => {
            let tag = fields.short_text()?;
            ServerMethod::Cancel { tag, has_answer: fields.byte()? & 1 == 0 }
        }
        50 => {
            let code = fields.short()?;
            // The reason in words.
            fields.short_text()?;
            let (exchange, key) = (fields.short_text()?, fields.short_text()?);
            ServerMethod::Return(ReturnedMessage { code, exchange, key })
        }
        60 => ServerMethod::Deliver(DeliveredMessage {
            consumer: fields.short_text()?,
            tag: fields.long_long()?,
            is_redelivered: fields.byte()? & 1 != 0,
            exchange: fields.short_text()?,
            key: fields.short_text()?,
        }),
        80 => {
            let tag = fields.long_long()?;
            ServerMethod::Ack { tag, is_multiple: fields.byte()? & 1 != 0 }
        }
        120 => {
            let tag = fields.long_long()?;
            ServerMethod::Nack { tag, is_multiple: fields.byte()? & 1 != 0 }
        }
        _ => return Err(AmqpFault::Unexpected),
    })
}

fn close_reason<'a>(fields: &mut AmqpFields<'a>) -> Result<CloseReason<'a>, AmqpFault> {
    let (code, text) = (fields.short()?, fields.short_text()?);
    Ok(CloseReason { code, text, cause: (fields.short()?, fields.short()?) })
}
