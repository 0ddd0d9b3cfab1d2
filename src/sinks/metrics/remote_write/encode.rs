//! Metrics as requests of remote write.
//!
//! The sink calls it for each push.
//! Invariant: a request has at most [`MAX_SERIES`] series.

use std::collections::HashMap;

use prost::Message;

use super::messages::{
    ExemplarMessage1, ExemplarMessage2, LabelText, MetadataKind, MetadataMessage, MetadataMessage2,
    NativeHistogram, SampleMessage, SeriesMessage, SeriesMessage2, WriteRequest, WriteRequest2,
};
use super::series::{HistogramForm, PlainSeries, PlainValue, SeriesLister};
use crate::sinks::metrics::family::{MetricFamily, MetricKind, TraceExemplar};

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

/// The moment of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PushTimes {
    /// The time of the samples, milliseconds since 1970.
    pub(super) at_ms: i64,
    /// The start of the run, milliseconds since 1970.
    pub(super) start_ms: i64,
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

/// The labels of an exemplar, sorted by name.
fn exemplar_labels(one: &TraceExemplar) -> Vec<LabelText> {
    let label = |(name, value): (&str, String)| LabelText { name: name.to_owned(), value };
    let mut labels: Vec<_> = one.labels().map(label).into();
    labels.sort_unstable();
    labels
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
        let exemplars = one.exemplars.iter().map(|exemplar| ExemplarMessage1 {
            labels: exemplar_labels(exemplar),
            value: exemplar.seconds,
            timestamp: exemplar.at_ms as i64,
        });
        SeriesMessage { labels: one.labels, samples, exemplars: exemplars.collect(), histograms }
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
        let exemplars = one.exemplars.iter().map(|exemplar| {
            let labels = exemplar_labels(exemplar);
            let pairs = labels.iter().flat_map(|label| [&label.name, &label.value]);
            ExemplarMessage2 {
                labels: pairs.map(|text| table.place(text)).collect(),
                value: exemplar.seconds,
                timestamp: exemplar.at_ms as i64,
            }
        });
        let exemplars = exemplars.collect();
        let (help, unit) = (table.place(family.help), table.place(family.unit.suffix()));
        SeriesMessage2 {
            labels,
            samples,
            histograms,
            exemplars,
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
    use super::super::super::family::{MetricSample, MetricUnit, MetricValue, Times};
    use super::*;
    use crate::stats::Latency;

    const TIMES: PushTimes = PushTimes { at_ms: 9_000, start_ms: 4_000 };

    fn decoded(request: &[u8]) -> Vec<u8> {
        snap::raw::Decoder::new().decompress_vec(request).unwrap()
    }

    fn families(latency: &Latency) -> [MetricFamily<'_>; 2] {
        let labels =
            |step: &'static str| vec![("step".into(), step.into()), ("a".into(), "".into())];
        let sample = |step, value| MetricSample::new(labels(step), value);
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
        let sample = |n: usize| {
            MetricSample::new(
                vec![("step".into(), n.to_string().into())],
                MetricValue::Level(n as f64),
            )
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

    #[test]
    fn exemplars_belong_to_their_bucket_or_to_the_native_histogram() {
        let latency = latency();
        let mut families = families(&latency);
        let one = TraceExemplar { bucket: 7, trace_id: 0xab, span_id: 7, seconds: 0.02, at_ms: 9 };
        let former = TraceExemplar { bucket: 4, seconds: 0.002, at_ms: 8, ..one };
        families[1].samples[0].exemplars = vec![TraceExemplar { at_ms: 10, ..former }, one];
        let request =
            |version, form| decoded(&requests(&families, &[], TIMES, version, form).remove(0));
        let first = WriteRequest::decode(&*request(WriteVersion::One, HistogramForm::Classic));
        let first = first.unwrap().series;
        let with: Vec<_> = first.iter().filter(|one| !one.exemplars.is_empty()).collect();
        let bounds = with.iter().map(|one| one.labels.iter().find(|l| l.name == "le").unwrap());
        assert_eq!(bounds.map(|l| &*l.value).collect::<Vec<_>>(), ["0.0025", "0.025"]);
        let [exemplar] = &*with[1].exemplars else { panic!("{with:?}") };
        let labels: Vec<_> = exemplar.labels.iter().map(|l| (&*l.name, &*l.value)).collect();
        let span = ("span_id", "0000000000000007");
        assert_eq!(labels, [span, ("trace_id", "000000000000000000000000000000ab")]);
        assert_eq!((exemplar.value, exemplar.timestamp), (0.02, 9));
        let second = WriteRequest2::decode(&*request(WriteVersion::Two, HistogramForm::Native));
        let second = second.unwrap();
        let exemplars = &second.series.last().unwrap().exemplars;
        assert_eq!(exemplars.iter().map(|one| one.timestamp).collect::<Vec<_>>(), [9, 10]);
        let text = |place: &u32| &*second.symbols[*place as usize];
        let texts: Vec<_> = exemplars[0].labels.iter().map(text).collect();
        assert_eq!(texts, [labels[0].0, labels[0].1, labels[1].0, labels[1].1]);
    }
}
