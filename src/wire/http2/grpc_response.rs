//! The response of a call of gRPC: one message or a stream of them, and the status in the trailers.
//!
//! `stream_exchange` calls it once the head is there.
//! Invariant: a response without a status, or OK without its message, is never a success.

use std::future::poll_fn;

use h2::{Reason, RecvStream};
use http::header::{CONTENT_TYPE, HeaderMap};

use crate::clock::Time;
use crate::grpc::status;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::http1::limits::MAX_HEAD;
use crate::wire::http2::grpc_messages::ReplyMessages;
use crate::wire::http2::message;
use crate::wire::http2::stream_error::StreamError;
use crate::wire::http2::traffic::ConnectionTraffic;
use crate::wire::outgoing::Outgoing;

/// A response whose head has come.
pub(super) struct CallReply<'a> {
    pub(super) head: &'a HeaderMap,
    pub(super) outgoing: &'a Outgoing<'a>,
    /// The connection's, whose reads time the messages.
    pub(super) traffic: &'a ConnectionTraffic,
    /// When the head came.
    pub(super) first_byte: Time,
}

const fn failed(kind: FailureKind) -> StreamError {
    StreamError::Local(AttemptOutcome::Failed(AttemptPhase::Body, kind))
}

impl CallReply<'_> {
    /// Reads the rest of the response; returns its status of gRPC. `http` is its HTTP status.
    pub(super) async fn receive(
        &self,
        http: u16,
        data: &mut RecvStream,
        capture: &mut ResponseCapture,
    ) -> Result<u16, StreamError> {
        let request = self.outgoing.capture;
        message::keep_head(self.head, http, request, capture);
        capture.sets_cookie = false;
        capture.encoded = false;
        let is_grpc = http == 200 && is_grpc(self.head);
        let mut reader = ReplyMessages::new(request, capture);
        // Of the body of another protocol: its length is bounded all the same.
        let mut foreign = 0;
        while let Some(piece) = poll_fn(|cx| data.poll_data(cx)).await {
            let piece = match piece {
                Ok(piece) => piece,
                // All of the response came before (RFC 9113 §8.1), or it lacks a status.
                Err(error) if needs_no_more(&error) => break,
                Err(error) => return Err(error.into()),
            };
            if is_grpc {
                // The connection's task read it: what this task did meanwhile does not count.
                let read = self.traffic.last_read.get().max(self.first_byte);
                reader.feed(read, &piece, request, capture)?;
            } else {
                foreign += piece.len() as u64;
                if foreign > request.max_body {
                    return Err(failed(FailureKind::BodyTooLarge));
                }
            }
            let _ = data.flow_control().release_capacity(piece.len());
        }
        self.end(http, (data, &reader), capture).await
    }

    /// Reads the trailers; returns the status.
    async fn end(
        &self,
        http: u16,
        (data, reader): (&mut RecvStream, &ReplyMessages),
        capture: &mut ResponseCapture,
    ) -> Result<u16, StreamError> {
        let request = self.outgoing.capture;
        let is_grpc = http == 200 && is_grpc(self.head);
        let trailers = match poll_fn(|cx| data.poll_trailers(cx)).await {
            Err(error) if !needs_no_more(&error) => return Err(error.into()),
            trailers => trailers.ok().flatten(),
        };
        if let Some(trailers) = &trailers {
            if message::head_length(trailers) > MAX_HEAD {
                return Err(failed(FailureKind::HeadTooLarge));
            }
            message::add_trailers(trailers, capture);
        }
        // A response without a message may have its status in the head.
        let ends = trailers.as_ref().unwrap_or(self.head);
        let status = status_of(ends, http, is_grpc).ok_or(failed(FailureKind::BadReply))?;
        if status::is_ok(status) {
            let is_readable =
                !reader.has_compressed() || self.head.get("grpc-encoding").is_some_and(is_gzip);
            if !(is_grpc && reader.is_complete() && is_readable) {
                return Err(failed(FailureKind::BadReply));
            }
            capture.encoded = request.keep_body && reader.is_kept_compressed();
        } else {
            // What a person or a check reads is the message of the error, not a part of a response.
            capture.body.clear();
            let text = ends.get("grpc-message").map(|value| status::message(value.as_bytes()));
            if let Some(text) = text {
                // Without room for it the error has no message.
                let _ = capture.body.push(&text);
            }
        }
        Ok(status)
    }
}

/// Whether the target needs no more of our request, and has sent its response.
pub(super) fn needs_no_more(error: &h2::Error) -> bool {
    error.is_reset() && error.reason() == Some(Reason::NO_ERROR)
}

/// The status of a response whose last headers are `ends`; `None` if it has none.
pub(super) fn status_of(ends: &HeaderMap, http: u16, is_grpc: bool) -> Option<u16> {
    match ends.get("grpc-status") {
        // OK means nothing in a response that is none of gRPC.
        Some(value) if is_grpc || value != "0" => Some(status::of_trailer(value.as_bytes())),
        _ if http != 200 => Some(status::of_http(http)),
        _ => None,
    }
}

pub(super) fn is_gzip(value: &http::HeaderValue) -> bool {
    value.as_bytes() == b"gzip"
}

/// Whether a head announces messages of gRPC.
pub(super) fn is_grpc(head: &HeaderMap) -> bool {
    let value = head.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let rest = value.and_then(|value| value.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::protocol::status::word;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (http::HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_status_is_that_of_the_trailers_or_of_http() {
        let of = |pairs: &[(&'static str, &'static str)], http: u16, is_grpc: bool| {
            status_of(&headers(pairs), http, is_grpc).map(|status| word(status).into_owned())
        };
        let ok = Some("OK".to_owned());
        assert_eq!(of(&[("grpc-status", "0")], 200, true), ok);
        assert_eq!(of(&[("grpc-status", "5")], 200, true).as_deref(), Some("NOT_FOUND"));
        assert_eq!(of(&[], 200, true), None, "a missing status");
        assert_eq!(of(&[], 200, false), None, "a page of a web server");
        assert_eq!(of(&[], 404, false).as_deref(), Some("UNIMPLEMENTED"));
        assert_eq!(of(&[], 503, false).as_deref(), Some("UNAVAILABLE"));
        // A proxy that knows gRPC says why; one that says OK with an error of HTTP does not.
        assert_eq!(of(&[("grpc-status", "8")], 429, false).as_deref(), Some("RESOURCE_EXHAUSTED"));
        assert_eq!(of(&[("grpc-status", "0")], 503, false).as_deref(), Some("UNAVAILABLE"));
        assert_eq!(of(&[("grpc-status", "0")], 200, false), None);
    }

    #[test]
    fn content_types_of_grpc_are_known() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("text/html", false),
        ] {
            assert_eq!(is_grpc(&headers(&[("content-type", value)])), expected, "{value}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
