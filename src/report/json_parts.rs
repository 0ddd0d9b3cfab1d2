//! Parts that several JSON documents share: latencies, and redacted texts.
//!
//! `json`, `client` and `events` use them.
//! Invariant: a percentile that is not known is null, never a zero.

use serde_json::{Map, Value, json};

use crate::printable::printable_lines;
use crate::redact;
use crate::stats::{Latency, Quantile};

/// The percentiles of every report, by name.
pub(crate) const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999)];

/// Removes secrets and unprintable characters from every text: programs print what they read.
pub(crate) fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = printable_lines(&redact::redact_secrets(text));
        }
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(entries) => {
            let old = std::mem::take(entries);
            entries.extend(old.into_iter().map(|(key, mut inner)| {
                hide(&mut inner);
                (printable_lines(&redact::redact_secrets(&key)), inner)
            }));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A latency. `at_least` names percentiles that are bounds, `thin` those that rest on few calls.
pub(crate) fn latency(latency: &Latency) -> Value {
    let mut out = Map::new();
    out.insert("count".into(), json!(latency.count()));
    out.insert("censored".into(), json!(latency.censored()));
    out.insert("min".into(), json!(latency.shortest_us()));
    out.insert("mean".into(), json!(latency.mean_us().map(tenth)));
    let (mut at_least, mut thin) = (Vec::new(), Vec::new());
    for (name, p) in PERCENTILES {
        let quantile = latency.quantile(p);
        out.insert(name.into(), json!(quantile.and_then(Quantile::known_us)));
        if quantile.is_some_and(|quantile| quantile.at_least) {
            at_least.push(name);
        }
        if quantile.is_some_and(|quantile| quantile.thin) {
            thin.push(name);
        }
    }
    let longest = latency.longest();
    out.insert("max".into(), json!(longest.and_then(Quantile::known_us)));
    if longest.is_some_and(|longest| longest.at_least) {
        at_least.push("max");
    }
    out.insert("at_least".into(), json!(at_least));
    out.insert("thin".into(), json!(thin));
    Value::Object(out)
}

/// A number rounded to a tenth.
pub(crate) fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
