//! The end of a request's body: Content-Length and chunked (RFC 9112 §6 and §7).
//!
//! `connection` feeds it. It shares no code with `wire`, because tests compare the two.
//! Invariant: all of a body is read, no more of it is kept than its route wants, and a body of more
//! than [`MAX_BODY`] bytes is rejected.

use super::head::{HeadError, RequestFraming};

/// The longest body accepted.
const MAX_BODY: u64 = 1 << 30;
/// Maximum bytes of chunk extensions on one line, and of all trailers.
const MAX_EXTRA: u32 = 8 << 10;

/// A reader of one body.
#[derive(Debug)]
pub(super) struct RequestBodyReader {
    state: BodyState,
    /// Bytes read so far, without framing.
    pub length: u64,
    /// Bytes of extensions or trailers so far.
    extra: u32,
    /// Maximum bytes kept.
    kept: usize,
}

#[derive(Clone, Copy, Debug)]
enum BodyState {
    /// Bytes left before the end.
    Plain(u64),
    /// In the size of a chunk: its value so far, and its number of digits.
    Size(u64, u8),
    /// After the size, up to the end of its line.
    Extension(u64),
    /// Bytes left in the chunk.
    Data(u64),
    /// At the line end after a chunk.
    DataEnd,
    /// In a trailer line: its length so far.
    Trailer(u32),
    Done,
}

impl RequestBodyReader {
    /// Creates a reader for a body with this framing, of which `kept` bytes are stored.
    pub fn new(framing: RequestFraming, kept: usize) -> Result<Self, HeadError> {
        let state = match framing {
            RequestFraming::Length(length) if length > MAX_BODY => return Err(HeadError(413)),
            RequestFraming::Length(0) => BodyState::Done,
            RequestFraming::Length(length) => BodyState::Plain(length),
            RequestFraming::Chunked => BodyState::Size(0, 0),
        };
        Ok(Self { state, length: 0, extra: 0, kept })
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        matches!(self.state, BodyState::Done)
    }

    /// Reads as much of `input` as belongs to the body; returns the number of bytes.
    pub fn feed(&mut self, input: &[u8], stored: &mut Vec<u8>) -> Result<usize, HeadError> {
        let mut used = 0;
        while used < input.len() && !self.is_done() {
            let rest = &input[used..];
            self.state = match self.state {
                BodyState::Plain(left) => {
                    let taken = self.take(rest, left, stored)?;
                    used += taken;
                    let left = left - taken as u64;
                    if left == 0 { BodyState::Done } else { BodyState::Plain(left) }
                }
                BodyState::Data(left) => {
                    let taken = self.take(rest, left, stored)?;
                    used += taken;
                    let left = left - taken as u64;
                    if left == 0 { BodyState::DataEnd } else { BodyState::Data(left) }
                }
                other => {
                    used += 1;
                    self.step(other, rest[0])?
                }
            };
        }
        Ok(used)
    }

    fn take(&mut self, rest: &[u8], left: u64, stored: &mut Vec<u8>) -> Result<usize, HeadError> {
        let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.length += taken as u64;
        if self.length > MAX_BODY {
            return Err(HeadError(413));
        }
        let room = self.kept.saturating_sub(stored.len());
        stored.extend_from_slice(&rest[..taken.min(room)]);
        Ok(taken)
    }

    /// Handles one byte of the framing between the data.
    fn step(&mut self, state: BodyState, byte: u8) -> Result<BodyState, HeadError> {
        match (state, byte) {
            (BodyState::Size(size, digits), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < 15 =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                Ok(BodyState::Size(size << 4 | u64::from(digit), digits + 1))
            }
            (BodyState::Size(size, 1..), b'\r' | b';' | b' ' | b'\t') => {
                Ok(BodyState::Extension(size))
            }
            (BodyState::Size(size, 1..) | BodyState::Extension(size), b'\n') => {
                self.extra = 0;
                Ok(if size == 0 { BodyState::Trailer(0) } else { BodyState::Data(size) })
            }
            (BodyState::Extension(size), _) => self.extra().map(|()| BodyState::Extension(size)),
            (BodyState::DataEnd, b'\r') => Ok(BodyState::DataEnd),
            (BodyState::DataEnd, b'\n') => Ok(BodyState::Size(0, 0)),
            (BodyState::Trailer(0), b'\n') => Ok(BodyState::Done),
            (BodyState::Trailer(_), b'\n') => Ok(BodyState::Trailer(0)),
            (BodyState::Trailer(length), b'\r') => Ok(BodyState::Trailer(length)),
            (BodyState::Trailer(length), _) => {
                self.extra().map(|()| BodyState::Trailer(length + 1))
            }
            _ => Err(HeadError(400)),
        }
    }

    fn extra(&mut self) -> Result<(), HeadError> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(HeadError(431)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: usize = 64 << 10;

    /// Feeds `input` in pieces of `step` bytes; returns the body and the rest.
    fn read(
        framing: RequestFraming,
        input: &[u8],
        step: usize,
    ) -> Result<(Vec<u8>, usize), HeadError> {
        let (mut body, mut stored, mut used) =
            (RequestBodyReader::new(framing, KEPT)?, Vec::new(), 0);
        for piece in input.chunks(step) {
            used += body.feed(piece, &mut stored)?;
        }
        if body.is_done() { Ok((stored, input.len() - used)) } else { Err(HeadError(0)) }
    }

    #[test]
    fn bodies_end_at_their_framing_however_segmented() {
        let chunked = RequestFraming::Chunked;
        for (framing, input, body, left) in [
            (RequestFraming::Length(0), "GET", "", 3),
            (RequestFraming::Length(5), "helloGET", "hello", 3),
            (chunked, "0\r\n\r\n", "", 0),
            (chunked, "5\r\nhello\r\n0\r\n\r\nGET", "hello", 3),
            (chunked, "2;a=b\r\nhe\r\n3 \r\nllo\r\n000\r\nx: y\r\n\r\n", "hello", 0),
            (chunked, "A\n0123456789\n0\n\n", "0123456789", 0),
        ] {
            for step in [1, 2, 3, 1_000] {
                let seen = read(framing, input.as_bytes(), step).unwrap();
                // The rest depends on the segmentation; all of it if it comes in one piece.
                assert_eq!(seen, (body.as_bytes().to_vec(), left), "{input:?} by {step}");
            }
        }
    }

    #[test]
    fn bad_framing_is_rejected() {
        let long = format!("1;{}", "x".repeat(10_000));
        for (input, status) in [
            ("\r\n", 400),
            ("x\r\n", 400),
            ("-1\r\n", 400),
            ("5\r\nhelloo", 400),
            ("1000000000000000\r\n", 400),
            ("1\r\nx", 0),
            (&long, 431),
        ] {
            let seen = read(RequestFraming::Chunked, input.as_bytes(), 1_000);
            assert_eq!(seen, Err(HeadError(status)), "{input:?}");
        }
        assert_eq!(
            RequestBodyReader::new(RequestFraming::Length(MAX_BODY + 1), KEPT).unwrap_err(),
            HeadError(413)
        );
    }

    #[test]
    fn long_body_is_read_and_its_beginning_kept() {
        let input = vec![b'x'; KEPT + 10];
        let (stored, left) =
            read(RequestFraming::Length(input.len() as u64), &input, 4_096).unwrap();
        assert_eq!((stored.len(), left), (KEPT, 0));
    }
}
