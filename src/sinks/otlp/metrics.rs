//! Metrics of a run as requests of OTLP: the same as Prometheus gets, with their dotted names.
//!
//! `cli` adds the sink; it pushes the report so far every 5 s, and the final one.
//! Invariant: a request has at most [`MAX_POINTS`] points; a metric's points follow each other.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::exporter::OtlpIntake;
use super::messages::{
    AttributeMessage, BucketCounts, CUMULATIVE, ExemplarValue, ExponentialData, ExponentialPoint,
    GaugeData, MetricData, MetricsRequest, NumberPoint, OtlpExemplar, OtlpMetric, PointValue,
    ResourceMessage, ResourceMetrics, ScopeMessage, ScopeMetrics, SumData,
};
use crate::clock;
use crate::event::{Report, RunEvent};
use crate::sinks::Sink;
use crate::sinks::metrics::buckets::ExponentialBuckets;
use crate::sinks::metrics::catalog;
use crate::sinks::metrics::family::{
    MetricFamily, MetricKind, MetricSample, MetricUnit, MetricValue, Times, TraceExemplar,
};
use crate::sinks::push::PushTimer;

/// Maximum number of points in a request: with labels and buckets some hundred bytes each, so that
/// it stays below the 4 MiB that receivers of gRPC take.
const MAX_POINTS: usize = 2_000;

/// The sink that encodes reports.
#[derive(Debug)]
pub struct OtlpMetricsSink {
    intake: OtlpIntake,
    timer: PushTimer,
}

impl OtlpMetricsSink {
    /// A sink of this exporter.
    pub fn new(intake: OtlpIntake) -> Self {
        Self { intake, timer: PushTimer::default() }
    }

    fn push(&self, report: &Report) {
        let start = unix_ns(report.info.started_at);
        let times = PointTimes { start, at: unix_ns(clock::wall()) };
        let families = catalog::families(report);
        self.intake.push_metrics(requests(&families, self.intake.resource(), times));
    }
}

impl Sink for OtlpMetricsSink {
    fn wants(event: &RunEvent) -> bool {
        PushTimer::wants(event)
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        if let Some(report) = self.timer.due(event) {
            self.push(report);
        }
        Ok(())
    }
}

