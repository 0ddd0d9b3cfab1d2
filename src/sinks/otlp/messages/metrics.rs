//! Metrics: sums, gauges and exponential histograms.
//!
//! Sources: `metrics/v1/metrics.proto`, `collector/metrics/v1/metrics_service.proto`.
//! Invariant: a point has the time of its value; points of sums and histograms also the time since
//! which they count.

use prost::{Message, Oneof};

use super::attributes::{AttributeMessage, ResourceMessage, ScopeMessage};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: counts are since the start of the run.
pub(in crate::sinks::otlp) const CUMULATIVE: i32 = 2;

/// A request with metrics.
#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct MetricsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) resources: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) resource: Option<ResourceMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::sinks::otlp) scopes: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) scope: Option<ScopeMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::sinks::otlp) metrics: Vec<OtlpMetric>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct OtlpMetric {
    #[prost(string, tag = "1")]
    pub(in crate::sinks::otlp) name: String,
    #[prost(string, tag = "2")]
    pub(in crate::sinks::otlp) description: String,
    #[prost(string, tag = "3")]
    pub(in crate::sinks::otlp) unit: String,
    #[prost(oneof = "MetricData", tags = "5, 7, 10")]
    pub(in crate::sinks::otlp) data: Option<MetricData>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in crate::sinks::otlp) enum MetricData {
    #[prost(message, tag = "5")]
    Gauge(GaugeData),
    #[prost(message, tag = "7")]
    Sum(SumData),
    #[prost(message, tag = "10")]
    Exponential(ExponentialData),
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct GaugeData {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) points: Vec<NumberPoint>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct SumData {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) points: Vec<NumberPoint>,
    #[prost(int32, tag = "2")]
    pub(in crate::sinks::otlp) temporality: i32,
    #[prost(bool, tag = "3")]
    pub(in crate::sinks::otlp) is_monotonic: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ExponentialData {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) points: Vec<ExponentialPoint>,
    #[prost(int32, tag = "2")]
    pub(in crate::sinks::otlp) temporality: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct NumberPoint {
    #[prost(message, repeated, tag = "7")]
    pub(in crate::sinks::otlp) attributes: Vec<AttributeMessage>,
    /// Nanoseconds since 1970, as all times of OTLP.
    #[prost(fixed64, tag = "2")]
    pub(in crate::sinks::otlp) start: u64,
    #[prost(fixed64, tag = "3")]
    pub(in crate::sinks::otlp) at: u64,
    #[prost(oneof = "PointValue", tags = "4, 6")]
    pub(in crate::sinks::otlp) value: Option<PointValue>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(in crate::sinks::otlp) enum PointValue {
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ExponentialPoint {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) attributes: Vec<AttributeMessage>,
    #[prost(fixed64, tag = "2")]
    pub(in crate::sinks::otlp) start: u64,
    #[prost(fixed64, tag = "3")]
    pub(in crate::sinks::otlp) at: u64,
    #[prost(fixed64, tag = "4")]
    pub(in crate::sinks::otlp) count: u64,
    #[prost(double, optional, tag = "5")]
    pub(in crate::sinks::otlp) sum: Option<f64>,
    #[prost(sint32, tag = "6")]
    pub(in crate::sinks::otlp) scale: i32,
    #[prost(fixed64, tag = "7")]
    pub(in crate::sinks::otlp) zero_count: u64,
    #[prost(message, optional, tag = "8")]
    pub(in crate::sinks::otlp) positive: Option<BucketCounts>,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::sinks::otlp) exemplars: Vec<OtlpExemplar>,
    #[prost(double, optional, tag = "12")]
    pub(in crate::sinks::otlp) min: Option<f64>,
    #[prost(double, optional, tag = "13")]
    pub(in crate::sinks::otlp) max: Option<f64>,
}

/// A call of a distribution that has a trace.
#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct OtlpExemplar {
    #[prost(fixed64, tag = "2")]
    pub(in crate::sinks::otlp) at: u64,
    #[prost(oneof = "ExemplarValue", tags = "3")]
    pub(in crate::sinks::otlp) value: Option<ExemplarValue>,
    #[prost(bytes = "vec", tag = "4")]
    pub(in crate::sinks::otlp) span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    pub(in crate::sinks::otlp) trace_id: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Oneof)]
pub(in crate::sinks::otlp) enum ExemplarValue {
    #[prost(double, tag = "3")]
    Double(f64),
}

/// Counts of buckets whose indices follow each other: bucket `i` has the times above `base^i` and
/// up to `base^(i+1)`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct BucketCounts {
    /// The index of the first one.
    #[prost(sint32, tag = "1")]
    pub(in crate::sinks::otlp) offset: i32,
    #[prost(uint64, repeated, tag = "2")]
    pub(in crate::sinks::otlp) counts: Vec<u64>,
}
