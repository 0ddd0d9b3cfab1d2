//! Values of CSV files, and `steps.csv`: a row for each series of the run.
//!
//! `sinks` writes the files.
//! Invariant: no cell holds a secret or a text that a spreadsheet takes for a formula.

use std::io::{self, Write};

use super::{json_parts, rows};
use crate::event::Report;
use crate::printable::printable;
use crate::redact;
use crate::stats::{Calls, Quantile};

/// A percentile in µs; empty if not even a bound is known. If it is a bound, the name of its column
/// is added to `at_least`.
pub(crate) fn cell(name: &str, quantile: Option<Quantile>, at_least: &mut Vec<String>) -> String {
    if quantile.is_some_and(|quantile| quantile.at_least) {
        at_least.push(name.to_owned());
    }
    quantile.and_then(Quantile::known_us).map_or(String::new(), |us| us.to_string())
}

const STEPS: [&str; 27] = [
    "id",
    "workload",
    "archetype",
    "step",
    "calls",
    "ok",
    "failed",
    "timeout",
    "generator_errors",
    "unfinished",
    "rate_per_s",
    "response_censored",
    "response_p50_us",
    "response_p90_us",
    "response_p95_us",
    "response_p99_us",
    "response_p99_9_us",
    "response_max_us",
    "service_p50_us",
    "service_p90_us",
    "service_p95_us",
    "service_p99_us",
    "service_p99_9_us",
    "service_max_us",
    "suppressed",
    "muted",
    "at_least",
];

/// The columns `calls` to `unfinished` of a row.
pub(crate) fn call_counts(calls: &Calls) -> [String; 6] {
    let Calls { made, ok, failed, timeout, generator_errors, unfinished, .. } = *calls;
    [made, ok, failed, timeout, generator_errors, unfinished].map(|count| count.to_string())
}

/// Writes `steps.csv`.
///
/// # Errors
/// If `out` fails.
pub(crate) fn write_steps(out: impl Write, report: &Report) -> io::Result<()> {
    let mut csv = ::csv::Writer::from_writer(out);
    csv.write_record(STEPS)?;
    for step in rows::steps(report) {
        let (calls, window) = (step.calls(), step.window);
        let mut row = vec![(step.id.index() + 1).to_string()];
        row.extend([step.workload, step.archetype, step.name].map(harmless));
        row.extend(call_counts(calls));
        // Empty if no time was measured; six digits are enough for one call in an hour.
        row.push(step.calls_per_s.map_or(String::new(), |rate| format!("{rate:.6}")));
        row.push(window.response.censored().to_string());
        let mut at_least = Vec::new();
        for (kind, latency) in [("response", &window.response), ("service", &window.service)] {
            for (name, p) in json_parts::PERCENTILES {
                let name = format!("{kind}_{name}");
                row.push(cell(&name, latency.quantile(p), &mut at_least));
            }
            row.push(cell(&format!("{kind}_max"), latency.longest(), &mut at_least));
        }
        row.extend([calls.suppressed, calls.muted].map(|n| n.to_string()));
        row.push(at_least.join(" "));
        csv.write_record(&row)?;
    }
    csv.flush()
}

/// A text without secrets that no spreadsheet takes for a formula: names come from files that
/// others wrote.
pub(crate) fn harmless(text: &str) -> String {
    let text = printable(&redact::redact_secrets(text));
    let risky = text.starts_with(['=', '+', '-', '@']);
    if risky { format!("'{text}") } else { text }
}
