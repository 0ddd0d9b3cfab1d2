//! Decodes the body of a response: content codings first, then its charset.
//!
//! `attempt` and `redirect` call it for bodies that something looks at; `attempt` also counts them.
//! Invariant: a body that is not what its headers claim fails what looks at it, not the response.

use super::context::CallContext;
use super::prepared::PreparedCall;
use crate::grpc::frame::{self, GunzipError};
use crate::grpc::{GrpcMethod, status};
use crate::plan::operation::Operation;
use crate::stats::contents::ContentUse;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, FailureKind, GeneratorError};
use crate::wire::http1::framing::FramingError;
use crate::wire::{ResponseCapture, body::charset, body::coding};

/// Decodes a kept body: content codings, then charset. If it is not what its headers claim, that is
/// noted: the response keeps its status, and what looks at its body fails.
#[cold]
pub(crate) fn decode(prepared: &PreparedCall, exchange: &mut Exchange, kept: &mut ResponseCapture) {
    kept.forget_body();
    let AttemptOutcome::Responded(status) = exchange.outcome else { return };
    if let Some(call) = prepared.call.operation.as_deref().and_then(Operation::as_grpc) {
        // A stream without messages has none to decode.
        let has_message = kept.streamed().is_none_or(|seen| seen.events > 0);
        if status::is_ok(status)
            && has_message
            && let Err(outcome) = decode_message(&call.method, prepared.capture.max_body, kept)
        {
            exchange.outcome = outcome;
        }
        return;
    }
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

/// Decodes a kept message of gRPC to JSON.
fn decode_message(
    method: &GrpcMethod,
    max: u64,
    kept: &mut ResponseCapture,
) -> Result<(), AttemptOutcome> {
    let failed = |kind| AttemptOutcome::Failed(AttemptPhase::Body, kind);
    let unpacked;
    let message: &[u8] = if kept.encoded {
        unpacked = frame::gunzip(&kept.body, max).map_err(|error| match error {
            GunzipError::TooLarge => failed(FailureKind::BodyTooLarge),
            GunzipError::Damaged => failed(FailureKind::BadReply),
        })?;
        &unpacked
    } else {
        &kept.body
    };
    let json = method.output.to_json(message).map_err(|_| failed(FailureKind::BadReply))?;
    kept.body.clear();
    kept.body.push(&json).map_err(|_| AttemptOutcome::Own(GeneratorError::KeptBodies))
}

/// Counts a decoded body by its content type, if its service counts them; `wire` are its bytes as
/// received.
#[cold]
pub(crate) fn count(
    context: &CallContext<'_>,
    exchange: &Exchange,
    kept: &ResponseCapture,
    wire: usize,
) {
    if !context.prepared.counts_contents
        || !matches!(exchange.outcome, AttemptOutcome::Responded(_))
    {
        return;
    }
    let undecodable = kept.undecodable().is_some();
    let body = ContentUse {
        responses: 1,
        encoded: kept.encoded.into(),
        undecodable: undecodable.into(),
        wire_bytes: wire as u64,
        decoded_bytes: if undecodable { 0 } else { kept.body.len() as u64 },
    };
    let content_type = kept.header("content-type");
    context.shard.recorder.borrow_mut().record_content(content_type, &body);
}