/// A time as OTLP has it, nanoseconds since 1970.
pub(super) fn unix_ns(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The times of all points of a push, nanoseconds since 1970.
#[derive(Clone, Copy, Debug)]
struct PointTimes {
    /// The start of the run.
    start: u64,
    /// Now.
    at: u64,
}

/// Encodes all families.
fn requests(
    families: &[MetricFamily<'_>],
    resource: &ResourceMessage,
    times: PointTimes,
) -> Vec<Vec<u8>> {
    let (mut requests, mut metrics, mut points) = (Vec::new(), Vec::new(), 0);
    for family in families {
        let mut rest = family.samples.as_slice();
        while !rest.is_empty() {
            let (part, later) = rest.split_at(rest.len().min(MAX_POINTS - points));
            metrics.push(metric(family, part, times));
            points += part.len();
            rest = later;
            if points == MAX_POINTS {
                requests.push(request(std::mem::take(&mut metrics), resource));
                points = 0;
            }
        }
    }
    if !metrics.is_empty() {
        requests.push(request(metrics, resource));
    }
    requests
}

fn request(metrics: Vec<OtlpMetric>, resource: &ResourceMessage) -> Vec<u8> {
    let scopes = vec![ScopeMetrics { scope: Some(ScopeMessage::own()), metrics }];
    let resource = ResourceMetrics { resource: Some(resource.clone()), scopes };
    MetricsRequest { resources: vec![resource] }.encode_to_vec()
}

fn metric(
    family: &MetricFamily<'_>,
    samples: &[MetricSample<'_>],
    times: PointTimes,
) -> OtlpMetric {
    let numbers = |start| {
        let points = samples.iter().map(|sample| NumberPoint {
            attributes: attributes(sample),
            start,
            at: times.at,
            value: Some(number(&sample.value)),
        });
        points.collect()
    };
    let data = match family.kind {
        MetricKind::Gauge => MetricData::Gauge(GaugeData { points: numbers(0) }),
        MetricKind::Counter => {
            let points = numbers(times.start);
            MetricData::Sum(SumData { points, temporality: CUMULATIVE, is_monotonic: true })
        }
        MetricKind::Histogram => {
            let points = samples.iter().filter_map(|sample| match &sample.value {
                MetricValue::Times(known) => Some(exponential_point(known, sample, times)),
                MetricValue::Count(_) | MetricValue::Level(_) => None,
            });
            let points = points.collect();
            MetricData::Exponential(ExponentialData { points, temporality: CUMULATIVE })
        }
    };
    OtlpMetric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit(family.unit).to_owned(),
        data: Some(data),
    }
}

/// The unit by its code in UCUM.
const fn unit(unit: MetricUnit) -> &'static str {
    match unit {
        MetricUnit::One | MetricUnit::Ratio => "1",
        MetricUnit::Seconds => "s",
        MetricUnit::Bytes => "By",
    }
}

fn attributes(sample: &MetricSample<'_>) -> Vec<AttributeMessage> {
    let named = sample.labels.iter().filter(|(_, value)| !value.is_empty());
    named.map(|(name, value)| AttributeMessage::new(&**name, &**value)).collect()
}

fn number(value: &MetricValue<'_>) -> PointValue {
    match value {
        MetricValue::Count(count) => PointValue::Int(i64::try_from(*count).unwrap_or(i64::MAX)),
        MetricValue::Level(level) => PointValue::Double(*level),
        MetricValue::Times(times) => PointValue::Double(times.sum_s()),
    }
}

fn exponential_point(
    known: &Times<'_>,
    sample: &MetricSample<'_>,
    times: PointTimes,
) -> ExponentialPoint {
    let buckets = ExponentialBuckets::contiguous(known);
    let range = buckets.range();
    let counts = range.clone().map(|index| buckets.counts.get(&index).copied().unwrap_or(0));
    let seconds = |us: u64| us as f64 / 1e6;
    let has_known = known.known.count() > 0;
    ExponentialPoint {
        attributes: attributes(sample),
        start: times.start,
        at: times.at,
        count: known.count(),
        sum: Some(known.sum_s()),
        scale: buckets.schema,
        zero_count: buckets.zeros,
        // Prometheus counts buckets by their upper bounds, OTLP by their lower ones.
        positive: Some(BucketCounts { offset: range.start - 1, counts: counts.collect() }),
        exemplars: sample.exemplars.iter().map(exemplar).collect(),
        min: has_known.then(|| seconds(known.known.min_us())),
        max: (has_known && known.unknown == 0).then(|| seconds(known.known.max_us())),
    }
}

fn exemplar(one: &TraceExemplar) -> OtlpExemplar {
    OtlpExemplar {
        at: one.at_ms.saturating_mul(1_000_000),
        value: Some(ExemplarValue::Double(one.seconds)),
        span_id: one.span_id.to_be_bytes().to_vec(),
        trace_id: one.trace_id.to_be_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::{Histogram, Latency, Untimed};

    const TIMES: PointTimes = PointTimes { start: 4, at: 9 };

    /// The bounds of a bucket, s, by the formula of the specification.
    fn bounds(point: &ExponentialPoint, place: usize) -> (f64, f64) {
        let index = f64::from(point.positive.as_ref().unwrap().offset) + place as f64;
        let base = 2f64.powf(2f64.powi(-point.scale));
        (base.powf(index), base.powf(index + 1.0))
    }

    fn point(latency: &Latency) -> ExponentialPoint {
        let times = Times::from(latency);
        let sample = MetricSample::new(Vec::new(), MetricValue::Times(times));
        exponential_point(&times, &sample, TIMES)
    }

    proptest! {
        #[test]
        fn exponential_buckets_have_each_time_within_their_bounds(
            times in prop::collection::vec((0u32..32, any::<u32>()), 1..400),
            unknown in 0u64..3,
        ) {
            let mut latency = Latency::default();
            let times = times.into_iter().map(|(bits, us)| {
                (u64::from(us) >> bits).min(Histogram::MAX_US)
            });
            let mut times: Vec<u64> = times.collect();
            times.iter().for_each(|us| latency.record_response(us * 1_000));
            (0..unknown).for_each(|_| latency.record_untimed(Untimed::NoResponse));
            let point = point(&latency);
            let counts = &point.positive.as_ref().unwrap().counts;
            prop_assert!(counts.len() <= 160, "{}", counts.len());
            let total = times.len() as u64 + unknown;
            prop_assert_eq!(counts.iter().sum::<u64>() + point.zero_count, total);
            prop_assert_eq!(point.count, total);
            times.sort_unstable();
            let zeros = times.iter().filter(|us| **us == 0).count();
            prop_assert_eq!(point.zero_count, zeros as u64);
            // In order, the times fill the buckets; kept with three digits, so a time is at most
            // 0.1 % above the bounds of its bucket.
            let mut rest = times[zeros..].iter();
            for (place, count) in counts.iter().enumerate() {
                let (low, high) = bounds(&point, place);
                for us in rest.by_ref().take(*count as usize) {
                    let s = *us as f64 / 1e6;
                    prop_assert!(low < s * 1.000_001 && s <= high * 1.001, "{low} {s} {high}");
                }
            }
            prop_assert_eq!(rest.next(), None);
            if unknown > 0 {
                let (low, high) = bounds(&point, counts.len() - 1);
                prop_assert!(high > 3_600.0 && low < 8_192.0, "{low} {high}");
                prop_assert!(*counts.last().unwrap() >= unknown);
                prop_assert_eq!(point.max, None);
            } else {
                prop_assert_eq!(point.max, Some(times[times.len() - 1] as f64 / 1e6));
            }
            prop_assert_eq!(point.min, Some(times[0] as f64 / 1e6));
        }

        #[test]
        fn counts_of_exponential_buckets_never_fall(
            times in prop::collection::vec((0u32..32, any::<u32>()), 2..60),
        ) {
            let mut latency = Latency::default();
            let mut former: Option<ExponentialPoint> = None;
            for (bits, us) in times {
                latency.record_response(u64::from(us >> bits) * 1_000);
                let now = point(&latency);
                if let Some(former) = former {
                    prop_assert!(now.scale <= former.scale);
                    // The former buckets, merged to the scale of now.
                    let merge = 1 << (former.scale - now.scale);
                    let positive = former.positive.unwrap();
                    let own = now.positive.as_ref().unwrap();
                    let mut merged = vec![0; own.counts.len()];
                    for (place, count) in positive.counts.iter().enumerate() {
                        let index = (positive.offset + place as i32).div_euclid(merge);
                        merged[(index - own.offset) as usize] += count;
                    }
                    prop_assert!(merged.iter().zip(&own.counts).all(|(then, now)| then <= now));
                }
                former = Some(now);
            }
        }
    }

    #[test]
    fn families_become_sums_gauges_and_histograms_with_units() {
        let mut latency = Latency::default();
        latency.record_response(2_000_000_000);
        let sample = |value| {
            MetricSample::new(vec![("step".into(), "x".into()), ("none".into(), "".into())], value)
        };
        let family = |name, kind, unit, value| MetricFamily {
            name,
            help: "Help.",
            kind,
            unit,
            samples: vec![sample(value)],
        };
        let times = MetricValue::Times(Times::from(&latency));
        let families = [
            family("m.calls", MetricKind::Counter, MetricUnit::One, MetricValue::Count(7)),
            family("m.memory", MetricKind::Gauge, MetricUnit::Bytes, MetricValue::Level(1.5)),
            family("m.time", MetricKind::Histogram, MetricUnit::Seconds, times),
        ];
        let request = requests(&families, &ResourceMessage::default(), TIMES).remove(0);
        let request = MetricsRequest::decode(&*request).unwrap();
        let metrics = &request.resources[0].scopes[0].metrics;
        let units: Vec<_> = metrics.iter().map(|one| (&*one.name, &*one.unit)).collect();
        assert_eq!(units, [("m.calls", "1"), ("m.memory", "By"), ("m.time", "s")]);
        let MetricData::Sum(sum) = metrics[0].data.as_ref().unwrap() else { panic!("{metrics:?}") };
        assert!(sum.is_monotonic && sum.temporality == 2);
        let point = &sum.points[0];
        assert_eq!((point.start, point.at, point.value), (4, 9, Some(PointValue::Int(7))));
        assert_eq!(point.attributes, [AttributeMessage::new("step", "x")]);
        let MetricData::Gauge(gauge) = metrics[1].data.as_ref().unwrap() else { panic!() };
        assert_eq!(gauge.points[0].value, Some(PointValue::Double(1.5)));
        let MetricData::Exponential(times) = metrics[2].data.as_ref().unwrap() else { panic!() };
        // Two seconds are the upper bound of the bucket (2^(255/256), 2].
        let point = &times.points[0];
        let positive = BucketCounts { offset: 255, counts: vec![1] };
        assert_eq!((point.scale, point.positive.clone()), (8, Some(positive)));
    }

    #[test]
    fn many_points_are_several_requests() {
        let sample = |n: usize| {
            MetricSample::new(
                vec![("step".into(), n.to_string().into())],
                MetricValue::Count(n as u64),
            )
        };
        let family = |count| MetricFamily {
            name: "m.calls",
            help: "Help.",
            kind: MetricKind::Counter,
            unit: MetricUnit::One,
            samples: (0..count).map(sample).collect(),
        };
        let all =
            requests(&[family(3), family(2 * MAX_POINTS)], &ResourceMessage::default(), TIMES);
        let points = |request: &Vec<u8>| {
            let request = MetricsRequest::decode(&**request).unwrap();
            let metrics = request.resources[0].scopes[0].metrics.iter();
            let points = metrics.map(|metric| match metric.data.as_ref().unwrap() {
                MetricData::Sum(sum) => sum.points.len(),
                other => panic!("{other:?}"),
            });
            points.collect::<Vec<_>>()
        };
        let sizes: Vec<_> = all.iter().map(points).collect();
        assert_eq!(sizes, [vec![3, MAX_POINTS - 3], vec![MAX_POINTS], vec![3]]);
    }
}
