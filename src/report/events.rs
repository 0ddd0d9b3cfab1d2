//! The state changes of a run: `events` of `summary.json`, `events.jsonl`, and the first of them on
//! the terminal.
//!
//! `client`, `sinks::files` and `resilience_summary` ask for them.
//! Invariant: all three show the same changes by time; changes that were not kept are counted.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::event_json;
use super::json_parts::hide;
use super::text_lines::wrapped;
use crate::event::Report;
use crate::stats::StateChange;
use crate::units::{show_count, show_us};

/// Maximum changes that the terminal shows.
const SHOWN: usize = 12;

/// The name of the file.
pub(crate) const FILE: &str = "events.jsonl";

/// All changes that were kept, by time: shards report them independently.
fn in_order(report: &Report) -> Vec<&StateChange> {
    let mut notices: Vec<&StateChange> = report.snapshot.changes.list.iter().collect();
    notices.sort_by_key(|notice| notice.at);
    notices
}

/// A change as JSON.
pub(crate) fn entry(change: &StateChange) -> Value {
    let mut entry = json!({
        "at_s": (change.at.ns() / 1_000_000) as f64 / 1e3,
        "topic": change.kind().name(),
        "subject": change.subject.to_string(),
        "change": change.change.to_string(),
        "cause": change.cause.to_string(),
    });
    for (key, value) in event_json::parts(change) {
        entry[key] = value;
    }
    entry
}

/// All changes, for `summary.json`.
pub(crate) fn document(report: &Report) -> Vec<Value> {
    in_order(report).into_iter().map(entry).collect()
}

/// Writes all changes, one JSON object per line.
pub(crate) fn write(mut out: impl Write, report: &Report) -> io::Result<()> {
    for mut line in document(report) {
        hide(&mut line);
        serde_json::to_writer(&mut out, &line)?;
        writeln!(out)?;
    }
    out.flush()
}

/// Writes the first changes; `kept` is `true` if a file has the rest.
pub(crate) fn render(out: &mut String, report: &Report, kept: bool) {
    let notices = in_order(report);
    let mut label = "events";
    for notice in notices.iter().take(SHOWN) {
        wrapped(out, label, &format!("{}  {notice}", show_us(notice.at.ns() / 1_000)));
        label = "";
    }
    let more = notices.len().saturating_sub(SHOWN);
    if more > 0 {
        let place = if kept { format!(" in {FILE}") } else { String::new() };
        wrapped(out, label, &format!("and {} more{place}", show_count(more as u64)));
    }
    let lost = report.snapshot.changes.lost;
    if lost > 0 {
        wrapped(out, label, &format!("and {} more that there was no room for", show_count(lost)));
    }
}
