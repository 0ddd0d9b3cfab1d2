//! Classifies HTTP/2 errors: their kind, and whether the target has processed the request.
//!
//! `http2` calls it for each exchange that failed.
//! Invariant: a reason that the target sent in a frame wins over how the connection then ended.

use std::io;

use h2::Reason;

use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::connect::fault;
use crate::wire::http1::limits::MAX_HEAD;

/// Why an exchange over HTTP/2 failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct StreamFailure {
    pub(in crate::wire) outcome: AttemptOutcome,
    /// Whether the target reported that it did not process the request.
    pub(in crate::wire) is_unprocessed: bool,
}

/// Facts about an exchange beside the error that ended it.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct FailureContext {
    /// The phase in which the exchange failed.
    pub(in crate::wire) phase: AttemptPhase,
    /// Whether the exchange was the first exchange of its connection.
    pub(in crate::wire) is_first: bool,
    /// The error code of the GOAWAY received on the exchange's connection, if any.
    pub(in crate::wire) go_away: Option<Reason>,
    /// Bytes received during the exchange.
    pub(in crate::wire) received: u64,
    /// The TLS failure that ended the connection, which h2 does not pass on.
    pub(in crate::wire) tls: Option<FailureKind>,
}

impl FailureContext {
    /// The context of a connection that is being opened.
    pub(in crate::wire) const OPENING: Self =
        Self { phase: AttemptPhase::Send, is_first: true, go_away: None, received: 0, tls: None };
}

impl From<AttemptOutcome> for StreamFailure {
    fn from(outcome: AttemptOutcome) -> Self {
        Self { outcome, is_unprocessed: false }
    }
}

impl StreamFailure {
    /// Classifies an error of h2.
    pub(in crate::wire) fn from_h2(error: &h2::Error, context: FailureContext) -> Self {
        let FailureContext { phase, is_first, .. } = context;
        let before_response = matches!(phase, AttemptPhase::Send | AttemptPhase::FirstByte);
        let outcome = outcome(error, context);
        // A GOAWAY is an error only of streams above its last one. With an error code on a new
        // connection, another connection would most likely get the same; net/http does not retry
        // that either.
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let above_last =
            error.is_go_away() && !(is_first && error.reason() != Some(Reason::NO_ERROR));
        let is_unprocessed = before_response && error.is_remote() && (refused || above_last);
        Self { outcome, is_unprocessed }
    }
}

fn outcome(error: &h2::Error, context: FailureContext) -> AttemptOutcome {
    let FailureContext { phase, go_away, received, tls, .. } = context;
    let before_response = matches!(phase, AttemptPhase::Send | AttemptPhase::FirstByte);
    let kind = match (error.get_io(), error.reason()) {
        // The target sent a reason before it closed.
        (Some(_), _) if let Some(kind) = go_away.and_then(kind_of) => kind,
        (Some(_), _) if let Some(kind) = tls => kind,
        (Some(io), _) if io.raw_os_error().is_some() => return fault::outcome(phase, io),
        (Some(io), _) => match io.kind() {
            io::ErrorKind::ConnectionReset => FailureKind::Reset,
            io::ErrorKind::InvalidData => FailureKind::Malformed,
            _ => FailureKind::Closed,
        },
        // Sent by the target: it reset one stream, or rejected all above the last.
        (None, Some(reason)) if error.is_remote() => match kind_of(reason) {
            // A request with a partial response was processed.
            Some(FailureKind::RefusedStream) if !before_response => FailureKind::Reset,
            Some(kind) => kind,
            None if error.is_reset() => FailureKind::Reset,
            None if before_response => FailureKind::GoingAway,
            None => FailureKind::Closed,
        },
        // Found by h2: a head over its limit, which h2 distinguishes from malformed input only if
        // it is far over it.
        (None, Some(Reason::ENHANCE_YOUR_CALM | Reason::COMPRESSION_ERROR))
            if phase == AttemptPhase::FirstByte =>
        {
            FailureKind::HeadTooLarge
        }
        (None, Some(_)) if phase == AttemptPhase::FirstByte && received > MAX_HEAD as u64 => {
            FailureKind::HeadTooLarge
        }
        // Invalid frames, or frames in the wrong state.
        (None, Some(_)) => FailureKind::Malformed,
        (None, None) => FailureKind::Closed,
    };
    AttemptOutcome::Failed(phase, kind)
}

/// Returns the kind of a target's reason (RFC 9113 §7); `None` for a reason that only ends the
/// stream or connection.
fn kind_of(reason: Reason) -> Option<FailureKind> {
    Some(match reason {
        Reason::PROTOCOL_ERROR
        | Reason::FLOW_CONTROL_ERROR
        | Reason::SETTINGS_TIMEOUT
        | Reason::STREAM_CLOSED
        | Reason::FRAME_SIZE_ERROR
        | Reason::COMPRESSION_ERROR
        | Reason::CONNECT_ERROR
        | Reason::INADEQUATE_SECURITY => FailureKind::Http2Protocol,
        Reason::INTERNAL_ERROR => FailureKind::Http2Internal,
        Reason::REFUSED_STREAM => FailureKind::RefusedStream,
        Reason::ENHANCE_YOUR_CALM => FailureKind::EnhanceYourCalm,
        Reason::HTTP_1_1_REQUIRED => FailureKind::Http11Required,
        _ => return None,
    })
}
