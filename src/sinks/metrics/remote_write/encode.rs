//! Metrics as requests of remote write.
//!
//! The sink calls it for each push.
//! Invariant: labels of a series are sorted by name, as receivers demand; a request has at most
//! [`MAX_SERIES`] series.

use std::collections::HashMap;

use prost::Message;

use super::messages::{
    LabelText, MetadataKind, MetadataMessage, MetadataMessage2, NativeHistogram, SampleMessage,
    SeriesMessage, SeriesMessage2, WriteRequest, WriteRequest2,
};
use crate::sinks::metrics::buckets::{BOUNDS_US, cumulative};
use crate::sinks::metrics::family::{Label, MetricFamily, MetricKind, MetricValue, Times};
use crate::sinks::metrics::protobuf::native;
use crate::sinks::metrics::text::bound_text;

/// Maximum number of series in a request: what Prometheus itself sends at once.
pub(super) const MAX_SERIES: usize = 2_000;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteVersion {
    /// `prometheus.WriteRequest`, which every receiver takes.
    One,
    /// `io.prometheus.write.v2.Request`.
    Two,
}

/// How histograms are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramForm {
    /// A series for each bound, which every receiver takes.
    #[default]
    Classic,
    /// A native histogram with exponential buckets.
    Native,
}

/// The moment of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PushTimes {
    /// The time of the samples, milliseconds since 1970.
    pub(super) at_ms: i64,
    /// The start of the run, milliseconds since 1970.
    pub(super) start_ms: i64,
}

/// A series before it is packed.
struct PlainSeries {
    labels: Vec<LabelText>,
    value: PlainValue,
    /// The index of its family.
    family: usize,
}

enum PlainValue {
    Sample(f64),
    Histogram(Box<NativeHistogram>),
}

/// Encodes all families as compressed requests. `own`: labels of each series.
pub(super) fn requests(
    families: &[MetricFamily<'_>],
    own: &[(&str, &str)],
    times: PushTimes,
    version: WriteVersion,
    form: HistogramForm,
) -> Vec<Vec<u8>> {
    let mut series = Vec::new();
    for (index, family) in families.iter().enumerate() {
        let mut lister =
            SeriesLister { own, family: index, form, at_ms: times.at_ms, out: &mut series };
        lister.list(family);
    }
    let mut requests = Vec::new();
    let mut rest = series;
    while !rest.is_empty() {
        let later = rest.split_off(rest.len().min(MAX_SERIES));
        let bytes = match version {
            WriteVersion::One => request_1(families, rest, times).encode_to_vec(),
            WriteVersion::Two => request_2(families, rest, times).encode_to_vec(),
        };
        requests.push(compressed(&bytes));
        rest = later;
    }
    requests
}

/// Compresses a request, as both versions demand.
pub(super) fn compressed(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap_or_default()
}

struct SeriesLister<'a> {
    own: &'a [(&'a str, &'a str)],
    family: usize,
    form: HistogramForm,
    at_ms: i64,
    out: &'a mut Vec<PlainSeries>,
}

