//! Where does an answer end? The framing of HTTP/1.1 responses (RFC 9112 §6), fed piece by piece.
//!
//! `http1` feeds it what it read, tests and the fuzzer feed it anything.
//! Invariant: what a target sends is hostile: every length is bounded, nothing is kept unless
//! somebody looks at it, and no input makes it panic or loop.

use std::mem::MaybeUninit;

use super::bodies::BudgetExhausted;
use super::chunked::ChunkedDecoder;
use super::plain;
use super::response_capture::{CaptureRequest, ResponseCapture};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};

/// The longest head accepted.
pub const MAX_HEAD: usize = 64 << 10;
/// The most headers accepted.
pub const MAX_HEADERS: usize = 256;
/// Headers parsed without asking for more room; real answers have fewer.
const USUAL_HEADERS: usize = 48;
/// A head shorter than this is looked at with each piece that comes, so that what is no HTTP shows
/// at once, however it was cut into segments.
const EAGER: usize = 4 << 10;
/// The most bytes of empty lines before a status line: the parser reads over them, and again with
/// each piece that comes.
const MAX_BLANK: usize = 64;
/// The most interim (1xx) answers before the real one.
pub const MAX_INTERIM: u32 = 16;

/// Reads one answer.
#[derive(Debug)]
pub struct ResponseReader {
    wanted: CaptureRequest,
    state: ReadState,
    /// The part of a head that has come so far, when it came in pieces.
    carry: Vec<u8>,
    interim: u32,
    status: u16,
    keep_alive: bool,
    body: u64,
}

#[derive(Debug)]
enum ReadState {
    Head,
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
}

/// Why a response is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// It breaks the rules of HTTP, or a bound.
    Response(AttemptPhase, FailureKind),
    /// Its body was to be kept, and there is no memory for it.
    NoRoom,
}

impl FramingError {
    /// What it means for the attempt.
    pub const fn outcome(self) -> AttemptOutcome {
        match self {
            Self::Response(phase, kind) => AttemptOutcome::Failed(phase, kind),
            Self::NoRoom => AttemptOutcome::Own(GeneratorError::KeptBodies),
        }
    }

    const fn head(kind: FailureKind) -> Self {
        Self::Response(AttemptPhase::FirstByte, kind)
    }
}

impl From<BudgetExhausted> for FramingError {
    fn from(_: BudgetExhausted) -> Self {
        Self::NoRoom
    }
}

/// What the head says about the body.
struct BodyHead {
    length: usize,
    status: u16,
    keep_alive: bool,
    framing: BodyFraming,
    /// Length of the status line.
    line: usize,
    /// It has a Set-Cookie.
    sets_cookie: bool,
    /// It has a Content-Encoding.
    encoded: bool,
    /// Its bytes as they are read, where they came otherwise; as many as came.
    plain: Option<Vec<u8>>,
}

enum BodyFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

impl ResponseReader {
    /// A reader for one answer.
    pub fn new(wanted: CaptureRequest) -> Self {
        Self {
            wanted,
            state: ReadState::Head,
            carry: Vec::new(),
            interim: 0,
            status: 0,
            keep_alive: false,
            body: 0,
        }
    }

