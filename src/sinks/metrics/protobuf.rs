//! Metrics in the protobuf format of Prometheus: classic and native histograms.
//!
//! `scrape` answers with it. Source: `io/prometheus/client/metrics.proto` of
//! prometheus/client_model.
//! Invariant: each family is preceded by its length, as the encoding `delimited` demands.

use prost::Message;

use super::buckets::{BOUNDS_US, ExponentialBuckets, cumulative};
use super::family::{MetricFamily, MetricKind, MetricSample, MetricValue, Times, TraceExemplar};

/// The media type, as Prometheus asks for it.
pub(super) const CONTENT_TYPE: &str = "application/vnd.google.protobuf; \
                                       proto=io.prometheus.client.MetricFamily; encoding=delimited";

#[derive(Clone, PartialEq, Message)]
struct FamilyMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(enumeration = "KindNumber", tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metrics: Vec<MetricMessage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
enum KindNumber {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
struct MetricMessage {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelMessage>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<ValueMessage>,
    #[prost(message, optional, tag = "3")]
    counter: Option<ValueMessage>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<HistogramMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueMessage {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramMessage {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    buckets: Vec<BucketMessage>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "12")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_deltas: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketMessage {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<ExemplarMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct ExemplarMessage {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<LabelMessage>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    at: Option<TimestampMessage>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct TimestampMessage {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// Buckets whose indices follow each other.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct BucketSpan {
    /// The number of indices between this span and the one before; of the first one, its index.
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    /// The number of buckets.
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}

/// The positive buckets of a native histogram: spans, and each count as its difference from the one
/// before. Times that are not known are in the bucket of infinity.
pub(super) fn native(times: &Times<'_>) -> (ExponentialBuckets, Vec<BucketSpan>, Vec<i64>) {
    let buckets = ExponentialBuckets::of(times);
    let unknown = (times.unknown > 0).then_some((buckets.unknown_index(), times.unknown));
    let counts = buckets.counts.iter().map(|(index, count)| (*index, *count)).chain(unknown);
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut former) = (0, 0);
    for (index, count) in counts {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index - next, length: 1 }),
        }
        deltas.push(count as i64 - former);
        (next, former) = (index + 1, count as i64);
    }
    (buckets, spans, deltas)
}

/// Writes all families.
pub(super) fn write(families: &[MetricFamily<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let message = message(family);
        message.encode_length_delimited(&mut out).expect("a Vec takes all");
    }
    out
}

fn message(family: &MetricFamily<'_>) -> FamilyMessage {
    let mut name = family.prometheus_name();
    if family.is_counter() {
        name.push_str("_total");
    }
    let kind = match family.kind {
        MetricKind::Counter => KindNumber::Counter,
        MetricKind::Gauge => KindNumber::Gauge,
        MetricKind::Histogram => KindNumber::Histogram,
    };
    FamilyMessage {
        name,
        help: family.help.to_owned(),
        kind: kind.into(),
        metrics: family.samples.iter().map(metric).collect(),
    }
}

fn metric(sample: &MetricSample<'_>) -> MetricMessage {
    let labels = sample.labels.iter();
    let labels = labels
        .map(|(name, value)| LabelMessage { name: name.to_string(), value: value.to_string() });
    let mut message = MetricMessage { labels: labels.collect(), ..MetricMessage::default() };
    match &sample.value {
        MetricValue::Count(n) => message.counter = Some(ValueMessage { value: *n as f64 }),
        MetricValue::Level(level) => message.gauge = Some(ValueMessage { value: *level }),
        MetricValue::Times(times) => message.histogram = Some(histogram(sample, times)),
    }
    message
}

fn histogram(sample: &MetricSample<'_>, times: &Times<'_>) -> HistogramMessage {
    let bounds = BOUNDS_US.iter().zip(cumulative(times)).enumerate();
    let buckets = bounds.map(|(bucket, (bound, cumulative_count))| BucketMessage {
        cumulative_count,
        upper_bound: *bound as f64 / 1e6,
        exemplar: sample.exemplar(bucket).map(exemplar),
    });
    // The bucket of infinity is written only for its exemplar.
    let infinite = sample.exemplar(BOUNDS_US.len()).map(|one| BucketMessage {
        cumulative_count: times.count(),
        upper_bound: f64::INFINITY,
        exemplar: Some(exemplar(one)),
    });
    let (native, positive_spans, positive_deltas) = native(times);
    HistogramMessage {
        count: times.count(),
        sum: times.sum_s(),
        buckets: buckets.chain(infinite).collect(),
        schema: native.schema,
        zero_threshold: 0.0,
        zero_count: native.zeros,
        positive_spans,
        positive_deltas,
    }
}

fn exemplar(one: &TraceExemplar) -> ExemplarMessage {
    let labels = one.labels().map(|(name, value)| LabelMessage { name: name.to_owned(), value });
    let at = TimestampMessage {
        seconds: (one.at_ms / 1_000) as i64,
        nanos: (one.at_ms % 1_000) as i32 * 1_000_000,
    };
    ExemplarMessage { labels: labels.into(), value: one.seconds, at: Some(at) }
}
