//! Messages out of frames: a method that begins one, its content header, its body.
//!
//! `channel` feeds it.
//! Invariant: one message at a time; no more of it is kept than accepted, and a body of one frame
//! is not copied.

use super::content_header;
use super::fault::AmqpFault;
use super::publish::{MARKED, mark};

/// Buffers of more bytes are not kept from message to message.
const MAX_KEPT: usize = 4 << 10;

/// Joins the frames of messages.
#[derive(Debug)]
pub(super) struct ContentReader {
    stage: ContentStage,
    pub(super) origin: ContentOrigin,
    exchange: Vec<u8>,
    key: Vec<u8>,
    /// The routing key as a text.
    pub(super) topic: String,
    /// Properties, as lines of headers.
    pub(super) lines: Vec<u8>,
    length: u64,
    /// The body so far; of a message that was returned its beginning.
    body: Vec<u8>,
}

/// Which frame is next.
#[derive(Clone, Copy, Debug)]
enum ContentStage {
    /// That of a method.
    Method,
    Header,
    /// A part of the body, of which as many bytes are to come.
    Body(u64),
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum ContentOrigin {
    Delivery {
        subscription: Option<u32>,
        /// The tag; 0 if the broker expects no settlement.
        tag: u64,
        is_redelivered: bool,
    },
    /// It was returned, with this status.
    Returned(u16),
}

impl ContentReader {
    pub(super) const fn new() -> Self {
        Self {
            stage: ContentStage::Method,
            origin: ContentOrigin::Returned(0),
            exchange: Vec::new(),
            key: Vec::new(),
            topic: String::new(),
            lines: Vec::new(),
            length: 0,
            body: Vec::new(),
        }
    }

    /// Whether no message is under way, so that a method may follow.
    pub(super) const fn is_idle(&self) -> bool {
        matches!(self.stage, ContentStage::Method)
    }

    /// Begins a message.
    pub(super) fn begin(&mut self, origin: ContentOrigin, exchange: &[u8], key: &[u8]) {
        self.stage = ContentStage::Header;
        self.origin = origin;
        self.lines.clear();
        self.topic.clear();
        for chunk in key.utf8_chunks() {
            self.topic.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                self.topic.push(char::REPLACEMENT_CHARACTER);
            }
        }
        match origin {
            ContentOrigin::Delivery { .. } if exchange.is_empty() => {}
            ContentOrigin::Delivery { .. } => {
                content_header::line(&mut self.lines, b"exchange", exchange);
            }
            ContentOrigin::Returned(_) => {
                self.exchange.clear();
                self.exchange.extend_from_slice(exchange);
                self.key.clear();
                self.key.extend_from_slice(key);
            }
        }
    }

    /// Takes a content header. Returns true if it completes the message: it has no body.
    pub(super) fn take_header(&mut self, payload: &[u8], max: u64) -> Result<bool, AmqpFault> {
        if !matches!(self.stage, ContentStage::Header) {
            return Err(AmqpFault::Unexpected);
        }
        self.length = content_header::read(payload, &mut self.lines)?;
        // Of a message that was returned only the beginning is kept.
        if self.length > max && matches!(self.origin, ContentOrigin::Delivery { .. }) {
            return Err(AmqpFault::TooLarge);
        }
        self.body.clear();
        self.advance(self.length);
        Ok(self.is_idle())
    }

    /// Takes a part of a body. Returns true if it completes the message.
    pub(super) fn take_body(&mut self, part: &[u8]) -> Result<bool, AmqpFault> {
        let ContentStage::Body(left) = self.stage else { return Err(AmqpFault::Unexpected) };
        let left = left.checked_sub(part.len() as u64).ok_or(AmqpFault::Unexpected)?;
        let is_whole = left == 0 && self.body.is_empty();
        match self.origin {
            ContentOrigin::Delivery { .. } if is_whole => {}
            ContentOrigin::Delivery { .. } => self.body.extend_from_slice(part),
            ContentOrigin::Returned(_) => {
                let room = MARKED - self.body.len();
                self.body.extend_from_slice(&part[..part.len().min(room)]);
            }
        }
        self.advance(left);
        Ok(self.is_idle())
    }

    fn advance(&mut self, left: u64) {
        self.stage = match left {
            0 => ContentStage::Method,
            left => ContentStage::Body(left),
        };
    }

    /// The body of a complete message, whose last part is `last`.
    pub(super) fn body<'b>(&'b self, last: &'b [u8]) -> &'b [u8] {
        if self.body.is_empty() { last } else { &self.body }
    }

    /// The mark of a complete message that was returned.
    pub(super) fn mark(&self) -> u64 {
        mark((&self.exchange, &self.key), self.length, &self.body)
    }

    /// Releases large buffers after a message.
    pub(super) fn release(&mut self) {
        if self.body.capacity() > MAX_KEPT {
            self.body = Vec::new();
        }
        if self.lines.capacity() > MAX_KEPT {
            self.lines = Vec::new();
        }
    }
}