    /// Takes bytes as they came. True when the answer is complete; then the connection may be used
    /// again if [`Self::may_reuse`] says so.
    ///
    /// # Errors
    /// When the bytes are not HTTP or break a bound.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        kept: &mut ResponseCapture,
    ) -> Result<bool, FramingError> {
        loop {
            match &mut self.state {
                ReadState::Head => match self.head(bytes, kept)? {
                    Some(used) => bytes = &bytes[used..],
                    None => return Ok(false),
                },
                ReadState::Length(left) => {
                    let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    let done = *left == 0;
                    self.take_body(&bytes[..here], kept)?;
                    bytes = &bytes[here..];
                    if !done {
                        return Ok(false);
                    }
                    self.state = ReadState::Done;
                }
                ReadState::Chunked(chunked) => {
                    let (used, data, done) = chunked.next(bytes)?;
                    self.take_body(data, kept)?;
                    bytes = &bytes[used..];
                    if done {
                        self.state = ReadState::Done;
                    } else if bytes.is_empty() {
                        return Ok(false);
                    }
                }
                ReadState::UntilClose => {
                    self.take_body(bytes, kept)?;
                    return Ok(false);
                }
                ReadState::Done => {
                    // Bytes nobody asked for would be taken for the next answer.
                    self.keep_alive &= bytes.is_empty();
                    return Ok(true);
                }
            }
        }
    }

    /// The connection came to its end. True when that completes the answer.
    pub fn end(&mut self) -> bool {
        if matches!(self.state, ReadState::UntilClose) {
            self.state = ReadState::Done;
        }
        matches!(self.state, ReadState::Done)
    }

    /// The status code; zero before the head is complete.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection can carry another request.
    pub const fn may_reuse(&self) -> bool {
        self.keep_alive && matches!(self.state, ReadState::Done)
    }

    /// Where in the answer it stands.
    pub const fn phase(&self) -> AttemptPhase {
        if matches!(self.state, ReadState::Head) {
            AttemptPhase::FirstByte
        } else {
            AttemptPhase::Body
        }
    }

    /// Whether any byte of the answer has come.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, ReadState::Head) || !self.carry.is_empty() || self.interim > 0
    }

    /// Parses the head; the number of bytes of `bytes` it took, or `None` when more must come.
    fn head(
        &mut self,
        bytes: &[u8],
        kept: &mut ResponseCapture,
    ) -> Result<Option<usize>, FramingError> {
        if self.carry.is_empty() {
            return match self.parse(bytes)? {
                Some(head) => self.begin_body(&head, bytes, kept).map(|()| Some(head.length)),
                None => {
                    self.carry_on(bytes)?;
                    Ok(None)
                }
            };
        }
        let before = self.carry.len();
        self.carry_on(bytes)?;
        // A long one is parsed again only when its end may be there, so that a head sent byte by
        // byte costs no more than its length squared over a line's.
        if before > EAGER && !bytes.contains(&b'\n') {
            return Ok(None);
        }
        let carry = std::mem::take(&mut self.carry);
        let Some(head) = self.parse(&carry)? else {
            self.carry = carry;
            return Ok(None);
        };
        self.begin_body(&head, &carry, kept)?;
        Ok(Some(head.length.saturating_sub(before)))
    }

    /// After an interim response it is HTTP that came, whatever follows.
    fn parse(&self, bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
        parse(bytes).map_err(|broken| match broken {
            FramingError::Response(phase, FailureKind::NotHttp) if self.interim > 0 => {
                FramingError::Response(phase, FailureKind::Malformed)
            }
            other => other,
        })
    }

    fn carry_on(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        if self.carry.len() + bytes.len() > MAX_HEAD + (64 << 10) {
            return Err(FramingError::head(FailureKind::HeadTooLarge));
        }
        self.carry.extend_from_slice(bytes);
        if self.carry.len() > MAX_HEAD && self.parse(&self.carry)?.is_none() {
            return Err(FramingError::head(FailureKind::HeadTooLarge));
        }
        Ok(())
    }

    fn begin_body(
        &mut self,
        head: &BodyHead,
        bytes: &[u8],
        kept: &mut ResponseCapture,
    ) -> Result<(), FramingError> {
        if head.length > MAX_HEAD {
            return Err(FramingError::head(FailureKind::HeadTooLarge));
        }
        if head.status / 100 == 1 {
            self.interim += 1;
            // 101 would switch to a protocol that no request asked for.
            return match head.status {
                101 => Err(FramingError::head(FailureKind::Malformed)),
                _ if self.interim > MAX_INTERIM => {
                    Err(FramingError::head(FailureKind::TooManyInterim))
                }
                _ => Ok(()),
            };
        }
        let bytes = head.plain.as_deref().unwrap_or(bytes);
        self.status = head.status;
        self.keep_alive = head.keep_alive;
        kept.sets_cookie = head.sets_cookie && self.wanted.cookies;
        kept.encoded = head.encoded && self.wanted.keep_body;
        kept.head.clear();
        if self.wanted.head_of(head.status) || kept.sets_cookie || kept.encoded {
            kept.head.extend_from_slice(&bytes[head.line..head.length]);
        }
        kept.body.clear();
        self.state = if self.wanted.head_request || matches!(head.status, 204 | 304) {
            ReadState::Done
        } else {
            match head.framing {
                BodyFraming::Length(0) => ReadState::Done,
                BodyFraming::Length(length) if length > self.wanted.max_body => {
                    return Err(FramingError::Response(
                        AttemptPhase::Body,
                        FailureKind::BodyTooLarge,
                    ));
                }
                BodyFraming::Length(length) => ReadState::Length(length),
                BodyFraming::Chunked => ReadState::Chunked(ChunkedDecoder::default()),
                BodyFraming::UntilClose => {
                    self.keep_alive = false;
                    ReadState::UntilClose
                }
            }
        };
        Ok(())
    }

    fn take_body(&mut self, data: &[u8], kept: &mut ResponseCapture) -> Result<(), FramingError> {
        self.body += data.len() as u64;
        if self.body > self.wanted.max_body {
            return Err(FramingError::Response(AttemptPhase::Body, FailureKind::BodyTooLarge));
        }
        if self.wanted.keep_body {
            kept.body.push(data)?;
        }
        Ok(())
    }
}

