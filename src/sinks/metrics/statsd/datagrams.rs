//! Metrics as datagrams of StatsD: counts of an interval, gauges, and quantiles as gauges.
//!
//! The sink calls it once a second. Sources: github.com/statsd/statsd, docs/metric_types.md;
//! docs.datadoghq.com, "DogStatsD datagram format".
//! Invariant: no text of a scenario can end a name or a tag; a datagram fits the packets of an
//! Ethernet; the counts of all intervals add up to the report.

use crate::sinks::metrics::family::{Label, MetricFamily, MetricValue};
use crate::sinks::metrics::interval::IntervalStart;

/// Maximum bytes of a datagram: what an Ethernet carries in one packet, as StatsD advises.
const MAX_BYTES: usize = 1_432;

/// Maximum bytes of a label's value: what Datadog takes.
const MAX_VALUE: usize = 200;

/// How labels are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatsdTags {
    /// As tags of DogStatsD: `name:1|c|#step:buy`.
    #[default]
    Dogstatsd,
    /// As parts of the name, for receivers without tags: `name.buy:1|c`.
    None,
}

/// All datagrams of an interval.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Datagrams {
    pub(super) sent: Vec<Vec<u8>>,
    /// Metrics that fit into no datagram.
    pub(super) too_long: u64,
}

/// Encodes the interval that began with `start`. Counts of zero are left out.
pub(super) fn encode<'r>(
    families: &[MetricFamily<'r>],
    start: &IntervalStart<'r>,
    tags: StatsdTags,
) -> Datagrams {
    let mut writer = DatagramWriter { tags, all: Datagrams::default(), open: Vec::new() };
    for family in families {
        let mut base = family.name.to_owned();
        let unit = family.unit.suffix();
        if !unit.is_empty() {
            base.push('.');
            base.push_str(unit);
        }
        for sample in &family.samples {
            let labels = &sample.labels;
            match &sample.value {
                MetricValue::Count(n) => {
                    writer.count(&base, labels, start.count(family.name, labels, *n));
                }
                MetricValue::Level(level) => writer.gauge(&base, labels, *level),
                MetricValue::Times(times) => {
                    let times = start.times(family.name, labels, times);
                    writer.count(&format!("{base}.count"), labels, times.count());
                    if times.sum_us() > 0 {
                        writer.add(&format!("{base}.sum"), labels, &seconds(times.sum_us()), "c");
                    }
                    for (figure, us) in times.figures_us() {
                        writer.add(&format!("{base}.{figure}"), labels, &seconds(us), "g");
                    }
                }
            }
        }
    }
    writer.finish()
}

/// Microseconds as seconds, exactly.
fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

struct DatagramWriter {
    tags: StatsdTags,
    all: Datagrams,
    /// The datagram that is being filled.
    open: Vec<u8>,
}

