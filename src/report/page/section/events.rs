//! State changes: the marks of all charts over time, as text.
//!
//! Invariant: each mark of a chart has a row, as far as there is room; others are counted.

use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use super::super::axis::{self, MARKS};
use super::super::view::PageView;
use super::super::words::{HtmlText, embedded, short};
use super::cells::sortable;
use crate::stats::StateChange;
use crate::units::show_count;

/// Maximum rows: in a long run breakers may open thousands of times.
const ROWS: usize = 500;

pub fn render(view: &PageView<'_>) -> Markup {
    let events = axis::events(view.report);
    let lost = view.snapshot.changes.lost;
    if events.is_empty() && lost == 0 {
        return html! { p.empty { "No events." } };
    }
    let columns =
        [("at", true), ("topic", false), ("subject", false), ("change", false), ("cause", false)];
    let rows = html! { @for one in events.iter().take(ROWS) { (row(one)) } };
    let more = events.len().saturating_sub(ROWS) as u64 + lost;
    html! {
        ul.legend { @for (class, name) in MARKS { li { i.mark.(class) {} (name) } } }
        (sortable("events", &columns, &rows))
        @if more > 0 {
            p.note { "And " (show_count(more)) " more; events.jsonl has those that were kept." }
        }
        (marks(&events))
    }
}

fn row(notice: &StateChange) -> Markup {
    let StateChange { at, subject, change, cause } = notice;
    let topic = notice.kind();
    let (kind, _) = MARKS[axis::mark(topic)];
    html! {
        tr {
            td.n data-v=(at.ns()) { (seconds(at.ns())) }
            td { i.mark.(kind) {} (topic.name()) }
            td { (HtmlText(&subject.to_string())) }
            td { (HtmlText(&change.to_string())) }
            td { (HtmlText(&cause.to_string())) }
        }
    }
}

/// Formats a time to the tenth of a second, as the axes do.
fn seconds(ns: u64) -> String {
    let second = u32::try_from(ns / 1_000_000_000).unwrap_or(u32::MAX);
    format!("{}.{}", super::super::chart::scale::clock(second), ns / 100_000_000 % 10)
}

/// Data for the script, which shows the events near the pointer.
fn marks(events: &[&StateChange]) -> Markup {
    let one = |notice: &&StateChange| {
        let text = format!("{}: {}", notice.subject, notice.change);
        json!([(notice.at.ns() / 1_000_000) as f64 / 1e3, short(&text)])
    };
    let all: Vec<Value> = events.iter().take(ROWS).map(one).collect();
    html! { script.marks type="application/json" { (PreEscaped(embedded(&Value::from(all)))) } }
}