/// A whole head at the start of `bytes`; `None` when more must come.
fn parse(bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
    if bytes.iter().take(MAX_BLANK + 1).all(|byte| matches!(byte, b'\r' | b'\n'))
        && bytes.len() > MAX_BLANK
    {
        return Err(FramingError::head(FailureKind::NotHttp));
    }
    let mut few = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut few) {
        Ok(httparse::Status::Complete(length)) => understand(&response, bytes, length).map(Some),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => parse_odd(bytes),
    }
}

/// A head that is longer than most, or written as HTTP allows only a reader to take it.
#[cold]
fn parse_odd(bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
    let plain = plain::head(bytes);
    let bytes = plain.as_deref().unwrap_or(bytes);
    let mut many = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut many);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => understand(&response, bytes, length)?,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(FramingError::head(FailureKind::TooManyHeaders));
        }
        Err(_) if plain::is_http(bytes) => return Err(FramingError::head(FailureKind::Malformed)),
        Err(_) => return Err(FramingError::head(FailureKind::NotHttp)),
    };
    Ok(Some(BodyHead { plain, ..head }))
}

/// What the parsed head says about the connection and the body (RFC 9112 §6.3, §9.3).
fn understand(
    response: &httparse::Response<'_, '_>,
    bytes: &[u8],
    length: usize,
) -> Result<BodyHead, FramingError> {
    let malformed = FramingError::head(FailureKind::Malformed);
    let mut keep_alive = response.version == Some(1);
    let mut close = false;
    let mut content_length: Option<u64> = None;
    let mut transfer: Option<bool> = None;
    let (mut sets_cookie, mut encoded) = (false, false);
    for header in response.headers.iter() {
        // By length first: most headers are none of ours.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for word in header.value.split(|b| *b == b',') {
                    let word = word.trim_ascii();
                    keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                    close |= word.eq_ignore_ascii_case(b"close");
                }
            }
            10 if header.name.eq_ignore_ascii_case("set-cookie") => sets_cookie = true,
            16 if header.name.eq_ignore_ascii_case("content-encoding") => encoded = true,
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = digits(header.value).ok_or(malformed)?;
                if content_length.is_some_and(|before| before != value) {
                    return Err(malformed);
                }
                content_length = Some(value);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                // Empty elements of a list count for nothing (RFC 9110 §5.6.1).
                let codings = header.value.rsplit(|b| *b == b',').map(<[u8]>::trim_ascii);
                let last = codings.into_iter().find(|coding| !coding.is_empty());
                let chunked = last.map(|coding| coding.eq_ignore_ascii_case(b"chunked"));
                transfer = chunked.or(transfer).or(Some(false));
            }
            _ => {}
        }
    }
    // `close` wins, wherever it stands (RFC 9112 §9.3).
    keep_alive &= !close;
    let framing = match (transfer, content_length) {
        // Chunked from an HTTP/1.0 server is a lie of some kind; so hyper thinks, too.
        (Some(_), _) if response.version == Some(0) => return Err(malformed),
        (Some(true), length) => {
            // A length beside chunks is how smuggling begins: read it, but trust it no further.
            keep_alive &= length.is_none();
            BodyFraming::Chunked
        }
        (Some(false), _) | (None, None) => BodyFraming::UntilClose,
        (None, Some(length)) => BodyFraming::Length(length),
    };
    let line = memchr::memchr(b'\n', bytes).map_or(length, |at| at + 1).min(length);
    // The parser takes any three digits; there is no status below 100 (RFC 9110 §15).
    let status = response.code.filter(|code| *code >= 100).ok_or(malformed)?;
    Ok(BodyHead { length, status, keep_alive, framing, line, sets_cookie, encoded, plain: None })
}

/// A Content-Length: digits alone, the same number when it is a list (RFC 9112 §6.3).
fn digits(value: &[u8]) -> Option<u64> {
    let mut all = value.split(|b| *b == b',').map(|one| {
        let one = one.trim_ascii();
        let plain = !one.is_empty() && one.iter().all(u8::is_ascii_digit);
        let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        plain.then(|| one.iter().try_fold(0, add)).flatten()
    });
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}
