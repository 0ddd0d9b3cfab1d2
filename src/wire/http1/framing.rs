//! Where a response ends: the framing of HTTP/1.1 responses (RFC 9112 §6), fed piece by piece.
//!
//! `http1` feeds it what it read; tests and the fuzzer feed it anything.
//! Invariant: what a target sends is hostile: every length is bounded, nothing is captured unless
//! it was requested, and no input makes it panic or loop.

use crate::clock::Time;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::capture_request::{CaptureRequest, TakesOver};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::http1::chunked::ChunkedDecoder;
pub use crate::wire::http1::framing_error::FramingError;
use crate::wire::http1::head::{BodyFraming, BodyHead, parse};
use crate::wire::http1::limits::{MAX_HEAD, MAX_INTERIM};
use crate::wire::response_reader::ReadsResponse;
use crate::wire::taken::{StreamedFraming, TakenResponse};

/// A head shorter than this is parsed again with each piece that arrives, so that input other than
/// HTTP is detected at once, however it was segmented.
const EAGER: usize = 4 << 10;
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
    /// When the bytes that are fed were read, for observers.
    read: Time,
}

#[derive(Debug)]
enum ReadState {
    Head,
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
    Done,
    /// What follows the head goes to a stream.
    TakenOver,
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
            read: Time::NEVER,
        }
    }

    /// Sets the time of the read that brought the bytes to be fed next.
    #[inline]
    pub const fn read_at(&mut self, now: Time) {
        self.read = now;
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
                ReadState::TakenOver => {
                    if let Some(taken) = capture.taken_mut() {
                        taken.early.read = self.read;
                        taken.early.bytes.extend_from_slice(bytes);
                    }
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

    /// Whether the response has ended at its head, for a stream.
    pub const fn is_taken_over(&self) -> bool {
        matches!(self.state, ReadState::TakenOver)
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
                101 if self.request.takes_over == TakesOver::Upgrade => {
                    self.end_at_head(head, bytes, StreamedFraming::UntilClose, capture);
                    Ok(())
                }
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
        self.state = if self.request.reads_body() && !matches!(head.status, 204 | 304) {
            self.begin_usual_body(&head.framing)?
        } else {
            self.begin_unusual_body(head, bytes, capture)?
        };
        Ok(())
    }

    fn begin_usual_body(&mut self, framing: &BodyFraming) -> Result<ReadState, FramingError> {
        Ok(match *framing {
            BodyFraming::Length(0) => ReadState::Done,
            BodyFraming::Length(length) if length > self.request.max_body => {
                return Err(FramingError::Response(AttemptPhase::Body, FailureKind::BodyTooLarge));
            }
            BodyFraming::Length(length) => ReadState::Length(length),
            BodyFraming::Chunked => ReadState::Chunked(ChunkedDecoder::default()),
            BodyFraming::UntilClose => {
                self.keep_alive = false;
                ReadState::UntilClose
            }
        })
    }

    /// As `begin_usual_body`, where the body does not follow, or goes to a stream.
    #[cold]
    fn begin_unusual_body(
        &mut self,
        head: &BodyHead,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<ReadState, FramingError> {
        capture.begin_observing(&self.request, head.status, head.encoded);
        if self.request.head_request || matches!(head.status, 204 | 304) {
            return Ok(ReadState::Done);
        }
        if self.request.takes_over != TakesOver::Body || head.status != 200 {
            return self.begin_usual_body(&head.framing);
        }
        let framing = match head.framing {
            BodyFraming::Length(length) => StreamedFraming::Length(length),
            BodyFraming::Chunked => StreamedFraming::Chunked(ChunkedDecoder::default()),
            BodyFraming::UntilClose => StreamedFraming::UntilClose,
        };
        self.end_at_head(head, bytes, framing, capture);
        Ok(ReadState::TakenOver)
    }

    /// Ends the response at its head: what follows goes to a stream.
    #[cold]
    fn end_at_head(
        &mut self,
        head: &BodyHead,
        bytes: &[u8],
        framing: StreamedFraming,
        capture: &mut ResponseCapture,
    ) {
        (self.status, self.keep_alive) = (head.status, false);
        capture.head.clear();
        capture.head.extend_from_slice(&bytes[head.line..head.length]);
        capture.body.clear();
        capture.rare().taken = Some(TakenResponse::new(framing));
        self.state = ReadState::TakenOver;
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
        if self.request.uses_body() {
            capture.take_data(&self.request, self.read, data)?;
        }
        Ok(())
    }
}

impl ReadsResponse for ResponseReader {
    #[inline]
    fn read_at(&mut self, now: Time) {
        self.read_at(now);
    }

    #[inline]
    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        self.feed(bytes, capture).map_err(FramingError::outcome)
    }

    fn end(&mut self) -> bool {
        self.end()
    }

    #[inline]
    fn status(&self) -> u16 {
        self.status()
    }

    #[inline]
    fn may_reuse(&self) -> bool {
        self.may_reuse()
    }

    fn is_taken_over(&self) -> bool {
        self.is_taken_over()
    }

    fn phase(&self) -> AttemptPhase {
        self.phase()
    }

    fn has_begun(&self) -> bool {
        self.has_begun()
    }
}
