//! Metrics as text: the exposition format of Prometheus, and OpenMetrics.
//!
//! `scrape` answers with it. Sources: prometheus.io/docs/instrumenting/exposition_formats (0.0.4),
//! OpenMetrics 1.0.0.
//! Invariant: label values and help texts are escaped, so no text of a scenario can end a line.

use std::fmt::Write;

use super::buckets::{BOUNDS_US, cumulative};
use super::family::{Label, MetricFamily, MetricKind, MetricSample, MetricValue, Times};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextFormat {
    /// Prometheus 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl TextFormat {
    /// The media type.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes all families.
pub(super) fn write(families: &[MetricFamily<'_>], format: TextFormat) -> String {
    let mut writer = TextWriter { out: String::new() };
    families.iter().for_each(|family| writer.family(family, format));
    if format == TextFormat::OpenMetrics {
        writer.out.push_str("# EOF\n");
    }
    writer.out
}

struct TextWriter {
    out: String,
}

impl TextWriter {
    fn family(&mut self, family: &MetricFamily<'_>, format: TextFormat) {
        let base = family.prometheus_name();
        let total = format!("{base}_total");
        let sampled = if family.is_counter() { &total } else { &base };
        // OpenMetrics names the family, the older format the samples.
        let is_open = format == TextFormat::OpenMetrics;
        let named = if is_open { &base } else { sampled };
        let kind = match family.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {named} {}", escaped(family.help, is_open)));
        self.line(format_args!("# TYPE {named} {kind}"));
        let unit = family.unit.suffix();
        if is_open && !unit.is_empty() {
            self.line(format_args!("# UNIT {named} {unit}"));
        }
        for sample in &family.samples {
            match &sample.value {
                MetricValue::Count(n) => self.sample(sampled, &sample.labels, n),
                MetricValue::Level(level) => {
                    self.sample(sampled, &sample.labels, &number(*level));
                }
                MetricValue::Times(times) => self.times(&base, sample, times, is_open),
            }
        }
    }

    /// Writes a histogram; only OpenMetrics has exemplars.
    fn times(&mut self, base: &str, of: &MetricSample<'_>, times: &Times<'_>, is_open: bool) {
        let name = format!("{base}_bucket");
        let bounds = BOUNDS_US.iter().map(|bound| bound_text(*bound)).chain(["+Inf".to_owned()]);
        let counts = cumulative(times).into_iter().chain([times.count()]);
        for (bucket, (bound, count)) in bounds.zip(counts).enumerate() {
            self.name(&name, &of.labels, Some(&bound));
            match of.exemplar(bucket).filter(|_| is_open) {
                None => self.line(format_args!(" {count}")),
                Some(one) => {
                    let [(trace, trace_id), (span, span_id)] = one.labels();
                    let (value, s, ms) = (one.seconds, one.at_ms / 1_000, one.at_ms % 1_000);
                    self.line(format_args!(
                        " {count} # {{{trace}=\"{trace_id}\",{span}=\"{span_id}\"}} {value} \
                         {s}.{ms:03}"
                    ));
                }
            }
        }
        self.sample(&format!("{base}_sum"), &of.labels, &times.sum_s());
        self.sample(&format!("{base}_count"), &of.labels, &times.count());
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: &dyn std::fmt::Display) {
        self.name(name, labels, None);
        self.line(format_args!(" {value}"));
    }

    /// The name and the labels of a sample.
    fn name(&mut self, name: &str, labels: &[Label<'_>], bound: Option<&str>) {
        self.out.push_str(name);
        let labels = labels.iter().map(|(name, value)| (&**name, &**value));
        let mut between = '{';
        for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            self.out.push(between);
            between = ',';
            self.out.push_str(name);
            self.out.push_str("=\"");
            self.out.push_str(&escaped(value, true));
            self.out.push('"');
        }
        if between == ',' {
            self.out.push('}');
        }
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a String takes all");
        self.out.push('\n');
    }
}

/// A number; infinite ones by the name that both formats have for them.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// A bound in seconds, with the decimal point that OpenMetrics demands.
pub(super) fn bound_text(us: u64) -> String {
    let text = (us as f64 / 1e6).to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn escaped(text: &str, quotes: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::family::{MetricUnit, TraceExemplar};
    use super::*;
    use crate::stats::Latency;

    fn family<'r>(
        name: &'static str,
        kind: MetricKind,
        unit: MetricUnit,
        value: MetricValue<'r>,
    ) -> MetricFamily<'r> {
        let labels = vec![("step".into(), "a \"b\"\\\nc".into())];
        let samples = vec![MetricSample::new(labels, value)];
        MetricFamily { name, help: "Help.", kind, unit, samples }
    }

    #[test]
    fn numbers_that_are_not_finite_have_their_names() {
        let all = [0.5, 2e10, f64::INFINITY, f64::NEG_INFINITY, f64::NAN].map(number);
        assert_eq!(all, ["0.5", "20000000000", "+Inf", "-Inf", "NaN"]);
    }

    #[test]
    fn names_units_and_escapes_are_those_of_each_format() {
        let mut latency = Latency::default();
        latency.record_response(7_000_000);
        latency.record_at_least(2_000_000_000);
        let times = MetricValue::Times(Times::from(&latency));
        let families = [
            family("m.sent", MetricKind::Counter, MetricUnit::Bytes, MetricValue::Count(3)),
            family("m.time", MetricKind::Histogram, MetricUnit::Seconds, times),
        ];
        let label = "step=\"a \\\"b\\\"\\\\\\nc\"";
        let plain = write(&families, TextFormat::Prometheus);
        let lines: Vec<&str> = plain.lines().collect();
        let first = format!("m_sent_bytes_total{{{label}}} 3");
        assert_eq!(
            lines[..3],
            ["# HELP m_sent_bytes_total Help.", "# TYPE m_sent_bytes_total counter", &first]
        );
        for wanted in [
            format!("m_time_seconds_bucket{{{label},le=\"0.005\"}} 0"),
            format!("m_time_seconds_bucket{{{label},le=\"0.01\"}} 1"),
            format!("m_time_seconds_bucket{{{label},le=\"60.0\"}} 1"),
            format!("m_time_seconds_bucket{{{label},le=\"+Inf\"}} 2"),
            format!("m_time_seconds_sum{{{label}}} 2.007"),
            format!("m_time_seconds_count{{{label}}} 2"),
        ] {
            assert!(lines.contains(&&*wanted), "{wanted}\n{plain}");
        }
        let open = write(&families, TextFormat::OpenMetrics);
        let head = "# HELP m_sent_bytes Help.\n# TYPE m_sent_bytes counter\n# UNIT m_sent_bytes \
                    bytes\nm_sent_bytes_total{";
        assert!(open.starts_with(head) && open.ends_with("\n# EOF\n"), "{open}");
    }

    #[test]
    fn only_openmetrics_has_exemplars() {
        let mut latency = Latency::default();
        [7_000_000, 61_000_000_000].iter().for_each(|ns| latency.record_response(*ns));
        let times = MetricValue::Times(Times::from(&latency));
        let mut families = [family("m.time", MetricKind::Histogram, MetricUnit::Seconds, times)];
        let one = TraceExemplar { bucket: 6, trace_id: 0xab, span_id: 7, seconds: 0.007, at_ms: 0 };
        let last = TraceExemplar { bucket: 18, seconds: 61.5, at_ms: 1_700_000_000_042, ..one };
        families[0].samples[0].exemplars = vec![one, last];
        let open = write(&families, TextFormat::OpenMetrics);
        let of = |bound: &str| {
            let line = open.lines().find(|line| line.contains(&format!("le=\"{bound}\"")));
            line.and_then(|line| line.split_once("} ")).map(|(_, rest)| rest).unwrap()
        };
        let labels = "{trace_id=\"000000000000000000000000000000ab\",span_id=\"0000000000000007\"}";
        assert_eq!(of("0.005"), "0");
        assert_eq!(of("0.01"), format!("1 # {labels} 0.007 0.000"));
        assert_eq!(of("+Inf"), format!("2 # {labels} 61.5 1700000000.042"));
        // The set of labels may have 128 characters.
        assert!(labels.len() < 128);
        assert!(!write(&families, TextFormat::Prometheus).contains(" # "));
    }
}
