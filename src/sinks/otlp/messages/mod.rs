//! The messages of OTLP, version 1: metrics, traces, logs, and the responses of receivers.
//!
//! Encoders and the exporter fill them. Sources: `opentelemetry/proto` of opentelemetry-proto 1.x,
//! and `google/rpc/status.proto`.
//! Invariant: numbers of fields are those of the sources; fields that we never set are left out.

mod attributes;
mod logs;
mod metrics;
mod responses;
mod traces;

pub use attributes::{AttributeMessage, AttributeText, AttributeValue};
pub(super) use attributes::{ResourceMessage, ScopeMessage};
pub use logs::{LogSeverity, OtlpLogRecord};
pub(super) use logs::{LogsRequest, ResourceLogs, ScopeLogs};
pub(super) use metrics::{
    BucketCounts, CUMULATIVE, ExemplarValue, ExponentialData, ExponentialPoint, GaugeData,
    MetricData, MetricsRequest, NumberPoint, OtlpExemplar, OtlpMetric, PointValue, ResourceMetrics,
    ScopeMetrics, SumData,
};
pub(super) use responses::{ExportResponse, RetryInfoMessage, RpcStatus};
pub use traces::{OtlpSpan, SpanEvent, SpanKind, SpanLink, SpanStatus, StatusCodeNumber};
pub(super) use traces::{ResourceSpans, ScopeSpans, TracesRequest};
