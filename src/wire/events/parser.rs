//! Server-sent events (HTML standard §9.2), parsed from a body that comes in pieces.
//!
//! `stream` and `wire::tokens` feed it the body; tests and the fuzzer feed it anything.
//! Invariant: an event is at most `max` bytes, its name and id 4 KiB; how the body is cut into
//! pieces makes no difference; an event without its final empty line is never handed out.
//!
//! An event whose one line of data is complete in a read, as most are, is not copied.

use std::borrow::Cow;

use crate::stats::FailureKind;
use crate::wire::body::bodies::CapturedBody;

/// Maximum bytes of an event's name, and of an id.
const MAX_FIELD: usize = 4 << 10;
/// Room for the name of a field, its colon and a space.
const FIELD_NAME: u64 = 16;
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventMessage<'a> {
    /// The data, its lines joined by `\n`; UTF-8, with U+FFFD in place of anything else.
    pub data: &'a [u8],
    /// The name; `None` for the default one.
    pub event: Option<&'a str>,
    /// The last id so far; `None` before the first.
    pub id: Option<&'a str>,
}

/// A parser of one body.
#[derive(Debug)]
pub struct EventParser {
    max: u64,
    /// How much of a byte order mark has been seen at the start of the body; 3: past it.
    mark: u8,
    /// The last piece ended with `\r`: a `\n` now belongs to it.
    skips_line_feed: bool,
    /// Whether the event so far has data.
    has_data: bool,
    /// The beginning of a line whose end has not arrived.
    line: CapturedBody,
    /// The data of the event so far.
    data: CapturedBody,
    /// The name of the event so far.
    event: String,
    id: Option<String>,
    retry_ms: Option<u64>,
}

impl EventParser {
    /// Creates a parser of events up to `max` bytes.
    pub fn new(max: u64) -> Self {
        Self {
            max,
            mark: 0,
            skips_line_feed: false,
            has_data: false,
            line: CapturedBody::default(),
            data: CapturedBody::default(),
            event: String::new(),
            id: None,
            retry_ms: None,
        }
    }

    /// The time to wait before connecting again that the target asked for, ms.
    pub const fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Takes bytes and hands out the events that they complete.
    ///
    /// # Errors
    /// `EventTooLarge`; `NoRoomForMessage` if the memory for kept bodies is used up.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        receive: &mut impl FnMut(EventMessage<'_>),
    ) -> Result<(), FailureKind> {
        if self.mark < 3 {
            bytes = self.skip_mark(bytes)?;
        }
        // The data of the event so far, if it is one line of these bytes.
        let mut only_line = None;
        loop {
            if self.skips_line_feed && !bytes.is_empty() {
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
                self.skips_line_feed = false;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else { break };
            let line = &bytes[..end];
            self.skips_line_feed = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if self.line.is_empty() {
                self.take_line(line, &mut only_line, receive)?;
            } else {
                self.keep_data(&mut only_line)?;
                self.keep_line(line)?;
                let whole = std::mem::take(&mut self.line);
                let mut only = None;
                self.take_line(&whole, &mut only, receive)?;
                self.keep_data(&mut only)?;
            }
        }
        self.keep_data(&mut only_line)?;
        self.keep_line(bytes)
    }

    /// Skips a byte order mark at the start of the body; returns what follows.
    fn skip_mark<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8], FailureKind> {
        while let Some((&first, rest)) = bytes.split_first()
            && self.mark < 3
        {
            let seen = usize::from(self.mark);
            if first != BYTE_ORDER_MARK[seen] {
                self.mark = 3;
                self.keep_line(&BYTE_ORDER_MARK[..seen])?;
                break;
            }
            self.mark += 1;
            bytes = rest;
        }
        Ok(bytes)
    }

    /// Handles a line without its end.
    fn take_line<'b>(
        &mut self,
        line: &'b [u8],
        only_line: &mut Option<&'b [u8]>,
        receive: &mut impl FnMut(EventMessage<'_>),
    ) -> Result<(), FailureKind> {
        if line.is_empty() {
            self.dispatch(only_line.take(), receive);
            return Ok(());
        }
        let (name, value) = match memchr::memchr(b':', line) {
            Some(colon) => {
                let value = &line[colon + 1..];
                (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => {
                let so_far = self.data.len() + only_line.map_or(0, <[u8]>::len);
                if (so_far + value.len()) as u64 > self.max {
                    return Err(FailureKind::EventTooLarge);
                }
                if !self.has_data {
                    (self.has_data, *only_line) = (true, Some(value));
                    return Ok(());
                }
                self.keep_data(only_line)?;
                self.push_data(b"\n")?;
                self.push_data(value)?;
            }
            b"event" => self.event = field(value)?.into_owned(),
            b"id" if !value.contains(&0) => self.id = Some(field(value)?.into_owned()),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let ms = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.retry_ms = ms.or(self.retry_ms);
            }
            _ => {}
        }
        Ok(())
    }

    /// Handles the end of an event.
    fn dispatch(&mut self, only_line: Option<&[u8]>, receive: &mut impl FnMut(EventMessage<'_>)) {
        let has_data = std::mem::take(&mut self.has_data);
        let event = std::mem::take(&mut self.event);
        if !has_data {
            return;
        }
        let kept = std::mem::take(&mut self.data);
        let data = text(only_line.unwrap_or(&kept));
        receive(EventMessage {
            data: &data,
            event: (!event.is_empty()).then_some(event.as_str()),
            id: self.id.as_deref(),
        });
    }

    /// Copies the only line of data, which more data or more pieces will follow.
    fn keep_data(&mut self, only_line: &mut Option<&[u8]>) -> Result<(), FailureKind> {
        only_line.take().map_or(Ok(()), |line| self.push_data(line))
    }

    fn push_data(&mut self, part: &[u8]) -> Result<(), FailureKind> {
        self.data.push(part).map_err(|_| FailureKind::NoRoomForMessage)
    }

    fn keep_line(&mut self, part: &[u8]) -> Result<(), FailureKind> {
        if part.is_empty() {
            return Ok(());
        }
        let most = self.max.max(MAX_FIELD as u64).saturating_add(FIELD_NAME);
        if (self.line.len() + part.len()) as u64 > most {
            return Err(FailureKind::EventTooLarge);
        }
        self.line.push(part).map_err(|_| FailureKind::NoRoomForMessage)
    }
}

/// Returns the value of a name or an id.
fn field(value: &[u8]) -> Result<Cow<'_, str>, FailureKind> {
    if value.len() > MAX_FIELD {
        return Err(FailureKind::EventTooLarge);
    }
    Ok(String::from_utf8_lossy(value))
}

/// Returns data as UTF-8.
fn text(data: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(data) {
        Ok(_) => Cow::Borrowed(data),
        Err(_) => Cow::Owned(String::from_utf8_lossy(data).into_owned().into_bytes()),
    }
}
