//! A trend as text for the terminal, and as JSON.
//!
//! `cli` prints it.
//! Invariant: bars have a common scale that begins at zero.

use serde_json::{Value, json};

use super::json::head;
use super::read::StoredTrend;
use super::text::{date, show_value};
use super::trend::{changes, is_new_commit};
use crate::report::ansi::{BOLD, DIM, paint, plain};
use crate::report::text_table::{Align, TextTable};
use crate::units::counted;

/// The width of the longest bar, columns.
const BAR: f64 = 16.0;

/// Returns a row for each run, oldest first.
pub fn render(trend: &StoredTrend) -> String {
    let rows = &trend.rows;
    let mut out = format!("{}\n", paint(BOLD, &plain(&trend.metric.written)));
    if rows.is_empty() {
        out.push_str("no run has this metric\n");
        return out;
    }
    let most = rows.iter().map(|row| row.value).fold(0.0, f64::max);
    let mut table = TextTable::new(&[
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Left,
        Align::Left,
    ])
    .with_names_in(2);
    table.head(["run", "started", "scenario", "value", "change", "", "commit"]);
    let changes = changes(rows);
    for (at, row) in rows.iter().enumerate() {
        let commit = row.run.short_commit();
        table.row([
            plain(row.run.short_id()),
            date(row.run.started_ms),
            plain(&row.run.scenario),
            show_value(row.value, trend.metric.unit(), row.at_least),
            changes[at].map_or(String::new(), percent),
            bar(row.value, most),
            if is_new_commit(rows, at) {
                format!("{} new", plain(&commit))
            } else {
                plain(&commit)
            },
        ]);
    }
    table.render(&mut out, 0);
    let largest = (0..rows.len()).filter(|at| is_new_commit(rows, *at));
    let largest = largest.filter_map(|at| Some((at, changes[at]?)));
    let largest = largest.max_by(|one, other| one.1.abs().total_cmp(&other.1.abs()));
    if let Some((at, change)) = largest {
        let run = &rows[at].run;
        let line = format!(
            "largest change with a new commit: {} at {} (run {})\n",
            percent(change),
            plain(&run.short_commit()),
            plain(run.short_id())
        );
        out.push_str(&line);
    }
    if trend.without > 0 {
        let runs = counted(trend.without as u64, "run");
        out.push_str(&paint(
            DIM,
            &format!("{runs} without this metric, or without a known value\n"),
        ));
    }
    out
}

/// Returns the trend as JSON.
pub fn document(trend: &StoredTrend) -> Value {
    let changes = changes(&trend.rows);
    let rows = trend.rows.iter().zip(changes).map(|(row, change)| {
        let mut document = head(&row.run);
        document["value"] = json!(row.value);
        document["at_least"] = json!(row.at_least);
        document["change"] = json!(change);
        document
    });
    json!({
        "metric": trend.metric.written, "unit": trend.metric.unit(),
        "runs": rows.collect::<Vec<_>>(), "runs_without": trend.without,
    })
}

/// A change as `+35 %`.
pub(super) fn percent(change: f64) -> String {
    format!("{:+} %", (change * 1e3).round() / 1e1)
}

fn bar(value: f64, most: f64) -> String {
    let eighths = if most > 0.0 { (value / most * BAR * 8.0).round() as usize } else { 0 };
    let mut bar = "█".repeat(eighths / 8);
    bar.push_str(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"][eighths % 8]);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_changes_are_to_scale() {
        assert_eq!(bar(10.0, 10.0), "█".repeat(16));
        assert_eq!(bar(5.0, 10.0), "█".repeat(8));
        assert_eq!(bar(0.0, 0.0), "");
        assert_eq!([percent(0.35), percent(-0.5), percent(0.0)], ["+35 %", "-50 %", "+0 %"]);
    }
}
