//! Why an exchange over HTTP/2 has no complete response, before `reason` classifies it.
//!
//! `stream_exchange` and `grpc_response` return it.
//! Invariant: what h2 found is kept as it is until then.

use crate::stats::AttemptOutcome;

/// Why no complete response came.
pub(super) enum StreamError {
    /// Found in this module.
    Local(AttemptOutcome),
    /// Found by h2, or reported by the target.
    Protocol(h2::Error),
}

impl From<AttemptOutcome> for StreamError {
    fn from(outcome: AttemptOutcome) -> Self {
        Self::Local(outcome)
    }
}

impl From<h2::Error> for StreamError {
    fn from(error: h2::Error) -> Self {
        Self::Protocol(error)
    }
}
