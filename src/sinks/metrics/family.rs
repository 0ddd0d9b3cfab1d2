//! Metrics of a run as receivers of metrics take them: families of samples with labels.
//!
//! `catalog` fills them from a Report, encoders write them.
//! Invariant: a family has one name, one kind and one unit; its samples differ in their labels.

use std::borrow::Cow;

use crate::stats::{Histogram, Latency};

/// A label of a sample: name and value.
pub(in crate::sinks) type Label<'r> = (Cow<'r, str>, Cow<'r, str>);

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sinks) enum MetricKind {
    /// A count since the start of the run, which only rises.
    Counter,
    /// A level, which rises and falls.
    Gauge,
    /// A distribution of times since the start of the run.
    Histogram,
}

/// The unit of a metric, by its name in UCUM, as OpenTelemetry uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sinks) enum MetricUnit {
    /// Things that are counted.
    One,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share of one.
    Ratio,
}

impl MetricUnit {
    /// The unit in the name of a metric of Prometheus; empty for counts.
    pub(in crate::sinks) const fn suffix(self) -> &'static str {
        match self {
            Self::One => "",
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
            Self::Ratio => "ratio",
        }
    }
}

/// All samples of a metric.
#[derive(Clone, Debug)]
pub(in crate::sinks) struct MetricFamily<'r> {
    /// The name with dots, as OpenTelemetry writes it, such as `manada.response.duration`.
    pub(in crate::sinks) name: &'static str,
    /// What it measures, one sentence.
    pub(in crate::sinks) help: &'static str,
    /// The kind of all samples.
    pub(in crate::sinks) kind: MetricKind,
    /// The unit of all samples.
    pub(in crate::sinks) unit: MetricUnit,
    /// One for each combination of labels.
    pub(in crate::sinks) samples: Vec<MetricSample<'r>>,
}

/// The value of a metric with these labels.
#[derive(Clone, Debug)]
pub(in crate::sinks) struct MetricSample<'r> {
    /// In the order in which they are written.
    pub(in crate::sinks) labels: Vec<Label<'r>>,
    /// The value.
    pub(in crate::sinks) value: MetricValue<'r>,
    /// Of a histogram: at most one for each bucket, in the order of their bounds.
    pub(in crate::sinks) exemplars: Vec<TraceExemplar>,
}

impl<'r> MetricSample<'r> {
    /// A sample without exemplars.
    pub(in crate::sinks) const fn new(labels: Vec<Label<'r>>, value: MetricValue<'r>) -> Self {
        Self { labels, value, exemplars: Vec::new() }
    }

    /// The exemplar of a bucket, by the index of its bound.
    pub(in crate::sinks) fn exemplar(&self, bucket: usize) -> Option<&TraceExemplar> {
        self.exemplars.iter().find(|one| one.bucket == bucket)
    }
}

/// A call of a bucket that has a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::sinks) struct TraceExemplar {
    /// The index of the bucket's bound; the number of bounds if it is above all.
    pub(in crate::sinks) bucket: usize,
    /// Its trace.
    pub(in crate::sinks) trace_id: u128,
    /// Its span.
    pub(in crate::sinks) span_id: u64,
    /// Its time, s.
    pub(in crate::sinks) seconds: f64,
    /// When it ended, milliseconds since 1970: for a bucket it never falls.
    pub(in crate::sinks) at_ms: u64,
}

impl TraceExemplar {
    /// The names and values of its labels.
    pub(in crate::sinks) fn labels(&self) -> [(&'static str, String); 2] {
        [
            ("trace_id", format!("{:032x}", self.trace_id)),
            ("span_id", format!("{:016x}", self.span_id)),
        ]
    }
}

/// A value.
#[derive(Clone, Copy, Debug)]
pub(in crate::sinks) enum MetricValue<'r> {
    /// Of a counter.
    Count(u64),
    /// Of a gauge.
    Level(f64),
    /// Of a histogram.
    Times(Times<'r>),
}

/// A distribution of times.
#[derive(Clone, Copy, Debug)]
pub(in crate::sinks) struct Times<'r> {
    /// The times that are known.
    pub(in crate::sinks) known: &'r Histogram,
    /// How many are not known: they rank above all known ones.
    pub(in crate::sinks) unknown: u64,
    /// The sum of the lower bounds of those, µs.
    pub(in crate::sinks) at_least_us: u64,
}

impl<'r> From<&'r Histogram> for Times<'r> {
    fn from(known: &'r Histogram) -> Self {
        Self { known, unknown: 0, at_least_us: 0 }
    }
}

impl<'r> From<&'r Latency> for Times<'r> {
    fn from(latency: &'r Latency) -> Self {
        Self {
            known: latency.responses(),
            unknown: latency.censored(),
            at_least_us: latency.timeouts().sum_us(),
        }
    }
}

impl Times<'_> {
    /// The number of all times.
    pub(in crate::sinks) fn count(&self) -> u64 {
        self.known.count() + self.unknown
    }

    /// Their sum, s. Of unknown times it has the lower bounds: calls that timed out count with
    /// their age, others with nothing.
    pub(in crate::sinks) fn sum_s(&self) -> f64 {
        (self.known.sum_us() + self.at_least_us) as f64 / 1e6
    }
}

impl MetricFamily<'_> {
    /// The name by the conventions of Prometheus, without `_total`: underscores, then the unit.
    pub(in crate::sinks) fn prometheus_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        let unit = self.unit.suffix();
        if !unit.is_empty() {
            name.push('_');
            name.push_str(unit);
        }
        name
    }

    /// Whether samples are counts whose name ends in `_total`.
    pub(in crate::sinks) fn is_counter(&self) -> bool {
        self.kind == MetricKind::Counter
    }
}

/// A name of a label that Prometheus permits: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn label_name(text: &str) -> String {
    let is_fit = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut name: String = text.chars().map(|c| if is_fit(c) { c } else { '_' }).collect();
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    name
}
