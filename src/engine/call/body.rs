//! Decodes the body of a response: content codings first, then its charset.
//!
//! `attempt` and `redirect` call it for bodies that something looks at.
//! Invariant: a body that is not what its headers claim fails what looks at it, not the response.

use super::prepared::PreparedCall;
use crate::stats::{AttemptOutcome, Exchange, FailureKind};
use crate::wire::http1::framing::FramingError;
use crate::wire::{ResponseCapture, body::charset, body::coding};

/// Decodes a kept body: content codings, then charset. If it is not what its headers claim, that is
/// noted: the response keeps its status, and what looks at its body fails.
#[cold]
pub(crate) fn decode(prepared: &PreparedCall, exchange: &mut Exchange, kept: &mut ResponseCapture) {
    kept.forget_body();
    let AttemptOutcome::Responded(_) = exchange.outcome else { return };
    let decoded =
        if kept.encoded { coding::decode(kept, prepared.capture.max_body) } else { Ok(()) };
    match decoded.and_then(|()| Ok(charset::decode(kept)?)) {
        Ok(()) => {}
        Err(FramingError::Response(
            _,
            kind @ (FailureKind::Undecodable | FailureKind::TooManyCodings),
        )) => {
            kept.rare().undecodable = Some(kind);
        }
        Err(broken) => exchange.outcome = broken.outcome(),
    }
}
