//! The response to a batch of Redis commands: its status, and its value as text or JSON.
//!
//! `reader` feeds it.
//! Invariant: the status of a batch is that of its first error; without one it is `OK`. Only what a
//! call captures is kept, within `max_body`; an error text always is, up to [`MAX_ERROR`] bytes.

use crate::plan::operation::{BatchForm, RedisBatch};
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::framed::resp::{AggregateKind, LineKind, RespPart, RespReader};
use crate::wire::response_reader::ReadsResponse;

/// The longest part of an error text that is kept, bytes.
const MAX_ERROR: usize = 1 << 10;

/// Reads the replies of a batch.
#[derive(Debug)]
pub(in crate::wire) struct RedisReader<'a> {
    batch: &'a RedisBatch,
    capture: CaptureRequest,
    resp: RespReader,
    value: ReplyText,
    /// Replies that are still to come, with those of MULTI and of what it queues.
    left: usize,
    status: Option<u16>,
    received: u64,
    is_clean: bool,
    /// Replies to come that precede those of the batch.
    preceding: usize,
}

/// Why a batch is not read to its end.
enum ReadError {
    Kind(FailureKind),
    NoRoom,
}

impl From<FailureKind> for ReadError {
    fn from(kind: FailureKind) -> Self {
        Self::Kind(kind)
    }
}

impl<'a> RedisReader<'a> {
    pub(in crate::wire) fn new(batch: &'a RedisBatch, capture: CaptureRequest) -> Self {
        let commands = batch.commands.len();
        let left = match batch.form {
            BatchForm::Single | BatchForm::Pipeline => commands,
            BatchForm::Transaction => commands + 2,
        };
        let is_list = batch.form == BatchForm::Pipeline;
        Self {
            batch,
            capture,
            resp: RespReader::new(),
            value: ReplyText { is_list, ..ReplyText::default() },
            left,
            status: None,
            received: 0,
            is_clean: true,
            preceding: 0,
        }
    }

    /// The same, where the reply to ASKING precedes those of the batch.
    pub(in crate::wire) fn after_asking(mut self) -> Self {
        (self.preceding, self.left) = (1, self.left + 1);
        self
    }

    /// Whether no reply so far is an error.
    pub(in crate::wire) fn is_ok(&self) -> bool {
        self.status.is_none()
    }

    /// Whether the value of the reply that is read now is that of the response: not MULTI's or a
    /// queued command's.
    fn is_value(&self) -> bool {
        self.preceding == 0 && (self.batch.form != BatchForm::Transaction || self.left == 1)
    }

    /// Reads bytes of one reply; returns how many were used, and whether it is complete.
    fn read_reply(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<(usize, bool), ReadError> {
        let is_value = self.is_value();
        let keeps = self.capture.keep_body && is_value;
        let Self { resp, value, status, batch, .. } = self;
        let is_transaction = batch.form == BatchForm::Transaction;
        resp.read(bytes, &mut |part| {
            let is_outermost = value.depth == 0 || value.is_in_push;
            match part {
                RespPart::Line(LineKind::Error, text) => {
                    note_error(status, capture, text);
                }
                RespPart::Begin(_, true) => {
                    status.get_or_insert(status::of_code(Protocol::Redis, 1));
                }
                RespPart::Null if is_transaction && is_value && is_outermost => {
                    // A watched key has changed: nothing was carried out.
                    let nil = status::of_word(Protocol::Redis, "nil").unwrap_or_default();
                    status.get_or_insert(nil);
                }
                _ => {}
            }
            value.take(part, keeps && status.is_none(), capture)
        })
    }
}

/// The status of an error: its first word.
pub(in crate::wire) fn status_of_error(text: &[u8]) -> u16 {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let known = std::str::from_utf8(word).ok().filter(|word| *word != "OK");
    let known = known.and_then(|word| status::of_word(Protocol::Redis, word));
    known.unwrap_or(status::of_code(Protocol::Redis, 1))
}

/// Notes an error: its first word is the status, and its text the body.
fn note_error(status: &mut Option<u16>, capture: &mut ResponseCapture, text: &[u8]) {
    if status.is_some() {
        return;
    }
    *status = Some(status_of_error(text));
    capture.body.clear();
    // The budget has room for a kilobyte, or the text is left out.
    let _ = capture.body.push(&text[..text.len().min(MAX_ERROR)]);
    capture.head.clear();
    capture.head.extend_from_slice(b"type: error\r\n");
}

impl ReadsResponse for RedisReader<'_> {
    fn feed(
        &mut self,
        mut bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        let phase = self.phase();
        self.received += bytes.len() as u64;
        while self.left > 0 {
            if bytes.is_empty() {
                return Ok(false);
            }
            if self.received > self.capture.max_body {
                return Err(AttemptOutcome::Failed(AttemptPhase::Body, FailureKind::BodyTooLarge));
            }
            let (used, is_complete) =
                self.read_reply(bytes, capture).map_err(|error| match error {
                    ReadError::Kind(kind) => AttemptOutcome::Failed(phase, kind),
                    ReadError::NoRoom => AttemptOutcome::Own(GeneratorError::KeptBodies),
                })?;
            bytes = &bytes[used..];
            // A push message is no reply to a command.
            if is_complete && !std::mem::take(&mut self.value.was_push) {
                self.left -= 1;
                self.preceding = self.preceding.saturating_sub(1);
            }
        }
        self.is_clean = bytes.is_empty();
        if self.status.is_none() && self.capture.keep_body {
            self.value.finish(capture);
        }
        Ok(true)
    }

