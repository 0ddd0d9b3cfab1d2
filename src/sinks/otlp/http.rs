//! Requests of OTLP over HTTP, as protobuf.
//!
//! The exporter's queues call it.
//! Invariant: each signal has its path below the URL of the receiver.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, USER_AGENT};

use super::outcome::{RejectedItems, http_failure};
use crate::sinks::push::delivery::{Batch, BatchSender, SendResult};
use crate::sinks::push::http_push::{HttpPush, MOST, PushResponse};

const PROTOBUF: &str = "application/x-protobuf";

pub(super) const AGENT: &str = concat!("manada/", env!("CARGO_PKG_VERSION"));

/// Sends requests of a signal.
pub(super) struct HttpSender {
    pub(super) push: HttpPush,
    pub(super) rejected: Arc<RejectedItems>,
}

impl BatchSender for HttpSender {
    fn send(&mut self, batch: &Batch) -> SendResult {
        let headers = [(CONTENT_TYPE, PROTOBUF), (USER_AGENT, AGENT)];
        match self.push.post(&headers, batch.bytes.to_vec()) {
            Ok(response) => self.result(&response),
            Err(why) => SendResult::Retry(None, why),
        }
    }
}

impl HttpSender {
    fn result(&self, response: &PushResponse) -> SendResult {
        let PushResponse { status, headers, body } = response;
        // What is cut cannot be read, and no receiver has that much to say.
        if status.is_success() && body.len() < MOST {
            return self.rejected.take(body);
        }
        let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let is_protobuf = media.is_some_and(|media| media.starts_with(PROTOBUF));
        let (name, pause) = (status.to_string(), response.retry_after());
        http_failure(status.as_u16(), &name, body, is_protobuf, pause)
    }
}
