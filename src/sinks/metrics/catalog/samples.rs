//! Samples and families, made in few words.
//!
//! The parts of the catalog call it.
//! Invariant: samples of a family have the value that its kind demands.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::redact;
use crate::sinks::metrics::family::{
    Label, MetricFamily, MetricKind, MetricSample, MetricUnit, MetricValue, Times, TraceExemplar,
};

/// A label.
pub(super) fn label<'r>(name: &'static str, value: impl Into<Cow<'r, str>>) -> Label<'r> {
    (Cow::Borrowed(name), value.into())
}

/// A sample; secrets in its labels are masked.
fn sample<'r>(mut labels: Vec<Label<'r>>, value: MetricValue<'r>) -> MetricSample<'r> {
    for (_, text) in &mut labels {
        if let Cow::Owned(masked) = redact::redact_secrets(text) {
            *text = Cow::Owned(masked);
        }
    }
    MetricSample::new(labels, value)
}

/// A sample of a counter.
pub(super) fn count(labels: Vec<Label<'_>>, count: u64) -> MetricSample<'_> {
    sample(labels, MetricValue::Count(count))
}

/// A sample of a gauge.
pub(super) fn level(labels: Vec<Label<'_>>, level: f64) -> MetricSample<'_> {
    sample(labels, MetricValue::Level(level))
}

/// A counter.
pub(super) fn counter<'r>(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = MetricSample<'r>>,
) -> MetricFamily<'r> {
    family(name, help, MetricKind::Counter, MetricUnit::One, samples)
}

/// A gauge.
pub(super) fn gauge<'r>(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = MetricSample<'r>>,
) -> MetricFamily<'r> {
    family(name, help, MetricKind::Gauge, MetricUnit::One, samples)
}

/// A histogram of times; distributions without any are left out.
pub(super) fn times<'r>(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Vec<Label<'r>>, Times<'r>)>,
) -> MetricFamily<'r> {
    times_with_exemplars(
        name,
        help,
        samples.into_iter().map(|(labels, times)| (labels, times, Vec::new())),
    )
}

/// A histogram of times with exemplars; distributions without any times are left out.
pub(super) fn times_with_exemplars<'r>(
    name: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Vec<Label<'r>>, Times<'r>, Vec<TraceExemplar>)>,
) -> MetricFamily<'r> {
    let samples = samples.into_iter().filter(|(_, times, _)| times.count() > 0);
    let samples = samples.map(|(labels, times, exemplars)| MetricSample {
        exemplars,
        ..sample(labels, MetricValue::Times(times))
    });
    family(name, help, MetricKind::Histogram, MetricUnit::Seconds, samples)
}

/// All samples of a metric.
pub(super) fn family<'r>(
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    unit: MetricUnit,
    samples: impl IntoIterator<Item = MetricSample<'r>>,
) -> MetricFamily<'r> {
    MetricFamily { name, help, kind, unit, samples: samples.into_iter().collect() }
}

/// Samples with different labels: of several with the same ones, the first, since receivers refuse
/// others.
pub(super) fn unique<'r>(
    samples: impl IntoIterator<Item = MetricSample<'r>>,
) -> Vec<MetricSample<'r>> {
    let mut known = HashSet::new();
    samples.into_iter().filter(|sample| known.insert(sample.labels.clone())).collect()
}

/// A sample for each value of a label.
pub(super) fn with_label<'r>(
    name: &'static str,
    labels: &[Label<'r>],
    counts: impl IntoIterator<Item = (&'static str, u64)>,
) -> Vec<MetricSample<'r>> {
    let one = |(value, n)| {
        let mut own = labels.to_vec();
        own.push(label(name, value));
        count(own, n)
    };
    counts.into_iter().map(one).collect()
}
