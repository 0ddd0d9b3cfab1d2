//! The results of a run for the terminal: calls, rate, errors and response times, of the run and
//! of each workload.
//!
//! `summary` renders it.
//! Invariant: calls, rates and times are of the same measured time.

use super::ansi::{BAD, paint, plain};
use super::quantile_text::short_quantile;
use super::rows::{self, TotalsRow};
use super::text_lines::heading;
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::stats::Calls;
use crate::units::{show_count, show_duration, show_rate, show_us};

/// Calls, rate, errors and response times of the run, and of each workload if it has several.
pub(crate) fn render(out: &mut String, report: &Report) {
    let plan = &report.info.plan;
    let warmup = if plan.warmup.is_zero() {
        String::new()
    } else {
        format!(", after a warm-up of {}", show_duration(plan.warmup))
    };
    let measured = show_us(report.snapshot.measured_ns / 1_000);
    heading(out, &format!("Results  ({measured} measured{warmup})"));
    let mut aligns = [Align::Right; 7];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    let name = |row: &TotalsRow<'_>| row.workload.map_or("all".to_owned(), plain);
    let totals = rows::totals(report);
    table.head(["", "calls", "rate", "errors"]);
    for row in &totals {
        let rate = row.calls_per_s.map_or(String::new(), |rate| format!("{}/s", show_rate(rate)));
        table.row([name(row), show_count(row.calls.made), rate, error_share(&row.calls)]);
    }
    table.head(["response", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    for row in &totals {
        let [p50, p90, p95, p99, p99_9, max] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0]
            .map(|p| rows::percentile(&row.response, p).map_or(String::new(), short_quantile));
        table.row([name(row), p50, p90, p95, p99, p99_9, max]);
    }
    table.render(out, 2);
}

/// The share of calls that failed; marked if there are any.
pub(crate) fn error_share(calls: &Calls) -> String {
    let share = format!("{:.2} %", calls.error_share().unwrap_or(0.0) * 100.0);
    if calls.ok + calls.muted < calls.made { paint(BAD, &share) } else { share }
}
