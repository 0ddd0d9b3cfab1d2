//! Where a response ends: the framing of HTTP/1.1 responses (RFC 9112 §6), fed piece by piece.
//!
//! `http1` feeds it what it read; tests and the fuzzer feed it anything.
//! Invariant: what a target sends is hostile: every length is bounded, nothing is captured unless
//! it was requested, and no input makes it panic or loop.

use std::mem::MaybeUninit;

use crate::stats::{AttemptPhase, FailureKind};
use crate::wire::body::response_capture::{CaptureRequest, ResponseCapture};
use crate::wire::http1::chunked::ChunkedDecoder;
pub use crate::wire::http1::framing_error::FramingError;
use crate::wire::http1::plain;

/// The longest head accepted, bytes.
pub const MAX_HEAD: usize = 64 << 10;
/// Maximum headers accepted.
pub const MAX_HEADERS: usize = 256;
/// Headers parsed without a heap allocation; real responses have fewer.
const USUAL_HEADERS: usize = 48;
/// A head shorter than this is parsed again with each piece that arrives, so that input other than
/// HTTP is detected at once, however it was segmented.
const EAGER: usize = 4 << 10;
/// Maximum bytes of empty lines before a status line: the parser skips them, again with each piece
/// that arrives.
const MAX_BLANK: usize = 64;
/// Maximum interim (1xx) responses before the final one.
pub const MAX_INTERIM: u32 = 16;

/// A reader of one response.
#[derive(Debug)]
pub struct ResponseReader {
    request: CaptureRequest,
    state: ReadState,
    /// The part of a head received so far, if it comes in pieces.
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

/// A parsed head, as far as it concerns the body.
struct BodyHead {
    length: usize,
    status: u16,
    keep_alive: bool,
    framing: BodyFraming,
    /// Length of the status line, bytes.
    line: usize,
    /// Whether the head has a Set-Cookie.
    sets_cookie: bool,
    /// Whether the head has a Content-Encoding.
    encoded: bool,
    /// The rewritten bytes of the head, if they had to be rewritten to be parsed.
    plain: Option<Vec<u8>>,
}

enum BodyFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

impl ResponseReader {
    /// Creates a reader for one response.
    pub fn new(request: CaptureRequest) -> Self {
        Self {
            request,
            state: ReadState::Head,
            carry: Vec::new(),
            interim: 0,
            status: 0,
            keep_alive: false,
            body: 0,
        }
    }

    /// Takes received bytes. Returns true if the response is complete; then [`Self::may_reuse`]
    /// says whether the connection may be used again.
    ///
    /// # Errors
    /// If the bytes are not HTTP or exceed a limit.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, FramingError> {
        loop {
            match &mut self.state {
                ReadState::Head => match self.head(bytes, capture)? {
                    Some(used) => bytes = &bytes[used..],
                    None => return Ok(false),
                },
                ReadState::Length(left) => {
                    let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= here as u64;
                    let done = *left == 0;
                    self.take_body(&bytes[..here], capture)?;
                    bytes = &bytes[here..];
                    if !done {
                        return Ok(false);
                    }
                    self.state = ReadState::Done;
                }
                ReadState::Chunked(chunked) => {
                    let (used, data, done) = chunked.next(bytes)?;
                    self.take_body(data, capture)?;
                    bytes = &bytes[used..];
                    if done {
                        self.state = ReadState::Done;
                    } else if bytes.is_empty() {
                        return Ok(false);
                    }
                }
                ReadState::UntilClose => {
                    self.take_body(bytes, capture)?;
                    return Ok(false);
                }
                ReadState::Done => {
                    // Surplus bytes would be taken for the next response.
                    self.keep_alive &= bytes.is_empty();
                    return Ok(true);
                }
            }
        }
    }

    /// Handles the end of the connection. Returns true if that completes the response.
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

    /// The phase of the attempt: waiting for the head, or reading the body.
    pub const fn phase(&self) -> AttemptPhase {
        if matches!(self.state, ReadState::Head) {
            AttemptPhase::FirstByte
        } else {
            AttemptPhase::Body
        }
    }

