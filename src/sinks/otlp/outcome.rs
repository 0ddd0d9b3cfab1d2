//! What became of a request: what a receiver's response says by the rules of OTLP.
//!
//! The senders over HTTP and gRPC call it.
//! Invariant: only failures that the specification calls transient are tried again; items that a
//! receiver rejects of a request that it takes are counted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::Message;

use super::messages::{ExportResponse, RetryInfoMessage, RpcStatus};
use crate::printable::printable;
use crate::sinks::push::delivery::SendResult;
use crate::sinks::push::http_push::why;
use crate::units::show_count;

/// Longest text of a receiver that is kept, characters.
const QUOTED: usize = 200;

/// Items that a receiver rejected of requests that it took.
#[derive(Debug, Default)]
pub(super) struct RejectedItems {
    kept: Mutex<Rejections>,
}

#[derive(Debug, Default)]
struct Rejections {
    count: u64,
    /// Why the last ones were rejected.
    why: String,
    /// A warning without a rejected item.
    warning: String,
}

impl RejectedItems {
    fn lock(&self) -> MutexGuard<'_, Rejections> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was rejected, or the last warning, for the user; `None` if the receiver took all.
    /// `items`: what was sent, such as `spans`.
    pub(super) fn text(&self, receiver: &str, items: &str) -> Option<String> {
        let kept = self.lock();
        let said = |why: &str| if why.is_empty() { String::new() } else { format!(": {why}") };
        if kept.count > 0 {
            let (count, why) = (show_count(kept.count), said(&kept.why));
            return Some(format!(
                "{receiver}: the receiver rejected {count} {items}{why}; the report is complete"
            ));
        }
        let warning = said(&kept.warning);
        (!warning.is_empty()).then(|| format!("{receiver}: the receiver warns of {items}{warning}"))
    }

    /// Takes the message of a successful response.
    pub(super) fn take(&self, body: &[u8]) -> SendResult {
        let Ok(response) = ExportResponse::decode(body) else {
            return SendResult::Rejected("the response is not one of OTLP".to_owned());
        };
        if let Some(partial) = response.partial {
            let mut kept = self.lock();
            let text = printable(partial.message.trim()).chars().take(QUOTED).collect();
            match u64::try_from(partial.rejected) {
                Ok(count @ 1..) => {
                    kept.count = kept.count.saturating_add(count);
                    kept.why = text;
                }
                _ => kept.warning = text,
            }
        }
        SendResult::Delivered
    }
}

/// What became of a request that failed over HTTP: 429, 502, 503 and 504 may take it later.
pub(super) fn http_failure(
    status: u16,
    name: &str,
    body: &[u8],
    is_protobuf: bool,
    retry_after: Option<Duration>,
) -> SendResult {
    let told = RpcStatus::decode(body).ok().filter(|_| is_protobuf).map(|told| told.message);
    let why = why(name, &told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()));
    match status {
        429 | 502 | 503 | 504 => SendResult::Retry(retry_after, why),
        _ => SendResult::Rejected(why),
    }
}

/// The names of the status codes of gRPC.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What became of a request that failed over gRPC. `details`: a [`RpcStatus`], in which a receiver
/// may say when to try again.
pub(super) fn grpc_failure(code: u16, message: &str, details: &[u8]) -> SendResult {
    let name = CODES.get(usize::from(code)).copied().unwrap_or("UNKNOWN");
    let why = why(name, message);
    let pause = retry_delay(details);
    match name {
        "CANCELLED" | "DEADLINE_EXCEEDED" | "ABORTED" | "OUT_OF_RANGE" | "UNAVAILABLE"
        | "DATA_LOSS" => SendResult::Retry(pause, why),
        "RESOURCE_EXHAUSTED" if pause.is_some() => SendResult::Retry(pause, why),
        _ => SendResult::Rejected(why),
    }
}

/// The pause that the details of an error demand.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    let status = RpcStatus::decode(details).ok()?;
    let info = status.details.iter().find(|one| one.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfoMessage::decode(&*info.value).ok()?.delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds), u32::try_from(delay.nanos));
    Some(
        Duration::from_secs(seconds.unwrap_or(0))
            .saturating_add(Duration::from_nanos(nanos.unwrap_or(0).into())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `google.rpc.Status` with a `RetryInfo` of 1.5 s, as the library of Python writes it.
    const DETAILS: &[u8] = b"\x08\x08\x12\x04busy\x1a\x36\x0a\x28type.googleapis.com/google.rpc.\
                             RetryInfo\x12\x0a\x0a\x08\x08\x01\x10\x80\xca\xb5\xee\x01";

    #[test]
    fn only_transient_failures_are_tried_again() {
        let http = |status| http_failure(status, "", b"busy", false, None);
        for status in [429, 502, 503, 504] {
            assert_eq!(http(status), SendResult::Retry(None, ": busy".to_owned()), "{status}");
        }
        for status in [302, 400, 401, 404, 413, 500, 501] {
            assert_eq!(http(status), SendResult::Rejected(": busy".to_owned()), "{status}");
        }
        let pause = Duration::from_secs(3);
        let busy = http_failure(503, "503", b"\x08\x0e\x12\x04busy", true, Some(pause));
        assert_eq!(busy, SendResult::Retry(Some(pause), "503: busy".to_owned()));
        for code in 0..20 {
            let result = grpc_failure(code, "", &[]);
            let is_transient = matches!(result, SendResult::Retry(None, _));
            assert_eq!(is_transient, [1, 4, 10, 11, 14, 15].contains(&code), "{result:?}");
        }
    }

    #[test]
    fn an_exhausted_receiver_is_tried_again_if_it_says_when() {
        let pause = Duration::from_millis(1_500);
        let expected = SendResult::Retry(Some(pause), "RESOURCE_EXHAUSTED: busy".to_owned());
        assert_eq!(grpc_failure(8, "busy", DETAILS), expected);
        let expected = SendResult::Rejected("RESOURCE_EXHAUSTED: busy".to_owned());
        assert_eq!(grpc_failure(8, "busy", b"\xff"), expected);
    }

    #[test]
    fn rejected_items_are_counted_and_warnings_kept() {
        let items = RejectedItems::default();
        assert_eq!(items.take(b""), SendResult::Delivered);
        assert_eq!(items.text("r", "spans"), None);
        assert_eq!(items.take(b"\x0a\x06\x12\x04slow"), SendResult::Delivered);
        assert_eq!(items.text("r", "spans").unwrap(), "r: the receiver warns of spans: slow");
        for _ in 0..2 {
            assert_eq!(items.take(b"\x0a\x08\x08\x03\x12\x04ol\x1bd"), SendResult::Delivered);
        }
        let text = items.text("r", "spans").unwrap();
        assert!(text.starts_with("r: the receiver rejected 6 spans: ol"), "{text}");
        assert!(!text.contains('\u{1b}') && text.ends_with("the report is complete"), "{text}");
        assert!(matches!(items.take(b"<html>"), SendResult::Rejected(_)));
    }
}
