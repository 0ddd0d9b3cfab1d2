//! The response to a question of DNS (RFC 1035), over UDP or TCP.
//!
//! `reader` feeds it.
//! Invariant: a message with another id or question is no response; what is read of one is bounded
//! by its own length, also where its names refer to each other.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use crate::plan::operation::RecordType;
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::response_reader::ReadsResponse;

const HEADER: usize = 12;
/// The longest name with its dots (RFC 1035 §2.3.4: 255 bytes with lengths).
const MAX_NAME: usize = 255;
/// Maximum references that one name may follow.
const MAX_JUMPS: usize = 32;
/// Maximum records that are described.
const MAX_RECORDS: usize = 256;

/// Reads the response to one question.
#[derive(Debug)]
pub(in crate::wire) struct DnsReader<'a> {
    /// The bytes of the question's message, without the length of TCP.
    question: &'a [u8],
    over_tcp: bool,
    capture: CaptureRequest,
    /// The bytes of a message over TCP that is not complete.
    message: Vec<u8>,
    status: u16,
    received: bool,
    is_complete: bool,
    is_clean: bool,
}

impl<'a> DnsReader<'a> {
    pub(in crate::wire) fn new(request: &'a [u8], over_tcp: bool, capture: CaptureRequest) -> Self {
        let question = if over_tcp { request.get(2..).unwrap_or_default() } else { request };
        Self {
            question,
            over_tcp,
            capture,
            message: Vec::new(),
            status: 0,
            received: false,
            is_complete: false,
            is_clean: true,
        }
    }

    /// Reads a message. Returns false if it is no response to the question.
    fn read(
        &mut self,
        message: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        let bad = AttemptOutcome::Failed(AttemptPhase::Body, FailureKind::BadReply);
        let Some(head) = message.get(..HEADER) else { return Err(bad) };
        let is_response = head[2] & 0x80 != 0 && head[..2] == self.question[..2];
        if !is_response {
            return if self.over_tcp { Err(bad) } else { Ok(false) };
        }
        let code = usize::from(head[3] & 0x0f);
        // A server that cannot read a question does not repeat it.
        let questions = u16::from_be_bytes([head[4], head[5]]);
        if questions > 0 && !self.repeats_question(message) {
            return if self.over_tcp { Err(bad) } else { Ok(false) };
        }
        self.status = status::of_code(Protocol::Dns, code);
        self.is_complete = true;
        if self.capture.keep_body {
            let document = describe(message, questions).ok_or(bad)?;
            let kept = capture.body.push(document.to_string().as_bytes());
            kept.map_err(|_| AttemptOutcome::Own(GeneratorError::KeptBodies))?;
            capture.head.extend_from_slice(b"type: map\r\n");
        }
        Ok(true)
    }

    /// Whether a message has the question that was sent; names have no case (RFC 4343).
    fn repeats_question(&self, message: &[u8]) -> bool {
        let own = question_of(self.question);
        own.is_some_and(|own| {
            question_of(message).is_some_and(|theirs| theirs.eq_ignore_ascii_case(own))
        })
    }
}

