//! What an error of HTTP/2 means: its kind, and whether the target has processed the request.
//!
//! `http2` asks it for each exchange that failed.
//! Invariant: what the target says in a frame wins over how the connection then ended.

use std::io;

use h2::Reason;

use super::fault;
use super::framing::MAX_HEAD;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};

/// Why an exchange over HTTP/2 failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamFailure {
    pub(super) outcome: AttemptOutcome,
    /// The target has said that it did not process the request.
    pub(super) is_unprocessed: bool,
}

/// What is known of an exchange beside the error that ended it.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureContext {
    /// Where it stood.
    pub(super) phase: AttemptPhase,
    /// It was the first of its connection.
    pub(super) is_first: bool,
    /// The reason of the GOAWAY that came over its connection, if one did.
    pub(super) go_away: Option<Reason>,
    /// Bytes that came in meanwhile.
    pub(super) received: u64,
    /// What TLS says of the end of the connection, which h2 does not pass on.
    pub(super) tls: Option<FailureKind>,
}

impl FailureContext {
    /// Those of a connection that is being opened.
    pub(super) const OPENING: Self =
        Self { phase: AttemptPhase::Send, is_first: true, go_away: None, received: 0, tls: None };
}

impl From<AttemptOutcome> for StreamFailure {
    fn from(outcome: AttemptOutcome) -> Self {
        Self { outcome, is_unprocessed: false }
    }
}

impl StreamFailure {
    /// What `error` means for an exchange under these circumstances.
    pub(super) fn of(error: &h2::Error, circumstances: FailureContext) -> Self {
        let FailureContext { phase, is_first, .. } = circumstances;
        let before_response = matches!(phase, AttemptPhase::Send | AttemptPhase::FirstByte);
        let outcome = outcome(error, circumstances);
        // A GOAWAY is an error of streams above its last one alone. With an error code on a new
        // connection another one would most likely meet the same; net/http does not try either.
        let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        let above_last =
            error.is_go_away() && !(is_first && error.reason() != Some(Reason::NO_ERROR));
        let is_unprocessed = before_response && error.is_remote() && (refused || above_last);
        Self { outcome, is_unprocessed }
    }
}

fn outcome(error: &h2::Error, circumstances: FailureContext) -> AttemptOutcome {
    let FailureContext { phase, go_away, received, tls, .. } = circumstances;
    let before_response = matches!(phase, AttemptPhase::Send | AttemptPhase::FirstByte);
    let kind = match (error.get_io(), error.reason()) {
        // The target said why before it closed.
        (Some(_), _) if let Some(kind) = go_away.and_then(kind_of) => kind,
        (Some(_), _) if let Some(kind) = tls => kind,
        (Some(io), _) if io.raw_os_error().is_some() => return fault::outcome(phase, io),
        (Some(io), _) => match io.kind() {
            io::ErrorKind::ConnectionReset => FailureKind::Reset,
            io::ErrorKind::InvalidData => FailureKind::Malformed,
            _ => FailureKind::Closed,
        },
        // Told by the target: one stream was given up, or all above the last.
        (None, Some(reason)) if error.is_remote() => match kind_of(reason) {
            // What was answered in part was processed.
            Some(FailureKind::RefusedStream) if !before_response => FailureKind::Reset,
            Some(kind) => kind,
            None if error.is_reset() => FailureKind::Reset,
            None if before_response => FailureKind::GoingAway,
            None => FailureKind::Closed,
        },
        // Found by h2: a head over its limit, which it tells from nonsense only where it is far
        // over it.
        (None, Some(Reason::ENHANCE_YOUR_CALM | Reason::COMPRESSION_ERROR))
            if phase == AttemptPhase::FirstByte =>
        {
            FailureKind::HeadTooLarge
        }
        (None, Some(_)) if phase == AttemptPhase::FirstByte && received > MAX_HEAD as u64 => {
            FailureKind::HeadTooLarge
        }
        // These were no frames, or not where they may be.
        (None, Some(_)) => FailureKind::Malformed,
        (None, None) => FailureKind::Closed,
    };
    AttemptOutcome::Failed(phase, kind)
}

/// What a reason of the target's is called (RFC 9113 §7); `None` for one that only ends.
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
