//! `--otlp URL`: metrics, traces and logs of a run for receivers of OpenTelemetry.
//!
//! `cli` opens an exporter, adds the sinks, and waits for the rest after the run.
//! Invariant: receivers never delay the run: each signal has a bounded queue of its own, and what
//! it loses is counted.

mod call_attributes;
mod exporter;
mod failed_calls;
mod grpc;
mod http;
mod messages;
mod metrics;
mod outcome;
mod requests;
mod resource;
mod run_log;
mod spans;

pub use exporter::{OtlpExporter, OtlpIntake, OtlpOptions, OtlpProtocol, OtlpSignal};
pub use messages::{
    AttributeMessage, AttributeText, AttributeValue, LogSeverity, OtlpLogRecord, OtlpSpan,
    SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCodeNumber,
};
pub use metrics::OtlpMetricsSink;
pub use resource::{ATTRIBUTES_VARIABLE, HEADERS_VARIABLE, SERVICE_VARIABLE};
pub use run_log::OtlpLogSink;
pub use spans::{LeftOutSpans, OtlpSpanSink};
