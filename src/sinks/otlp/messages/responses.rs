//! What receivers respond: partial success, errors, and when to try again.
//!
//! Sources: `collector/*/v1/*_service.proto`, `google/rpc/status.proto`,
//! `google/rpc/error_details.proto`.
//! Invariant: the responses of metrics, traces and logs have the same form.

use prost::Message;

/// A response.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) partial: Option<PartialSuccess>,
}

/// Items of a request that a receiver did not take, or a warning if there are none.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(in crate::sinks::otlp) rejected: i64,
    #[prost(string, tag = "2")]
    pub(in crate::sinks::otlp) message: String,
}

/// An error: the body of a failed response over HTTP, and the header `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct RpcStatus {
    #[prost(int32, tag = "1")]
    pub(in crate::sinks::otlp) code: i32,
    #[prost(string, tag = "2")]
    pub(in crate::sinks::otlp) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(in crate::sinks::otlp) details: Vec<DetailMessage>,
}

/// A message of any type.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct DetailMessage {
    #[prost(string, tag = "1")]
    pub(in crate::sinks::otlp) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::sinks::otlp) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`: when to try again.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct RetryInfoMessage {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) delay: Option<DelayMessage>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct DelayMessage {
    #[prost(int64, tag = "1")]
    pub(in crate::sinks::otlp) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(in crate::sinks::otlp) nanos: i32,
}
