//! What changed while a run went on: `events` of `summary.json`, `events.jsonl`, and the first of
//! them on the terminal.
//!
//! `json`, `files` and `held` ask it, with a Report.
//! Invariant: all three tell the same notices in the order of their times; what was not kept is
//! counted, never passed over.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::json_parts::hide;
use super::text_lines::wrapped;
use crate::event::Report;
use crate::stats::StateChange;
use crate::units::{show_count, show_us};

/// How many the terminal shows.
const SHOWN: usize = 12;

/// The file.
pub(crate) const FILE: &str = "events.jsonl";

/// All that were kept; shards tell each on its own, so they come in no order.
fn in_order(report: &Report) -> Vec<&StateChange> {
    let mut notices: Vec<&StateChange> = report.snapshot.changes.list.iter().collect();
    notices.sort_by_key(|notice| notice.at_ns);
    notices
}

fn entry(notice: &StateChange) -> Value {
    let StateChange { at_ns, kind: topic, subject, change, cause } = notice;
    json!({
        "at_s": (at_ns / 1_000_000) as f64 / 1e3,
        "topic": topic.name(), "subject": subject, "change": change, "cause": cause,
    })
}

/// All of them, for `summary.json`.
pub(crate) fn document(report: &Report) -> Vec<Value> {
    in_order(report).into_iter().map(entry).collect()
}

/// All of them, one a line.
pub(crate) fn write(mut out: impl Write, report: &Report) -> io::Result<()> {
    for mut line in document(report) {
        hide(&mut line);
        serde_json::to_writer(&mut out, &line)?;
        writeln!(out)?;
    }
    out.flush()
}

/// The first of them; `kept`: the rest stands in a file.
pub(crate) fn render(out: &mut String, report: &Report, kept: bool) {
    let notices = in_order(report);
    let mut label = "events";
    for notice in notices.iter().take(SHOWN) {
        wrapped(out, label, &format!("{}  {notice}", show_us(notice.at_ns / 1_000)));
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