    /// Whether any byte of the response has arrived.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, ReadState::Head) || !self.carry.is_empty() || self.interim > 0
    }

    /// Parses the head. Returns the number of bytes of `bytes` it took; `None` if more must arrive.
    fn head(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<Option<usize>, FramingError> {
        if self.carry.is_empty() {
            return match self.parse(bytes)? {
                Some(head) => self.begin_body(&head, bytes, capture).map(|()| Some(head.length)),
                None => {
                    self.extend_carry(bytes)?;
                    Ok(None)
                }
            };
        }
        let before = self.carry.len();
        self.extend_carry(bytes)?;
        // A long head is parsed again only when its end may have arrived, so that a head sent byte
        // by byte costs no more than its squared length divided by a line's length.
        if before > EAGER && !bytes.contains(&b'\n') {
            return Ok(None);
        }
        let carry = std::mem::take(&mut self.carry);
        let Some(head) = self.parse(&carry)? else {
            self.carry = carry;
            return Ok(None);
        };
        self.begin_body(&head, &carry, capture)?;
        Ok(Some(head.length.saturating_sub(before)))
    }

    /// After an interim response the target speaks HTTP: later errors are `Malformed`, not
    /// `NotHttp`.
    fn parse(&self, bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
        parse(bytes).map_err(|error| match error {
            FramingError::Response(phase, FailureKind::NotHttp) if self.interim > 0 => {
                FramingError::Response(phase, FailureKind::Malformed)
            }
            other => other,
        })
    }

    fn extend_carry(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
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
        capture: &mut ResponseCapture,
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
        capture.sets_cookie = head.sets_cookie && self.request.cookies;
        capture.encoded = head.encoded && self.request.keep_body;
        capture.head.clear();
        if self.request.head_of(head.status) || capture.sets_cookie || capture.encoded {
            capture.head.extend_from_slice(&bytes[head.line..head.length]);
        }
        capture.body.clear();
        self.state = if self.request.head_request || matches!(head.status, 204 | 304) {
            ReadState::Done
        } else {
            match head.framing {
                BodyFraming::Length(0) => ReadState::Done,
                BodyFraming::Length(length) if length > self.request.max_body => {
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

    fn take_body(
        &mut self,
        data: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<(), FramingError> {
        self.body += data.len() as u64;
        if self.body > self.request.max_body {
            return Err(FramingError::Response(AttemptPhase::Body, FailureKind::BodyTooLarge));
        }
        if self.request.keep_body {
            capture.body.push(data)?;
        }
        Ok(())
    }
}

/// Parses a whole head at the start of `bytes`; `None` if more must arrive.
fn parse(bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
    if bytes.iter().take(MAX_BLANK + 1).all(|byte| matches!(byte, b'\r' | b'\n'))
        && bytes.len() > MAX_BLANK
    {
        return Err(FramingError::head(FailureKind::NotHttp));
    }
    let mut usual_headers = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut usual_headers) {
        Ok(httparse::Status::Complete(length)) => read_head(&response, bytes, length).map(Some),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => parse_odd(bytes),
    }
}

/// Parses a head with more headers than usual, or in a form that only readers must accept.
#[cold]
fn parse_odd(bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
    let plain = plain::head(bytes);
    let bytes = plain.as_deref().unwrap_or(bytes);
    let mut all_headers = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut all_headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => read_head(&response, bytes, length)?,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(FramingError::head(FailureKind::TooManyHeaders));
        }
        Err(_) if plain::is_http(bytes) => return Err(FramingError::head(FailureKind::Malformed)),
        Err(_) => return Err(FramingError::head(FailureKind::NotHttp)),
    };
    Ok(Some(BodyHead { plain, ..head }))
}

/// Extracts what a parsed head says about the connection and the body (RFC 9112 §6.3, §9.3).
fn read_head(
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
        // By length first: most headers are irrelevant here.
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
                // Empty list elements are ignored (RFC 9110 §5.6.1).
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
        // Chunked from an HTTP/1.0 server cannot be trusted; hyper rejects it, too.
        (Some(_), _) if response.version == Some(0) => return Err(malformed),
        (Some(true), length) => {
            // A length beside chunks is how request smuggling begins: read it, but do not reuse the
            // connection.
            keep_alive &= length.is_none();
            BodyFraming::Chunked
        }
        (Some(false), _) | (None, None) => BodyFraming::UntilClose,
        (None, Some(length)) => BodyFraming::Length(length),
    };
    let line = memchr::memchr(b'\n', bytes).map_or(length, |at| at + 1).min(length);
    // The parser accepts any three digits; there is no status below 100 (RFC 9110 §15).
    let status = response.code.filter(|code| *code >= 100).ok_or(malformed)?;
    Ok(BodyHead { length, status, keep_alive, framing, line, sets_cookie, encoded, plain: None })
}

/// Parses a Content-Length: digits alone; a list must repeat the same number (RFC 9112 §6.3).
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
