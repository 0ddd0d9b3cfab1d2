//! The backends of services with several addresses: on the terminal and in `summary.json`.
//!
//! `summary` and `json` render it.
//! Invariant: a row per backend, also for those that got no calls.

use serde_json::{Map, Value, json};

use super::ansi::{DIM, paint, plain};
use super::json_parts::latency;
use super::quantile_text::short_quantile;
use super::results_text::error_share;
use super::rows::{self, percentile};
use super::text_lines::heading;
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::protocol::status;
use crate::stats::delta::StepWindow;
use crate::units::show_count;

/// The percentiles of a row; 1 is the longest time.
const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 1.0];

/// A table with a row per backend, below its service.
pub(crate) fn render(out: &mut String, report: &Report) {
    let all = rows::backends(report);
    if all.is_empty() {
        return;
    }
    heading(out, "Backends");
    let mut aligns = [Align::Right; 8];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["", "calls", "failed attempts", "errors", "p50", "p95", "p99", "max"]);
    let mut service = None;
    for row in &all {
        if service != Some(row.service) {
            service = Some(row.service);
            table.title(paint(DIM, &plain(row.service)));
        }
        let calls = &row.whole.calls;
        let name = format!("  {}", plain(row.name));
        let made = show_count(calls.calls.made);
        let failed = match row.whole.failed {
            0 => String::new(),
            failed => format!("{} of {}", show_count(failed), show_count(row.whole.attempts)),
        };
        if calls.calls.made == 0 {
            table.row([name, made, failed]);
            continue;
        }
        let [p50, p95, p99, max] =
            QUANTILES.map(|p| percentile(&calls.response, p).map_or(String::new(), short_quantile));
        table.row([name, made, failed, error_share(&calls.calls), p50, p95, p99, max]);
    }
    table.render(out, 2);
}

/// The backends, each with its figures by step.
pub(crate) fn document(report: &Report, calls: impl Fn(&StepWindow) -> Value) -> Value {
    let statuses = |window: &StepWindow| -> Map<String, Value> {
        window
            .statuses
            .iter()
            .map(|(status, count)| (status::name(*status).into_owned(), json!(count)))
            .collect()
    };
    let entry = |row: rows::BackendRow<'_>| {
        let step = |(id, window): &(crate::ids::StepId, &crate::stats::delta::BackendWindow)| {
            json!({
                "id": id.index() + 1,
                "step": report.info.plan.steps[*id].name,
                "attempts": window.attempts,
                "failed_attempts": window.failed,
                "calls": calls(&window.calls),
                "response_us": latency(&window.calls.response),
                "service_us": latency(&window.calls.service),
            })
        };
        json!({
            "service": row.service,
            "backend": row.name,
            "attempts": row.whole.attempts,
            "failed_attempts": row.whole.failed,
            "calls": calls(&row.whole.calls),
            "status": statuses(&row.whole.calls),
            "response_us": latency(&row.whole.calls.response),
            "service_us": latency(&row.whole.calls.service),
            "steps": row.steps.iter().map(step).collect::<Vec<_>>(),
        })
    };
    rows::backends(report).into_iter().map(entry).collect()
}
