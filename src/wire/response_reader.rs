//! The seam between a connection and what is read from it: a response of any protocol over bytes.
//!
//! `http1::stream` sends a request and feeds such a reader; each protocol has one.
//! Invariant: a reader keeps no byte beyond the bounds of its protocol, and every way a response
//! can fail is an [`AttemptOutcome`].

use crate::clock::Time;
use crate::stats::{AttemptOutcome, AttemptPhase};
use crate::wire::body::response_capture::ResponseCapture;

/// Reads one response.
pub(in crate::wire) trait ReadsResponse {
    /// Notes the time of the read whose bytes are fed next.
    fn read_at(&mut self, _now: Time) {}

    /// Takes bytes of one read. Returns true if they complete the response.
    ///
    /// # Errors
    /// How the attempt ends if the response breaks the rules of its protocol, or a bound.
    fn feed(&mut self, bytes: &[u8], capture: &mut ResponseCapture)
    -> Result<bool, AttemptOutcome>;

    /// Handles the end of the connection. Returns true if that completes the response.
    fn end(&mut self) -> bool;

    /// The status of a complete response.
    fn status(&self) -> u16;

    /// Whether the connection can carry another request.
    fn may_reuse(&self) -> bool;

    /// Whether a stream takes over what follows.
    fn is_taken_over(&self) -> bool {
        false
    }

    /// The phase of the attempt: waiting for the beginning of the response, or reading the rest.
    fn phase(&self) -> AttemptPhase {
        if self.has_begun() { AttemptPhase::Body } else { AttemptPhase::FirstByte }
    }

    /// Whether any byte of the response has arrived.
    fn has_begun(&self) -> bool;

    /// Whether the bytes that were fed have the one that ends the time to first byte: any byte,
    /// unless a protocol sends others before the result.
    #[inline]
    fn has_first_byte(&self) -> bool {
        true
    }

    /// Whether there is no response: the exchange ends when the kernel has its last byte.
    #[inline]
    fn is_complete_when_sent(&self) -> bool {
        false
    }
}

impl<R: ReadsResponse> ReadsResponse for &mut R {
    fn read_at(&mut self, now: Time) {
        (**self).read_at(now);
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        capture: &mut ResponseCapture,
    ) -> Result<bool, AttemptOutcome> {
        (**self).feed(bytes, capture)
    }

    fn end(&mut self) -> bool {
        (**self).end()
    }

    fn status(&self) -> u16 {
        (**self).status()
    }

    fn may_reuse(&self) -> bool {
        (**self).may_reuse()
    }

    fn is_taken_over(&self) -> bool {
        (**self).is_taken_over()
    }

    fn phase(&self) -> AttemptPhase {
        (**self).phase()
    }

    fn has_begun(&self) -> bool {
        (**self).has_begun()
    }

    fn has_first_byte(&self) -> bool {
        (**self).has_first_byte()
    }

    fn is_complete_when_sent(&self) -> bool {
        (**self).is_complete_when_sent()
    }
}
