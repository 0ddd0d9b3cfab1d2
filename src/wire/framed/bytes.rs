//! The response of a TCP or UDP service, as its step says where it ends.
//!
//! `reader` feeds it.
//! Invariant: at most `max_body` bytes are read; bytes beyond the response end the connection.

use crate::plan::operation::ResponseEnd;
use crate::protocol::{Protocol, status};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::response_reader::ReadsResponse;

/// Reads one response.
#[derive(Debug)]
pub(in crate::wire) struct BytesReader<'a> {
    end: &'a ResponseEnd,
    protocol: Protocol,
    capture: CaptureRequest,
    received: u64,
    /// How many bytes of the delimiter the last bytes are.
    matched: usize,
    /// For each length of a beginning of the delimiter, the longest shorter one that ends it
    /// (Knuth, Morris, Pratt 1977).
    borders: Vec<usize>,
    is_complete: bool,
    is_clean: bool,
}

impl<'a> BytesReader<'a> {
    pub(in crate::wire) fn new(
        end: &'a ResponseEnd,
        protocol: Protocol,
        capture: CaptureRequest,
    ) -> Self {
        let borders = match end {
            ResponseEnd::Delimiter(delimiter) => borders(delimiter),
            _ => Vec::new(),
        };
        Self {
            end,
            protocol,
            capture,
            received: 0,
            matched: 0,
            borders,
            is_complete: *end == ResponseEnd::Nothing,
            is_clean: true,
        }
    }

    /// How many of these bytes belong to the response; sets whether they complete it.
    fn take(&mut self, bytes: &[u8]) -> usize {
        match self.end {
            ResponseEnd::Nothing => 0,
            ResponseEnd::Close => bytes.len(),
            ResponseEnd::Datagram => {
                self.is_complete = true;
                bytes.len()
            }
            ResponseEnd::Length(length) => {
                let left = length - self.received;
                let here = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.is_complete = here as u64 == left;
                here
            }
            ResponseEnd::Delimiter(delimiter) => {
                for (at, byte) in bytes.iter().enumerate() {
                    while self.matched > 0 && delimiter[self.matched] != *byte {
                        self.matched = self.borders[self.matched - 1];
                    }
                    self.matched += usize::from(delimiter[self.matched] == *byte);
                    if self.matched == delimiter.len() {
                        self.is_complete = true;
                        return at + 1;
                    }
                }
                bytes.len()
            }
        }
    }
}

fn borders(delimiter: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; delimiter.len()];
    let mut matched = 0;
    for at in 1..delimiter.len() {
        while matched > 0 && delimiter[matched] != delimiter[at] {
            matched = borders[matched - 1];
        }
        matched += usize::from(delimiter[matched] == delimiter[at]);
        borders[at] = matched;
    }
    borders
}

impl ReadsResponse for BytesReader<'_> {
    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        let here = self.take(bytes);
        self.received += here as u64;
        if self.received > self.capture.max_body {
            return Err(AttemptOutcome::Failed(AttemptPhase::Body, FailureKind::BodyTooLarge));
        }
        if self.capture.keep_body {
            let kept = capture.body.push(&bytes[..here]);
            kept.map_err(|_| AttemptOutcome::Own(GeneratorError::KeptBodies))?;
        }
        self.is_clean = here == bytes.len();
        Ok(self.is_complete)
    }

    fn end(&mut self) -> bool {
        // A datagram without a byte is a response, too.
        self.is_complete |= matches!(self.end, ResponseEnd::Close | ResponseEnd::Datagram);
        self.is_clean &= self.protocol == Protocol::Udp;
        self.is_complete
    }

    fn status(&self) -> u16 {
        status::of_code(self.protocol, 0)
    }

    fn may_reuse(&self) -> bool {
        self.is_complete && self.is_clean
    }

    fn has_begun(&self) -> bool {
        self.received > 0
    }

    fn is_complete_when_sent(&self) -> bool {
        *self.end == ResponseEnd::Nothing
    }
}