/// The bytes of the first question: name, type and class.
fn question_of(message: &[u8]) -> Option<&[u8]> {
    let mut at = HEADER;
    loop {
        match *message.get(at)? {
            0 => return message.get(HEADER..at + 5),
            // The first name of a message has nothing to refer to.
            length if length < 64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

impl ReadsResponse for DnsReader<'_> {
    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        if !self.over_tcp {
            let is_response = self.read(bytes, capture)?;
            self.received |= is_response;
            return Ok(is_response);
        }
        self.received = true;
        self.message.extend_from_slice(bytes);
        let [high, low, rest @ ..] = &*self.message else { return Ok(false) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if rest.len() < length {
            return Ok(false);
        }
        self.is_clean = rest.len() == length;
        let message = std::mem::take(&mut self.message);
        self.read(&message[2..2 + length], capture)
    }

    fn end(&mut self) -> bool {
        false
    }

    fn status(&self) -> u16 {
        self.status
    }

    fn may_reuse(&self) -> bool {
        self.is_complete && self.is_clean
    }

    fn has_begun(&self) -> bool {
        self.received
    }
}

/// A message as JSON: flags, and the records of its sections. `None` if it is malformed.
fn describe(message: &[u8], questions: u16) -> Option<Json> {
    let mut at = HEADER;
    for _ in 0..questions {
        at = skip_name(message, at)? + 4;
    }
    let count = |place: usize| -> Option<u16> {
        Some(u16::from_be_bytes([*message.get(place)?, *message.get(place + 1)?]))
    };
    let mut sections = Vec::new();
    for place in [6, 8, 10] {
        let mut records = Vec::new();
        for _ in 0..count(place)? {
            let (record, next) = record(message, at)?;
            at = next;
            // Options of the transport (RFC 6891) are no data.
            if let Some(record) = record
                && records.len() < MAX_RECORDS
            {
                records.push(record);
            }
        }
        sections.push(Json::Array(records));
    }
    let mut sections = sections.into_iter();
    let (high, low) = (message[2], message[3]);
    Some(json!({
        "authoritative": high & 0x04 != 0,
        "truncated": high & 0x02 != 0,
        "recursion_available": low & 0x80 != 0,
        "answers": sections.next(),
        "authority": sections.next(),
        "additional": sections.next(),
    }))
}

/// A record at `at`, and where the next one begins.
fn record(message: &[u8], at: usize) -> Option<(Option<Json>, usize)> {
    let name = read_name(message, at)?;
    let at = skip_name(message, at)?;
    let fixed = message.get(at..at + 10)?;
    let kind = RecordType(u16::from_be_bytes([fixed[0], fixed[1]]));
    let ttl = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let data = message.get(at + 10..at + 10 + length)?;
    let next = at + 10 + length;
    if kind.0 == 41 {
        return Some((None, next));
    }
    let data = data_text(message, at + 10, data, kind)?;
    Some((Some(json!({ "name": name, "type": kind.name(), "ttl": ttl, "data": data })), next))
}

/// The data of a record as in a zone file where its type is known, else in hex (RFC 3597).
fn data_text(message: &[u8], at: usize, data: &[u8], kind: RecordType) -> Option<String> {
    let name = |offset: usize| read_name(message, at + offset);
    let number =
        |offset: usize| Some(u16::from_be_bytes([*data.get(offset)?, *data.get(offset + 1)?]));
    Some(match (kind.0, data) {
        (1, [a, b, c, d]) => Ipv4Addr::new(*a, *b, *c, *d).to_string(),
        (28, data) if data.len() == 16 => {
            let bytes: [u8; 16] = data.try_into().ok()?;
            Ipv6Addr::from(bytes).to_string()
        }
        (2 | 5 | 12, _) => name(0)?,
        (15, _) => format!("{} {}", number(0)?, name(2)?),
        (33, _) => format!("{} {} {} {}", number(0)?, number(2)?, number(4)?, name(6)?),
        (16, _) => texts(data)?,
        _ => crate::hex::hex(data),
    })
}

/// The texts of a TXT record, joined.
fn texts(mut data: &[u8]) -> Option<String> {
    let mut all = String::new();
    while let Some((length, rest)) = data.split_first() {
        let (text, after) = rest.split_at_checked(usize::from(*length))?;
        all.push_str(&String::from_utf8_lossy(text));
        data = after;
    }
    Some(all)
}

/// Where the name at `at` ends.
fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            192.. => return Some(at + 2),
            length if length < 64 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// The name at `at`, dotted; a byte that is no printable ASCII is escaped (RFC 1035 §5.1).
fn read_name(message: &[u8], mut at: usize) -> Option<String> {
    let (mut name, mut jumps, mut length_so_far) = (String::new(), 0, 0);
    loop {
        match *message.get(at)? {
            0 => break,
            high @ 192.. => {
                jumps += 1;
                if jumps > MAX_JUMPS {
                    return None;
                }
                at = usize::from(u16::from_be_bytes([high & 0x3f, *message.get(at + 1)?]));
            }
            length if length < 64 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                length_so_far += label.len() + 1;
                if length_so_far > MAX_NAME {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                for byte in label {
                    match byte {
                        b'.' | b'\\' => {
                            name.push('\\');
                            name.push(char::from(*byte));
                        }
                        0x21..=0x7e => name.push(char::from(*byte)),
                        _ => {
                            let _ = write!(name, "\\{byte:03}");
                        }
                    }
                }
                at += 1 + usize::from(length);
            }
            _ => return None,
        }
    }
    if name.is_empty() {
        name.push('.');
    }
    Some(name)
}