impl SeriesLister<'_> {
    fn list(&mut self, family: &MetricFamily<'_>) {
        let mut name = family.prometheus_name();
        if family.is_counter() {
            name.push_str("_total");
        }
        for sample in &family.samples {
            match &sample.value {
                MetricValue::Count(n) => self.add(&name, &sample.labels, None, *n as f64),
                MetricValue::Level(level) => self.add(&name, &sample.labels, None, *level),
                MetricValue::Times(times) => self.times(&name, &sample.labels, times),
            }
        }
    }

    fn times(&mut self, name: &str, labels: &[Label<'_>], times: &Times<'_>) {
        if self.form == HistogramForm::Native {
            let histogram = native_histogram(times, self.at_ms);
            let labels = self.labels(name, labels, None);
            let value = PlainValue::Histogram(Box::new(histogram));
            self.out.push(PlainSeries { labels, value, family: self.family });
            return;
        }
        let bucket = format!("{name}_bucket");
        for (bound, count) in BOUNDS_US.iter().zip(cumulative(times)) {
            self.add(&bucket, labels, Some(&bound_text(*bound)), count as f64);
        }
        self.add(&bucket, labels, Some("+Inf"), times.count() as f64);
        self.add(&format!("{name}_sum"), labels, None, times.sum_s());
        self.add(&format!("{name}_count"), labels, None, times.count() as f64);
    }

    fn add(&mut self, name: &str, labels: &[Label<'_>], bound: Option<&str>, value: f64) {
        let labels = self.labels(name, labels, bound);
        let value = PlainValue::Sample(value);
        self.out.push(PlainSeries { labels, value, family: self.family });
    }

    fn labels(&self, name: &str, labels: &[Label<'_>], bound: Option<&str>) -> Vec<LabelText> {
        let text = |(name, value): (&str, &str)| LabelText {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let named = labels.iter().map(|(name, value)| (&**name, &**value));
        // A label without a value is no label.
        let named = named.filter(|(_, value)| !value.is_empty());
        let all = self.own.iter().copied().chain(named).chain([("__name__", name)]);
        let mut all: Vec<_> = all.chain(bound.map(|bound| ("le", bound))).map(text).collect();
        all.sort_unstable();
        all.dedup_by(|later, first| later.name == first.name);
        all
    }
}

fn native_histogram(times: &Times<'_>, timestamp: i64) -> NativeHistogram {
    let (buckets, positive_spans, positive_deltas) = native(times);
    NativeHistogram {
        count: times.count(),
        sum: times.sum_s(),
        schema: buckets.schema,
        zero_threshold: 0.0,
        zero_count: Some(buckets.zeros),
        positive_spans,
        positive_deltas,
        timestamp,
    }
}

fn kind(family: &MetricFamily<'_>) -> MetadataKind {
    match family.kind {
        MetricKind::Counter => MetadataKind::Counter,
        MetricKind::Gauge => MetadataKind::Gauge,
        MetricKind::Histogram => MetadataKind::Histogram,
    }
}

/// The values of a series: samples, or native histograms.
fn values(value: PlainValue, at_ms: i64) -> (Vec<SampleMessage>, Vec<NativeHistogram>) {
    match value {
        PlainValue::Sample(value) => (vec![SampleMessage { value, timestamp: at_ms }], Vec::new()),
        PlainValue::Histogram(histogram) => (Vec::new(), vec![*histogram]),
    }
}

fn request_1(
    families: &[MetricFamily<'_>],
    series: Vec<PlainSeries>,
    times: PushTimes,
) -> WriteRequest {
    let mut used: Vec<usize> = series.iter().map(|one| one.family).collect();
    used.dedup();
    let metadata = used.into_iter().map(|index| {
        let family = &families[index];
        MetadataMessage {
            kind: kind(family).into(),
            family: family.prometheus_name(),
            help: family.help.to_owned(),
            unit: family.unit.suffix().to_owned(),
        }
    });
    let metadata = metadata.collect();
    let series = series.into_iter().map(|one| {
        let (samples, histograms) = values(one.value, times.at_ms);
        SeriesMessage { labels: one.labels, samples, histograms }
    });
    WriteRequest { series: series.collect(), metadata }
}

fn request_2(
    families: &[MetricFamily<'_>],
    series: Vec<PlainSeries>,
    times: PushTimes,
) -> WriteRequest2 {
    let mut table = SymbolTable::default();
    let series = series.into_iter().map(|one| {
        let family = &families[one.family];
        let pairs = one.labels.iter().flat_map(|label| [&label.name, &label.value]);
        let labels = pairs.map(|text| table.place(text)).collect();
        let (samples, histograms) = values(one.value, times.at_ms);
        let (help, unit) = (table.place(family.help), table.place(family.unit.suffix()));
        SeriesMessage2 {
            labels,
            samples,
            histograms,
            metadata: Some(MetadataMessage2 { kind: kind(family).into(), help, unit }),
            created_timestamp: if family.kind == MetricKind::Gauge { 0 } else { times.start_ms },
        }
    });
    let series = series.collect();
    WriteRequest2 { symbols: table.texts, series }
}

/// The texts of a request of version 2; the first one is empty.
struct SymbolTable {
    texts: Vec<String>,
    places: HashMap<String, u32>,
}

impl Default for SymbolTable {
    fn default() -> Self {
        Self { texts: vec![String::new()], places: HashMap::from([(String::new(), 0)]) }
    }
}

impl SymbolTable {
    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::family::{MetricSample, MetricUnit};
    use super::*;
    use crate::stats::Latency;

    const TIMES: PushTimes = PushTimes { at_ms: 9_000, start_ms: 4_000 };

    fn decoded(request: &[u8]) -> Vec<u8> {
        snap::raw::Decoder::new().decompress_vec(request).unwrap()
    }

    fn families(latency: &Latency) -> [MetricFamily<'_>; 2] {
        let labels =
            |step: &'static str| vec![("step".into(), step.into()), ("a".into(), "".into())];
        let sample = |step, value| MetricSample { labels: labels(step), value };
        let counts = ["x", "y"].map(|step| sample(step, MetricValue::Count(7)));
        let times = vec![sample("x", MetricValue::Times(Times::from(latency)))];
        let (help, one, seconds) = ("Help.", MetricUnit::One, MetricUnit::Seconds);
        let counter = MetricKind::Counter;
        [
            MetricFamily {
                name: "m.calls",
                help,
                kind: counter,
                unit: one,
                samples: counts.into(),
            },
            MetricFamily {
                name: "m.time",
                help,
                kind: MetricKind::Histogram,
                unit: seconds,
                samples: times,
            },
        ]
    }

    fn latency() -> Latency {
        let mut latency = Latency::default();
        [0, 900_000, 950_000, 8_000_000].iter().for_each(|ns| latency.record_response(*ns));
        latency.record_at_least(1_000_000_000);
        latency
    }

    #[test]
    fn both_versions_have_the_same_series_with_sorted_labels() {
        let latency = latency();
        let families = families(&latency);
        let own = [("job", "manada"), ("instance", "r1")];
        let request = |version| {
            let mut all = requests(&families, &own, TIMES, version, HistogramForm::Classic);
            assert_eq!(all.len(), 1);
            decoded(&all.remove(0))
        };
        let first = WriteRequest::decode(&*request(WriteVersion::One)).unwrap();
        let second = WriteRequest2::decode(&*request(WriteVersion::Two)).unwrap();
        let text = |place: &u32| second.symbols[*place as usize].clone();
        let of_first = first.series.iter().map(|one| {
            let labels: Vec<_> =
                one.labels.iter().map(|l| (l.name.clone(), l.value.clone())).collect();
            (labels, one.samples.clone())
        });
        let of_second = second.series.iter().map(|one| {
            let labels: Vec<_> =
                one.labels.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
            (labels, one.samples.clone())
        });
        let all: Vec<_> = of_first.collect();
        assert_eq!(all, of_second.collect::<Vec<_>>());
        // Two counters; 18 bounds, infinity, sum and count.
        assert_eq!(all.len(), 2 + 18 + 3);
        for (labels, samples) in &all {
            assert!(labels.is_sorted() && labels[0].0 == "__name__", "{labels:?}");
            assert!(labels.iter().all(|(name, value)| name != "a" && !value.is_empty()));
            assert_eq!(samples[0].timestamp, 9_000);
        }
        assert_eq!(second.symbols[0], "");
        let created: Vec<i64> = second.series.iter().map(|one| one.created_timestamp).collect();
        assert!(created.iter().all(|at| *at == 4_000));
        let families: Vec<&str> = first.metadata.iter().map(|one| &*one.family).collect();
        assert_eq!(families, ["m_calls", "m_time_seconds"]);
    }

    #[test]
    fn a_native_histogram_has_all_times_once() {
        let latency = latency();
        let own = [("job", "manada")];
        let families = families(&latency);
        let all = requests(&families, &own, TIMES, WriteVersion::One, HistogramForm::Native);
        let request = WriteRequest::decode(&*decoded(&all[0])).unwrap();
        let [.., last] = &*request.series else { panic!("{request:?}") };
        let [histogram] = &*last.histograms else { panic!("{last:?}") };
        let mut former = 0;
        let counts: Vec<i64> = histogram
            .positive_deltas
            .iter()
            .map(|delta| {
                former += delta;
                former
            })
            .collect();
        // 900 µs and 950 µs lie 20 buckets of schema 8 apart; the one that timed out is infinite.
        assert_eq!((counts, histogram.zero_count), (vec![1, 1, 1, 1], Some(1)));
        assert_eq!((histogram.count, histogram.schema), (5, 8));
        let places: Vec<i32> = histogram.positive_spans.iter().map(|span| span.offset).collect();
        let lengths: u32 = histogram.positive_spans.iter().map(|span| span.length).sum();
        assert_eq!((places.len(), lengths), (4, 4));
        let last: i32 = places.iter().sum::<i32>() + 3;
        assert_eq!(last, (1_024 << 8) + 1);
    }

    #[test]
    fn many_series_are_several_requests() {
        let sample = |n: usize| MetricSample {
            labels: vec![("step".into(), n.to_string().into())],
            value: MetricValue::Level(n as f64),
        };
        let family = MetricFamily {
            name: "m.level",
            help: "Help.",
            kind: MetricKind::Gauge,
            unit: MetricUnit::One,
            samples: (0..=2 * MAX_SERIES).map(sample).collect(),
        };
        let all = requests(&[family], &[], TIMES, WriteVersion::One, HistogramForm::Classic);
        let sizes = all
            .iter()
            .map(|request| WriteRequest::decode(&*decoded(request)).unwrap().series.len());
        assert_eq!(sizes.collect::<Vec<_>>(), [MAX_SERIES, MAX_SERIES, 1]);
    }
}