    fn end(&mut self) -> bool {
        self.left == 0
    }

    fn status(&self) -> u16 {
        self.status.unwrap_or(status::of_code(Protocol::Redis, 0))
    }

    fn may_reuse(&self) -> bool {
        self.is_clean && self.left == 0
    }

    fn has_begun(&self) -> bool {
        self.received > 0
    }
}

/// Writes replies as a text: a string as it is, any other value as JSON.
#[derive(Debug, Default)]
struct ReplyText {
    /// Whether the replies are the elements of a list.
    is_list: bool,
    /// Open lists and maps: whether each is a map, and how many values it has so far.
    levels: Vec<(bool, u64)>,
    depth: usize,
    /// Replies so far.
    replies: u64,
    /// Whether the string that is read now stands alone, and so is written as it is.
    is_plain: bool,
    /// Bytes of a string that may be the beginning of a character.
    text: Vec<u8>,
    kind: &'static str,
    is_in_push: bool,
    was_push: bool,
}

impl ReplyText {
    fn take(
        &mut self,
        part: RespPart<'_>,
        keeps: bool,
        capture: &mut ResponseCapture,
    ) -> Result<(), ReadError> {
        match part {
            RespPart::Open(AggregateKind::Push | AggregateKind::Attributes, _)
                if self.depth == 0 =>
            {
                self.is_in_push = true;
                self.was_push = matches!(part, RespPart::Open(AggregateKind::Push, _));
                self.depth += 1;
                return Ok(());
            }
            RespPart::Open(..) => self.depth += 1,
            RespPart::Close => {
                self.depth -= 1;
                if self.is_in_push {
                    self.is_in_push = self.depth > 0;
                    return Ok(());
                }
            }
            _ => {}
        }
        if self.is_in_push || !keeps {
            return Ok(());
        }
        let mut write = |bytes: &[u8]| capture.body.push(bytes).map_err(|_| ReadError::NoRoom);
        match part {
            RespPart::Close => {
                let is_map = self.levels.pop().is_some_and(|(is_map, _)| is_map);
                return write(if is_map { b"}" } else { b"]" });
            }
            RespPart::Bytes(bytes) if self.is_plain => return write(bytes),
            RespPart::Bytes(bytes) => {
                self.text.extend_from_slice(bytes);
                return Ok(());
            }
            RespPart::End => {
                if !std::mem::take(&mut self.is_plain) {
                    let text = std::mem::take(&mut self.text);
                    return write(&json_text(&text));
                }
                return Ok(());
            }
            _ => {}
        }
        self.value(part, &mut write)
    }

    /// Writes the beginning of a value, or all of it.
    fn value(
        &mut self,
        part: RespPart<'_>,
        write: &mut impl FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let is_outermost = self.levels.is_empty();
        let is_alone = is_outermost && !self.is_list;
        let is_key = self.begin_value(write)?;
        if is_outermost {
            self.kind = match part {
                RespPart::Line(LineKind::Number, _) => "number",
                RespPart::Line(LineKind::Boolean, _) => "boolean",
                RespPart::Line(..) | RespPart::Begin(..) => "string",
                RespPart::Open(AggregateKind::Map, _) => "map",
                RespPart::Open(..) => "list",
                _ => "null",
            };
        }
        match part {
            RespPart::Line(LineKind::Number, text) if !is_key => {
                // Without `+`, which JSON has not; infinity is a text.
                let text = text.strip_prefix(b"+").unwrap_or(text);
                match text {
                    b"inf" | b"-inf" | b"nan" => write(&json_text(text)),
                    text => write(text),
                }
            }
            RespPart::Line(LineKind::Boolean, text) if !is_key => {
                write(if text == b"t" { b"true" } else { b"false" })
            }
            RespPart::Line(_, text) if is_alone => write(text),
            RespPart::Line(_, text) => write(&json_text(text)),
            RespPart::Begin(..) => {
                self.is_plain = is_alone;
                Ok(())
            }
            RespPart::Open(kind, _) => {
                let is_map = kind == AggregateKind::Map;
                self.levels.push((is_map, 0));
                write(if is_map { b"{" } else { b"[" })
            }
            _ => write(b"null"),
        }
    }

    /// Writes what stands before a value; returns whether it is the key of a map.
    fn begin_value(
        &mut self,
        write: &mut impl FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<bool, ReadError> {
        match self.levels.last_mut() {
            None => {
                self.replies += 1;
                if self.is_list {
                    write(if self.replies == 1 { b"[" } else { b"," })?;
                }
                Ok(false)
            }
            Some((is_map, count)) => {
                let before = *count;
                *count += 1;
                if *is_map && before % 2 == 1 {
                    write(b":")?;
                } else if before > 0 {
                    write(b",")?;
                }
                Ok(*is_map && before % 2 == 0)
            }
        }
    }

    /// Ends the text of all replies.
    fn finish(&mut self, capture: &mut ResponseCapture) {
        if self.is_list {
            let _ = capture.body.push(if self.replies == 0 { b"[]" } else { b"]" });
            self.kind = "list";
        }
        capture.head.clear();
        capture.head.extend_from_slice(b"type: ");
        capture.head.extend_from_slice(self.kind.as_bytes());
        capture.head.extend_from_slice(b"\r\n");
    }
}

/// A string as JSON; bytes that are not UTF-8 become U+FFFD.
fn json_text(bytes: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&*String::from_utf8_lossy(bytes)).unwrap_or_default()
}
