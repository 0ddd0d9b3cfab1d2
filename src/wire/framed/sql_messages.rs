//! Messages of PostgreSQL's protocol 3.0 that a server sends: one pass over bytes as they come.
//!
//! `sql_reader` and `sql_login` feed it.
//! Invariant: the length that a target announces is bounded before a byte is kept for it, and only
//! bytes that came are kept; a message may be split at any byte.

use std::fmt::Write;

use crate::stats::FailureKind;

/// The longest message that is accepted: PostgreSQL's own limit of an allocation, 1 GiB.
const MAX_MESSAGE: u32 = 1 << 30;

/// The kinds of messages that a server sends (PostgreSQL 18, §54.7).
const KINDS: &[u8] = b"123ACDEGHIKNRSTVWZcdnstv";

/// Splits bytes into messages.
#[derive(Debug, Default)]
pub(in crate::wire) struct MessageSplitter {
    /// Kind and length of the message that has begun, as far as they have come.
    head: [u8; HEAD],
    head_length: usize,
    /// Payload bytes that are still to come.
    left: usize,
    /// The beginning of the payload, if a message is split.
    kept: Vec<u8>,
    /// The most bytes of the payload that are kept.
    limit: usize,
}

/// The bytes of kind and length.
const HEAD: usize = 5;

/// A complete message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::wire) struct ServerMessage<'a> {
    pub(in crate::wire) kind: u8,
    /// Its payload, or the beginning of it that is kept.
    pub(in crate::wire) payload: &'a [u8],
}

impl MessageSplitter {
    /// The kind of the message that begins with these bytes; `None` if they continue one.
    pub(in crate::wire) fn beginning(&self, bytes: &[u8]) -> Option<u8> {
        bytes.first().copied().filter(|_| self.head_length == 0)
    }

    /// Reads up to the end of one message. Returns how many bytes were used, and the message if it
    /// is complete. `keep` returns for a kind how many bytes of the payload are kept at most.
    ///
    /// # Errors
    /// `BadReply` if the bytes are no messages.
    pub(in crate::wire) fn read<'b>(
        &'b mut self,
        bytes: &'b [u8],
        keep: impl Fn(u8) -> usize,
    ) -> Result<(usize, Option<ServerMessage<'b>>), FailureKind> {
        let mut at = 0;
        if self.head_length < HEAD {
            let here = bytes.len().min(HEAD - self.head_length);
            self.head[self.head_length..self.head_length + here].copy_from_slice(&bytes[..here]);
            self.head_length += here;
            at = here;
            if self.head_length > 0 && !KINDS.contains(&self.head[0]) {
                return Err(FailureKind::BadReply);
            }
            if self.head_length < HEAD {
                return Ok((at, None));
            }
            let [kind, length @ ..] = self.head;
            let length = u32::from_be_bytes(length);
            if !(4..=MAX_MESSAGE).contains(&length) {
                return Err(FailureKind::BadReply);
            }
            self.left = length as usize - 4;
            self.limit = keep(kind);
            self.kept.clear();
        }
        let here = self.left.min(bytes.len() - at);
        let piece = &bytes[at..at + here];
        at += here;
        self.left -= here;
        if self.left > 0 || !self.kept.is_empty() {
            let room = self.limit.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(&piece[..here.min(room)]);
        }
        if self.left > 0 {
            return Ok((at, None));
        }
        self.head_length = 0;
        let payload =
            if self.kept.is_empty() { &piece[..here.min(self.limit)] } else { &self.kept[..] };
        Ok((at, Some(ServerMessage { kind: self.head[0], payload })))
    }
}

/// A text that a zero byte ends, and what follows it.
pub(in crate::wire) fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// The fields of an error or a notice: a letter and a text each.
pub(in crate::wire) fn error_field(payload: &[u8], letter: u8) -> Option<&[u8]> {
    let mut rest = payload;
    while let [kind, after @ ..] = rest {
        // The last text may have been cut.
        let (text, next) = split_text(after).unwrap_or((after, &[]));
        if *kind == letter {
            return Some(text);
        }
        rest = next;
    }
    None
}

/// The longest detail, or message, of an error that is shown.
const MAX_SHOWN: usize = 512;

/// An error as one text: severity, code, message, detail, hint, position and context.
pub(in crate::wire) fn error_text(payload: &[u8]) -> String {
    let field = |letter: u8| {
        let text = error_field(payload, letter)?;
        Some(String::from_utf8_lossy(&text[..text.len().min(MAX_SHOWN)]).into_owned())
    };
    // `V` is the severity that no language of messages changes.
    let severity = field(b'V').or_else(|| field(b'S')).unwrap_or_default();
    let code = field(b'C').unwrap_or_default();
    let mut text = format!("{severity} {code}: {}", field(b'M').unwrap_or_default());
    for (letter, name) in [(b'D', "detail"), (b'H', "hint"), (b'P', "position"), (b'W', "where")] {
        if let Some(value) = field(letter) {
            let _ = write!(text, "; {name}: {value}");
        }
    }
    text
}

/// Whether an error ends its connection.
pub(in crate::wire) fn is_fatal(payload: &[u8]) -> bool {
    let severity = error_field(payload, b'V').or_else(|| error_field(payload, b'S'));
    matches!(severity, Some(b"FATAL" | b"PANIC"))
}
