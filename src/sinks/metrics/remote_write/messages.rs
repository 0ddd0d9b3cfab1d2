//! The messages of remote write, versions 1 and 2.
//!
//! `encode` fills them. Sources: `prompb/remote.proto`, `prompb/types.proto` and
//! `prompb/io/prometheus/write/v2/types.proto` of Prometheus.
//! Invariant: numbers of fields are those of the sources; fields that we never set are left out.

use prost::Message;

use crate::sinks::metrics::protobuf::BucketSpan;

/// A request of version 1.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) series: Vec<SeriesMessage>,
    #[prost(message, repeated, tag = "3")]
    pub(super) metadata: Vec<MetadataMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SeriesMessage {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<LabelText>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<SampleMessage>,
    #[prost(message, repeated, tag = "3")]
    pub(super) exemplars: Vec<ExemplarMessage1>,
    #[prost(message, repeated, tag = "4")]
    pub(super) histograms: Vec<NativeHistogram>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExemplarMessage1 {
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<LabelText>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub(super) timestamp: i64,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(super) struct LabelText {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SampleMessage {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct NativeHistogram {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(double, tag = "3")]
    pub(super) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(super) schema: i32,
    #[prost(double, tag = "5")]
    pub(super) zero_threshold: f64,
    /// One of two alternatives, so that it is written also if it is zero.
    #[prost(uint64, optional, tag = "6")]
    pub(super) zero_count: Option<u64>,
    #[prost(message, repeated, tag = "11")]
    pub(super) positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub(super) positive_deltas: Vec<i64>,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub(super) timestamp: i64,
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum MetadataKind {
    Unknown = 0,
    Counter = 1,
    Gauge = 2,
    Histogram = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MetadataMessage {
    #[prost(enumeration = "MetadataKind", tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "2")]
    pub(super) family: String,
    #[prost(string, tag = "4")]
    pub(super) help: String,
    #[prost(string, tag = "5")]
    pub(super) unit: String,
}

/// A request of version 2: texts stand once, in a table.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest2 {
    #[prost(string, repeated, tag = "4")]
    pub(super) symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub(super) series: Vec<SeriesMessage2>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SeriesMessage2 {
    /// Places in the table: of a name, then of its value.
    #[prost(uint32, repeated, tag = "1")]
    pub(super) labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<SampleMessage>,
    #[prost(message, repeated, tag = "3")]
    pub(super) histograms: Vec<NativeHistogram>,
    #[prost(message, repeated, tag = "4")]
    pub(super) exemplars: Vec<ExemplarMessage2>,
    #[prost(message, optional, tag = "5")]
    pub(super) metadata: Option<MetadataMessage2>,
    /// When counters were zero, milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub(super) created_timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ExemplarMessage2 {
    /// Places in the table: of a name, then of its value.
    #[prost(uint32, repeated, tag = "1")]
    pub(super) labels: Vec<u32>,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub(super) timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct MetadataMessage2 {
    #[prost(enumeration = "MetadataKind", tag = "1")]
    pub(super) kind: i32,
    #[prost(uint32, tag = "3")]
    pub(super) help: u32,
    #[prost(uint32, tag = "4")]
    pub(super) unit: u32,
}