impl DatagramWriter {
    fn count(&mut self, name: &str, labels: &[Label<'_>], n: u64) {
        if n > 0 {
            self.add(name, labels, &n.to_string(), "c");
        }
    }

    /// A gauge; StatsD takes a number with a sign for a change, so a negative one is a change from
    /// zero. A level that is not finite is left out.
    fn gauge(&mut self, name: &str, labels: &[Label<'_>], level: f64) {
        if !level.is_finite() {
            return;
        }
        // Also of a negative zero.
        let level = if level == 0.0 { 0.0 } else { level };
        if level < 0.0 && self.tags == StatsdTags::None {
            let zero = self.line(name, labels, "0", "g");
            let change = self.line(name, labels, &level.to_string(), "g");
            self.add_line(&format!("{zero}\n{change}"));
        } else {
            self.add(name, labels, &level.to_string(), "g");
        }
    }

    fn add(&mut self, name: &str, labels: &[Label<'_>], value: &str, kind: &str) {
        let line = self.line(name, labels, value, kind);
        self.add_line(&line);
    }

    fn line(&self, name: &str, labels: &[Label<'_>], value: &str, kind: &str) -> String {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        match self.tags {
            StatsdTags::Dogstatsd => {
                let tag = |(name, value): &Label<'_>| format!("{}:{}", plain(name), plain(value));
                let tags: Vec<String> = labels.map(tag).collect();
                let mark = if tags.is_empty() { "" } else { "|#" };
                format!("{name}:{value}|{kind}{mark}{}", tags.join(","))
            }
            StatsdTags::None => {
                let parts = labels.map(|(_, value)| plain(value).replace(['.', ' ', '/'], "_"));
                let parts: Vec<String> = [name.to_owned()].into_iter().chain(parts).collect();
                format!("{}:{value}|{kind}", parts.join("."))
            }
        }
    }

    fn add_line(&mut self, line: &str) {
        if line.len() > MAX_BYTES {
            self.all.too_long += 1;
            return;
        }
        if !self.open.is_empty() && self.open.len() + 1 + line.len() > MAX_BYTES {
            self.all.sent.push(std::mem::take(&mut self.open));
        }
        if !self.open.is_empty() {
            self.open.push(b'\n');
        }
        self.open.extend_from_slice(line.as_bytes());
    }

    fn finish(mut self) -> Datagrams {
        if !self.open.is_empty() {
            self.all.sent.push(self.open);
        }
        self.all
    }
}

/// A text without characters that StatsD reserves, and not too long.
fn plain(text: &str) -> String {
    let is_reserved = |c: char| c.is_control() || ":|@#,".contains(c);
    let mut plain: String = text.chars().map(|c| if is_reserved(c) { '_' } else { c }).collect();
    plain.truncate(plain.floor_char_boundary(MAX_VALUE));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::metrics::family::{MetricKind, MetricSample, MetricUnit, Times};
    use crate::stats::Latency;

    fn encoded(
        value: MetricValue<'_>,
        unit: MetricUnit,
        tags: StatsdTags,
        label: &str,
    ) -> Datagrams {
        let labels = vec![("step".into(), label.to_owned().into()), ("empty".into(), "".into())];
        let samples = vec![MetricSample::new(labels, value)];
        let families =
            [MetricFamily { name: "m.x", help: "", kind: MetricKind::Gauge, unit, samples }];
        encode(&families, &IntervalStart::default(), tags)
    }

    fn text(value: MetricValue<'_>, unit: MetricUnit, tags: StatsdTags) -> String {
        let all = encoded(value, unit, tags, "a:b|c@d#e,f\ng. /h");
        let texts = all.sent.into_iter().map(|datagram| String::from_utf8(datagram).unwrap());
        texts.collect::<Vec<_>>().join("\n--\n")
    }

    #[test]
    fn names_and_tags_have_no_reserved_characters() {
        let (dogstatsd, none) = (StatsdTags::Dogstatsd, StatsdTags::None);
        let count = MetricValue::Count(3);
        let tag = "step:a_b_c_d_e_f_g. /h";
        assert_eq!(text(count, MetricUnit::Bytes, dogstatsd), format!("m.x.bytes:3|c|#{tag}"));
        assert_eq!(text(count, MetricUnit::One, none), "m.x.a_b_c_d_e_f_g___h:3|c");
        assert_eq!(text(MetricValue::Count(0), MetricUnit::One, none), "");
        let level = MetricValue::Level(-1.5);
        assert_eq!(text(level, MetricUnit::One, dogstatsd), format!("m.x:-1.5|g|#{tag}"));
        let name = "m.x.a_b_c_d_e_f_g___h";
        assert_eq!(text(level, MetricUnit::One, none), format!("{name}:0|g\n{name}:-1.5|g"));
        assert_eq!(text(MetricValue::Level(-0.0), MetricUnit::One, none), format!("{name}:0|g"));
        assert_eq!(text(MetricValue::Level(f64::NAN), MetricUnit::One, none), "");
    }

    #[test]
    fn times_are_counts_and_gauges() {
        let mut latency = Latency::default();
        (0..3).for_each(|_| latency.record_response(7_000_000));
        latency.record_at_least(2_000_000_000);
        let times = MetricValue::Times(Times::from(&latency));
        let name = "m.x.seconds";
        let labels = "a_b_c_d_e_f_g___h";
        assert_eq!(
            text(times, MetricUnit::Seconds, StatsdTags::None),
            format!(
                "{name}.count.{labels}:4|c\n{name}.sum.{labels}:2.021000|c\n\
                 {name}.min.{labels}:0.007000|g\n{name}.p50.{labels}:0.007000|g"
            )
        );
    }

    #[test]
    fn datagrams_are_filled_and_never_too_long() {
        let labels = |n: usize| vec![("step".into(), format!("{n:0>90}").into())];
        let samples = |n: usize| MetricSample::new(labels(n), MetricValue::Count(1));
        let (kind, unit) = (MetricKind::Counter, MetricUnit::One);
        let samples = (0..100).map(samples).collect();
        let families = [MetricFamily { name: "m", help: "", kind, unit, samples }];
        let all = encode(&families, &IntervalStart::default(), StatsdTags::Dogstatsd);
        assert!(all.sent.iter().all(|datagram| datagram.len() <= MAX_BYTES));
        assert!(all.sent.len() < 9, "{}", all.sent.len());
        let lines: usize =
            all.sent.iter().map(|datagram| datagram.split(|b| *b == b'\n').count()).sum();
        assert_eq!((lines, all.too_long), (100, 0));
        // A value is cut between characters.
        let long = "ä".repeat(1_000);
        let all = encoded(MetricValue::Count(1), unit, StatsdTags::Dogstatsd, &long);
        assert_eq!(all.sent[0].len(), "m.x:1|c|#step:".len() + MAX_VALUE);
        let many = (0..20).map(|n| (format!("l{n}").into(), "x".repeat(300).into())).collect();
        let samples = vec![MetricSample::new(many, MetricValue::Count(1))];
        let families = [MetricFamily { name: "m", help: "", kind, unit, samples }];
        let all = encode(&families, &IntervalStart::default(), StatsdTags::Dogstatsd);
        assert_eq!(all, Datagrams { sent: Vec::new(), too_long: 1 });
    }
}
