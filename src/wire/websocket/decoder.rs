//! Messages out of frames: the receiving half of RFC 6455, fed piece by piece.
//!
//! `stream` feeds it what it read; tests, benchmarks and the fuzzer feed it anything.
//! Invariant: what a target sends is hostile: messages, their fragments and control frames are
//! bounded, and no input makes it panic or loop.
//!
//! A message in one frame in one read, as nearly all are, is handed out as a slice of the read.

use crate::stats::FailureKind;
use crate::wire::body::bodies::CapturedBody;
use crate::wire::message_stream::MessageKind;
use crate::wire::websocket::deflate::{Decompressor, DeflateAgreement};
use crate::wire::websocket::frame::{FrameHeader, MAX_CONTROL, Opcode};
use crate::wire::websocket::utf8::Utf8Check;

/// Maximum frames of one message.
pub const MAX_FRAGMENTS: u32 = 128 << 10;

/// What the target sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameEvent<'a> {
    /// A complete message, decompressed; text is UTF-8.
    Message(MessageKind, &'a [u8]),
    /// A ping, to be answered with the same payload.
    Ping(&'a [u8]),
    /// The answer to a ping, or an unasked one.
    Pong,
    /// A close with its code, if it has one. Nothing follows.
    Close(Option<u16>),
}

/// A decoder of the frames of one stream.
#[derive(Debug)]
pub struct MessageDecoder {
    /// Maximum bytes of a message.
    max_message: u64,
    is_closed: bool,
    /// Parts that have arrived of a message or a frame; `None` between two messages.
    partial: Option<Box<PartialMessage>>,
    /// Boxed: few streams are compressed.
    decompressor: Option<Box<Decompressor>>,
}

/// A message, or a frame, of which parts have arrived.
#[derive(Debug, Default)]
struct PartialMessage {
    /// The start of a frame whose header, or control frame that, is not complete.
    start: FrameStart,
    /// Bytes to come of the frame's payload.
    left: u64,
    /// Whether the frame is the message's last.
    is_final: bool,
    /// `None` before its first frame.
    message: Option<MessageKind>,
    is_compressed: bool,
    fragments: u32,
    /// Bytes of the message on the wire.
    received: u64,
    payload: CapturedBody,
    text: Utf8Check,
}

/// The start of a frame: a header and a whole control frame fit.
#[derive(Debug)]
struct FrameStart {
    bytes: [u8; 2 + MAX_CONTROL],
    length: u8,
}

impl Default for FrameStart {
    fn default() -> Self {
        Self { bytes: [0; 2 + MAX_CONTROL], length: 0 }
    }
}

impl MessageDecoder {
    /// Creates a decoder of messages up to `max_message` bytes; `deflate`: what was agreed on
    /// compression.
    pub fn new(max_message: u64, deflate: Option<DeflateAgreement>) -> Self {
        let decompressor = deflate.map(|agreement| Box::new(Decompressor::new(agreement)));
        Self { max_message, is_closed: false, partial: None, decompressor }
    }

    /// Takes received bytes and hands out what they complete, in order. Bytes after a close are
    /// ignored.
    ///
    /// # Errors
    /// `BadFrame`, `InvalidUtf8`, `MessageTooLarge`, `TooManyFragments`, `BadCompression`, or
    /// `NoRoomForMessage` if the memory for kept bodies is used up; then no more may be fed.
    #[inline]
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        receive: &mut impl FnMut(FrameEvent<'_>),
    ) -> Result<(), FailureKind> {
        while !bytes.is_empty() && !self.is_closed {
            let used = match self.partial.take() {
                None => self.take_frame(bytes, receive)?,
                Some(mut partial) => {
                    let used = self.take_part(&mut partial, bytes, receive)?;
                    if partial.message.is_some() || partial.start.length > 0 {
                        self.partial = Some(partial);
                    }
                    used
                }
            };
            bytes = &bytes[used..];
        }
        Ok(())
    }

    /// Handles a frame between two messages. Returns how many bytes were used.
    #[inline]
    fn take_frame(
        &mut self,
        bytes: &[u8],
        receive: &mut impl FnMut(FrameEvent<'_>),
    ) -> Result<usize, FailureKind> {
        if let Some(header) = FrameHeader::parse(bytes, self.decompressor.is_some())?
            && header.is_final
            && !header.is_compressed
            && header.length <= (bytes.len() - header.size) as u64
        {
            let end = header.size + header.length as usize;
            let payload = &bytes[header.size..end];
            match header.opcode {
                Opcode::Text | Opcode::Binary if header.length > self.max_message => {
                    return Err(FailureKind::MessageTooLarge);
                }
                Opcode::Text if std::str::from_utf8(payload).is_err() => {
                    return Err(FailureKind::InvalidUtf8);
                }
                Opcode::Text => receive(FrameEvent::Message(MessageKind::Text, payload)),
                Opcode::Binary => receive(FrameEvent::Message(MessageKind::Binary, payload)),
                Opcode::Continuation => return Err(FailureKind::BadFrame),
                control => self.take_control(control, payload, receive)?,
            }
            return Ok(end);
        }
        let mut partial = Box::<PartialMessage>::default();
        let used = self.take_part(&mut partial, bytes, receive)?;
        if partial.message.is_some() || partial.start.length > 0 {
            self.partial = Some(partial);
        }
        Ok(used)
    }

    /// Handles bytes that belong to a message or a frame in parts. Returns how many were used.
    fn take_part(
        &mut self,
        partial: &mut PartialMessage,
        bytes: &[u8],
        receive: &mut impl FnMut(FrameEvent<'_>),
    ) -> Result<usize, FailureKind> {
        if partial.left > 0 {
            let here = bytes.len().min(usize::try_from(partial.left).unwrap_or(usize::MAX));
            partial.left -= here as u64;
            self.append(partial, &bytes[..here])?;
            if partial.left == 0 {
                self.end_frame(partial, receive)?;
            }
            return Ok(here);
        }
        let before = usize::from(partial.start.length);
        let here = bytes.len().min(partial.start.bytes.len() - before);
        partial.start.bytes[before..before + here].copy_from_slice(&bytes[..here]);
        let held = before + here;
        partial.start.length = held as u8;
        let start = &partial.start.bytes[..held];
        let Some(header) = FrameHeader::parse(start, self.decompressor.is_some())? else {
            return Ok(here);
        };
        if header.is_control() {
            let end = header.size + header.length as usize;
            if held < end {
                return Ok(here);
            }
            let payload = &partial.start.bytes[header.size..end];
            self.take_control(header.opcode, payload, receive)?;
            partial.start.length = 0;
            return Ok(end - before);
        }
        partial.start.length = 0;
        self.begin_frame(partial, &header)?;
        if header.length == 0 {
            self.end_frame(partial, receive)?;
        }
        Ok(header.size - before)
    }

    fn begin_frame(
        &self,
        partial: &mut PartialMessage,
        header: &FrameHeader,
    ) -> Result<(), FailureKind> {
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            _ => None,
        };
        // A message begins with its kind, and only continuations follow.
        if kind.is_some() == partial.message.is_some() {
            return Err(FailureKind::BadFrame);
        }
        partial.message = partial.message.or(kind);
        partial.is_compressed |= header.is_compressed;
        partial.fragments += 1;
        if partial.fragments > MAX_FRAGMENTS {
            return Err(FailureKind::TooManyFragments);
        }
        partial.received = partial.received.saturating_add(header.length);
        // What does not compress grows a little.
        let most = self.max_message.saturating_add(self.max_message / 8).saturating_add(1024);
        let most = if partial.is_compressed { most } else { self.max_message };
        if partial.received > most {
            return Err(FailureKind::MessageTooLarge);
        }
        (partial.left, partial.is_final) = (header.length, header.is_final);
        Ok(())
    }

    fn append(&mut self, partial: &mut PartialMessage, data: &[u8]) -> Result<(), FailureKind> {
        let before = partial.payload.len();
        match &mut self.decompressor {
            Some(decompressor) if partial.is_compressed => {
                decompressor.feed(data, &mut partial.payload, self.max_message)?;
            }
            _ => partial.payload.push(data).map_err(|_| FailureKind::NoRoomForMessage)?,
        }
        if partial.message == Some(MessageKind::Text) {
            partial.text.feed(&partial.payload[before..])?;
        }
        Ok(())
    }

    /// Handles the end of a data frame.
    fn end_frame(
        &mut self,
        partial: &mut PartialMessage,
        receive: &mut impl FnMut(FrameEvent<'_>),
    ) -> Result<(), FailureKind> {
        let Some(kind) = partial.message.filter(|_| partial.is_final) else { return Ok(()) };
        if let Some(decompressor) = &mut self.decompressor
            && partial.is_compressed
        {
            let before = partial.payload.len();
            decompressor.end(&mut partial.payload, self.max_message)?;
            if kind == MessageKind::Text {
                partial.text.feed(&partial.payload[before..])?;
            }
        }
        if kind == MessageKind::Text {
            partial.text.end()?;
        }
        receive(FrameEvent::Message(kind, &partial.payload));
        *partial = PartialMessage::default();
        Ok(())
    }

    #[cold]
    fn take_control(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        receive: &mut impl FnMut(FrameEvent<'_>),
    ) -> Result<(), FailureKind> {
        match opcode {
            Opcode::Ping => receive(FrameEvent::Ping(payload)),
            Opcode::Close => {
                let code = close_code(payload)?;
                self.is_closed = true;
                receive(FrameEvent::Close(code));
            }
            _ => receive(FrameEvent::Pong),
        }
        Ok(())
    }
}

/// Reads the payload of a close (RFC 6455 §5.5.1, §7.4): a code that may be sent, and a reason in
/// UTF-8.
fn close_code(payload: &[u8]) -> Result<Option<u16>, FailureKind> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(FailureKind::BadFrame),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    // 1004 to 1006 and 1015 stand for what is never sent; up to 2999 is for the protocol itself.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(FailureKind::BadFrame);
    }
    std::str::from_utf8(reason).map_err(|_| FailureKind::InvalidUtf8)?;
    Ok(Some(code))
}
