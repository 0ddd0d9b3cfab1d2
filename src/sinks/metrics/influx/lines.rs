//! Metrics as lines of InfluxDB's line protocol.
//!
//! The sink calls it for each push. Source: docs.influxdata.com, "Line protocol reference".
//! Invariant: no text of a scenario can end a name, a tag or a line; a value that is not known or
//! not finite has no field.

use std::fmt::Write;

use crate::sinks::metrics::family::{Label, MetricFamily, MetricValue};
use crate::sinks::metrics::interval::IntervalStart;
use crate::sinks::push::delivery::Batch;

/// Maximum lines in a request: what InfluxDB's documentation advises.
const MAX_LINES: u64 = 5_000;

/// All families as batches of lines. Quantiles are of the interval that began with `start`.
pub(super) fn batches<'r>(
    families: &[MetricFamily<'r>],
    start: &IntervalStart<'r>,
    run_id: &str,
    at_ns: u128,
) -> Vec<Batch> {
    let (mut batches, mut text, mut lines) = (Vec::new(), String::new(), 0);
    for family in families {
        let mut name = family.prometheus_name();
        if family.is_counter() {
            name.push_str("_total");
        }
        for sample in &family.samples {
            let fields = fields(family.name, &sample.labels, &sample.value, start);
            if fields.is_empty() {
                continue;
            }
            escape(&name, ", ", &mut text);
            tags(&sample.labels, run_id, &mut text);
            writeln!(text, " {fields} {at_ns}").expect("a String takes all");
            lines += 1;
            if lines == MAX_LINES {
                batches.push(Batch::new(std::mem::take(&mut text).into_bytes(), lines));
                lines = 0;
            }
        }
    }
    if lines > 0 {
        batches.push(Batch::new(text.into_bytes(), lines));
    }
    batches
}

/// A batch as two; `None` if it has a single line.
pub(super) fn halves(batch: &Batch) -> Option<Vec<Batch>> {
    let first = batch.items / 2;
    let mut ends = batch.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let (end, _) = ends.nth(usize::try_from(first.checked_sub(1)?).ok()?)?;
    let (one, other) = batch.bytes.split_at(end + 1);
    Some(vec![Batch::new(one.to_vec(), first), Batch::new(other.to_vec(), batch.items - first)])
}

/// Writes tags sorted by name, as InfluxDB advises. A tag without a value is no tag.
fn tags(labels: &[Label<'_>], run_id: &str, out: &mut String) {
    let labels = labels.iter().map(|(name, value)| (&**name, &**value));
    let mut all: Vec<_> = labels.chain([("run_id", run_id)]).collect();
    all.retain(|(_, value)| !value.is_empty());
    all.sort_by_key(|(name, _)| *name);
    all.dedup_by_key(|(name, _)| *name);
    for (name, value) in all {
        out.push(',');
        escape(name, ",= ", out);
        out.push('=');
        escape(value, ",= ", out);
    }
}

/// Writes a name or a value with a backslash before each of `special`. What the protocol cannot
/// express is replaced: control characters by a space, a backslash at the end by a slash.
fn escape(text: &str, special: &str, out: &mut String) {
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let is_last = characters.peek().is_none();
        let c = match c {
            c if c.is_control() => ' ',
            '\\' if is_last => '/',
            c => c,
        };
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
}

/// The fields of a sample; empty if nothing is known.
fn fields<'r>(
    name: &'static str,
    labels: &[Label<'r>],
    value: &MetricValue<'r>,
    start: &IntervalStart<'r>,
) -> String {
    match value {
        MetricValue::Count(n) => format!("value={}", integer(*n)),
        MetricValue::Level(level) if level.is_finite() => format!("value={level}"),
        MetricValue::Level(_) => String::new(),
        MetricValue::Times(times) => {
            let mut fields = format!("count={},sum={}", integer(times.count()), times.sum_s());
            for (figure, us) in start.times(name, labels, times).figures_us() {
                write!(fields, ",{figure}={}", us as f64 / 1e6).expect("a String takes all");
            }
            fields
        }
    }
}

/// An integer, which has 63 bits.
fn integer(n: u64) -> String {
    format!("{}i", n.min(i64::MAX as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::metrics::family::{MetricKind, MetricSample, MetricUnit, Times};
    use crate::stats::Latency;

    fn line(labels: &[(&'static str, &'static str)], value: MetricValue<'_>) -> String {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let (kind, unit) = match value {
            MetricValue::Count(_) => (MetricKind::Counter, MetricUnit::Bytes),
            MetricValue::Level(_) => (MetricKind::Gauge, MetricUnit::One),
            MetricValue::Times(_) => (MetricKind::Histogram, MetricUnit::Seconds),
        };
        let samples = vec![MetricSample::new(labels, value)];
        let families = [MetricFamily { name: "m.x", help: "", kind, unit, samples }];
        let batches = batches(&families, &IntervalStart::default(), "r 1", 42);
        let text = batches.iter().map(|batch| String::from_utf8_lossy(&batch.bytes).into_owned());
        text.collect()
    }

    #[test]
    fn texts_are_escaped_by_the_rules_of_the_protocol() {
        assert_eq!(
            line(&[("z", "a b,c=d"), ("a", "\"q\" \\x")], MetricValue::Count(u64::MAX)),
            "m_x_bytes_total,a=\"q\"\\ \\x,run_id=r\\ 1,z=a\\ b\\,c\\=d \
             value=9223372036854775807i 42\n"
        );
        assert_eq!(
            line(&[("a", "x\ny\\"), ("b", "")], MetricValue::Level(-0.5)),
            "m_x,a=x\\ y/,run_id=r\\ 1 value=-0.5 42\n"
        );
        assert_eq!(
            line(&[("run_id", "own")], MetricValue::Level(1e21)),
            "m_x,run_id=own value=1000000000000000000000 42\n"
        );
        for level in [f64::NAN, f64::INFINITY] {
            assert_eq!(line(&[], MetricValue::Level(level)), "");
        }
    }

    #[test]
    fn a_distribution_is_one_point_with_fields() {
        let mut latency = Latency::default();
        (0..3).for_each(|_| latency.record_response(7_000_000));
        latency.record_at_least(2_000_000_000);
        assert_eq!(
            line(&[], MetricValue::Times(Times::from(&latency))),
            "m_x_seconds,run_id=r\\ 1 count=4i,sum=2.021,min=0.007,p50=0.007 42\n"
        );
    }

    #[test]
    fn a_batch_is_halved_between_lines() {
        let batch = Batch::new(b"a 1\nb 2\nc 3\n".to_vec(), 3);
        let parts = halves(&batch).unwrap();
        assert_eq!(
            parts,
            [Batch::new(b"a 1\n".to_vec(), 1), Batch::new(b"b 2\nc 3\n".to_vec(), 2)]
        );
        assert!(halves(&parts[0]).is_none());
    }
}
