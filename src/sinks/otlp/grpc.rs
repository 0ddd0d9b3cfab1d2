//! Requests of OTLP over gRPC: unary calls, each in one frame of a request over HTTP/2.
//!
//! The exporter's queues call it. Source: PROTOCOL-HTTP2.md of gRPC.
//! Invariant: a call takes a bounded time, and reads a bounded part of the response.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http_body::Body;
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE, USER_AGENT};
use reqwest::{StatusCode, Url};

use super::http::AGENT;
use super::outcome::{RejectedItems, grpc_failure};
use crate::side_client::{cause, side_client_http2};
use crate::sinks::push::delivery::{Batch, BatchSender, SendResult};

/// The timeout of a call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest message that is read, bytes.
const MOST: usize = 64 << 10;

/// A frame begins with whether it is compressed, and the length of its message.
const FRAME_HEAD: usize = 5;

/// Sends requests of a signal.
pub(super) struct GrpcSender {
    url: Url,
    headers: HeaderMap,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    rejected: Arc<RejectedItems>,
}

/// A response: its status and metadata, of which the last ones may be trailers.
struct GrpcResponse {
    status: StatusCode,
    metadata: HeaderMap,
    body: Vec<u8>,
}

impl GrpcSender {
    /// Prepares calls of the method of `url`, with these metadata in addition.
    ///
    /// # Errors
    /// If the system provides no runtime, or no roots of trust.
    pub(super) fn new(
        url: Url,
        mut headers: HeaderMap,
        rejected: Arc<RejectedItems>,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let http = side_client_http2(url.as_str(), TIMEOUT).map_err(io::Error::other)?;
        let own = [(CONTENT_TYPE, "application/grpc"), (TE, "trailers"), (USER_AGENT, AGENT)];
        for (name, value) in own {
            headers.insert(name, HeaderValue::from_static(value));
        }
        Ok(Self { url, headers, runtime, http, rejected })
    }

    async fn call(&self, frame: Vec<u8>) -> Result<GrpcResponse, String> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone()).body(frame);
        let response = request.send().await.map_err(|error| cause(&error))?;
        let (parts, mut rest) = http::Response::<reqwest::Body>::from(response).into_parts();
        let (mut metadata, mut body) = (parts.headers, Vec::new());
        while let Some(frame) = poll_fn(|context| Pin::new(&mut rest).poll_frame(context)).await {
            match frame.map_err(|error| cause(&error))?.into_data() {
                Ok(data) if body.len() + data.len() > MOST => {
                    return Err("its response is too long".to_owned());
                }
                Ok(data) => body.extend_from_slice(&data),
                Err(other) => metadata.extend(other.into_trailers().unwrap_or_default()),
            }
        }
        Ok(GrpcResponse { status: parts.status, metadata, body })
    }

    fn result(&self, response: &GrpcResponse) -> SendResult {
        let GrpcResponse { status, metadata, body } = response;
        let text = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok());
        let Some(code) = text("grpc-status") else {
            // A proxy, or a server that does not know gRPC.
            let why = format!("{status}, without a status of gRPC");
            return match status.as_u16() {
                429 | 502 | 503 | 504 => SendResult::Retry(None, why),
                _ => SendResult::Rejected(why),
            };
        };
        if code == "0" {
            return match message(body) {
                Some(message) => self.rejected.take(message),
                None => SendResult::Rejected("its response is not one of gRPC".to_owned()),
            };
        }
        let details = text("grpc-status-details-bin").and_then(|text| BASE64.decode(text).ok());
        let message = text("grpc-message").unwrap_or_default();
        let message = percent_decode_str(message).decode_utf8_lossy();
        grpc_failure(code.parse().unwrap_or(2), &message, &details.unwrap_or_default())
    }
}

impl BatchSender for GrpcSender {
    fn send(&mut self, batch: &Batch) -> SendResult {
        let batch = &*batch.bytes;
        let Ok(length) = u32::try_from(batch.len()) else {
            return SendResult::Rejected("the request is too long".to_owned());
        };
        let mut frame = Vec::with_capacity(FRAME_HEAD + batch.len());
        frame.push(0);
        frame.extend(length.to_be_bytes());
        frame.extend(batch);
        match self.runtime.block_on(self.call(frame)) {
            Ok(response) => self.result(&response),
            Err(why) => SendResult::Retry(None, why),
        }
    }
}

/// Metadata may have padding or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The message of the only frame; `None` if it is compressed, cut or not alone.
fn message(body: &[u8]) -> Option<&[u8]> {
    let (head, message) = body.split_first_chunk::<FRAME_HEAD>()?;
    let [0, length @ ..] = head else { return None };
    (u32::from_be_bytes(*length) as usize == message.len()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_one_whole_frame() {
        assert_eq!(message(b"\0\0\0\0\0"), Some(&b""[..]));
        assert_eq!(message(b"\0\0\0\0\x02ab"), Some(&b"ab"[..]));
        let bad: [&[u8]; 5] =
            [b"", b"\0\0\0\0", b"\x01\0\0\0\x02ab", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab"];
        for bad in bad {
            assert_eq!(message(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn details_may_have_padding_or_not() {
        assert_eq!(BASE64.decode("YQ").unwrap(), b"a");
        assert_eq!(BASE64.decode("YQ==").unwrap(), b"a");
    }
}
