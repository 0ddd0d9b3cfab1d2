//! Traces: spans with events, links and a status.
//!
//! Sources: `trace/v1/trace.proto`, `collector/trace/v1/trace_service.proto`.
//! Invariant: identifiers are bytes, 16 of a trace and 8 of a span.

use prost::{Enumeration, Message};

use super::attributes::{AttributeMessage, ResourceMessage, ScopeMessage};

/// A request with spans.
#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct TracesRequest {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) resource: Option<ResourceMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::sinks::otlp) scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) scope: Option<ScopeMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::sinks::otlp) spans: Vec<OtlpSpan>,
}

/// A span: something that took time, such as a call.
#[derive(Clone, PartialEq, Message)]
pub struct OtlpSpan {
    /// The identifier of its trace, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// Its identifier, 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// The state of its trace, as in the header `tracestate`.
    #[prost(string, tag = "3")]
    pub trace_state: String,
    /// The identifier of the span that it is a part of; empty if it is the root of its trace.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// The name.
    #[prost(string, tag = "5")]
    pub name: String,
    /// Its kind.
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// When it began, nanoseconds since 1970.
    #[prost(fixed64, tag = "7")]
    pub start: u64,
    /// When it ended, nanoseconds since 1970.
    #[prost(fixed64, tag = "8")]
    pub end: u64,
    /// Attributes.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<AttributeMessage>,
    /// How many attributes were left out.
    #[prost(uint32, tag = "10")]
    pub dropped_attributes: u32,
    /// What happened in it.
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<SpanEvent>,
    /// How many events were left out.
    #[prost(uint32, tag = "12")]
    pub dropped_events: u32,
    /// Other spans that it belongs to.
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<SpanLink>,
    /// Whether it succeeded.
    #[prost(message, optional, tag = "15")]
    pub status: Option<SpanStatus>,
    /// The flags of the header `traceparent`: 1 if the trace is sampled.
    #[prost(fixed32, tag = "16")]
    pub flags: u32,
}

/// The kind of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Not known.
    Unspecified = 0,
    /// Work inside a program.
    Internal = 1,
    /// The server's side of a request.
    Server = 2,
    /// The client's side of a request.
    Client = 3,
    /// The sender of a message that nothing waits for.
    Producer = 4,
    /// The receiver of such a message.
    Consumer = 5,
}

/// What happened at a moment of a span.
#[derive(Clone, PartialEq, Message)]
pub struct SpanEvent {
    /// When, nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    pub at: u64,
    /// The name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Attributes.
    #[prost(message, repeated, tag = "3")]
    pub attributes: Vec<AttributeMessage>,
}

/// A span that another one belongs to, in addition to its parent.
#[derive(Clone, PartialEq, Message)]
pub struct SpanLink {
    /// The identifier of its trace, 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// Its identifier, 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// Attributes.
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<AttributeMessage>,
}

/// Whether a span succeeded.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct SpanStatus {
    /// Why not.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Whether.
    #[prost(enumeration = "StatusCodeNumber", tag = "3")]
    pub code: i32,
}

/// The outcomes that a status knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum StatusCodeNumber {
    /// No error is known.
    Unset = 0,
    /// It succeeded, whatever the instrumentation takes for an error.
    Ok = 1,
    /// It failed.
    Error = 2,
}
