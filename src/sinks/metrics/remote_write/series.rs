//! All series of a push, before a version of the protocol packs them.
//!
//! `encode` calls it.
//! Invariant: labels of a series are sorted by name, as receivers demand, and its exemplars by
//! time.

use super::messages::{LabelText, NativeHistogram};
use crate::sinks::metrics::buckets::{BOUNDS_US, cumulative};
use crate::sinks::metrics::family::{
    Label, MetricFamily, MetricSample, MetricValue, Times, TraceExemplar,
};
use crate::sinks::metrics::protobuf::native;
use crate::sinks::metrics::text::bound_text;

/// How histograms are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramForm {
    /// A series for each bound, which every receiver takes.
    #[default]
    Classic,
    /// A native histogram with exponential buckets.
    Native,
}
/// A series before it is packed.
pub(super) struct PlainSeries {
    pub(super) labels: Vec<LabelText>,
    pub(super) value: PlainValue,
    pub(super) exemplars: Vec<TraceExemplar>,
    /// The index of its family.
    pub(super) family: usize,
}

/// The value of a series.
pub(super) enum PlainValue {
    Sample(f64),
    Histogram(Box<NativeHistogram>),
}

/// Lists the series of a family.
pub(super) struct SeriesLister<'a> {
    /// Labels of each series.
    pub(super) own: &'a [(&'a str, &'a str)],
    /// The index of the family.
    pub(super) family: usize,
    pub(super) form: HistogramForm,
    /// The time of the samples, milliseconds since 1970.
    pub(super) at_ms: i64,
    pub(super) out: &'a mut Vec<PlainSeries>,
}

impl SeriesLister<'_> {
    /// Adds all samples of a family.
    pub(super) fn list(&mut self, family: &MetricFamily<'_>) {
        let mut name = family.prometheus_name();
        if family.is_counter() {
            name.push_str("_total");
        }
        for sample in &family.samples {
            match &sample.value {
                MetricValue::Count(n) => self.add(&name, &sample.labels, None, *n as f64),
                MetricValue::Level(level) => self.add(&name, &sample.labels, None, *level),
                MetricValue::Times(times) => self.times(&name, sample, times),
            }
        }
    }

    fn times(&mut self, name: &str, of: &MetricSample<'_>, times: &Times<'_>) {
        let labels = &*of.labels;
        if self.form == HistogramForm::Native {
            let histogram = native_histogram(times, self.at_ms);
            let labels = self.labels(name, labels, None);
            let value = PlainValue::Histogram(Box::new(histogram));
            // In the order of time: a receiver refuses one that is older than the one before.
            let mut exemplars = of.exemplars.clone();
            exemplars.sort_by(|a, b| a.at_ms.cmp(&b.at_ms).then(a.seconds.total_cmp(&b.seconds)));
            self.out.push(PlainSeries { labels, value, exemplars, family: self.family });
            return;
        }
        let series = format!("{name}_bucket");
        let bounds = BOUNDS_US.iter().map(|bound| bound_text(*bound)).chain(["+Inf".to_owned()]);
        let counts = cumulative(times).into_iter().chain([times.count()]);
        for (bucket, (bound, count)) in bounds.zip(counts).enumerate() {
            self.add(&series, labels, Some(&bound), count as f64);
            if let (Some(last), Some(one)) = (self.out.last_mut(), of.exemplar(bucket)) {
                last.exemplars.push(*one);
            }
        }
        self.add(&format!("{name}_sum"), labels, None, times.sum_s());
        self.add(&format!("{name}_count"), labels, None, times.count() as f64);
    }

    fn add(&mut self, name: &str, labels: &[Label<'_>], bound: Option<&str>, value: f64) {
        let labels = self.labels(name, labels, bound);
        let value = PlainValue::Sample(value);
        let exemplars = Vec::new();
        self.out.push(PlainSeries { labels, value, exemplars, family: self.family });
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
