//! The log: state changes, notes of the run and lines of `log` steps, by time.
//!
//! Invariant: entries that were dropped are counted in the log itself.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::nothing;
use crate::sinks::tui::draw::span;
use crate::sinks::tui::text::{clean, wrap};
use crate::sinks::tui::theme::Theme;
use crate::stats::{Change, ChangeKind, StateChange};
use crate::units::show_count;

/// An entry of the log.
pub(super) struct LogEntry {
    at_ns: u64,
    topic: &'static str,
    text: String,
}

/// Columns before the text: time and kind.
const INSET: usize = 21;

/// Draws the view; its end is visible first.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, _: u16) -> Buffer {
    let theme = context.theme;
    let mut lines: Vec<Line<'static>> = Vec::new();
    for (count, what) in [
        (context.report.snapshot.changes.lost, "events that were not kept"),
        (context.state.gone, "earlier lines"),
    ] {
        if count > 0 {
            lines.push(nothing(&format!("… and {} {what}", show_count(count)), theme));
        }
    }
    let all = entries(context, context.filter());
    if all.is_empty() {
        let what =
            if context.filter().is_empty() { "no event yet" } else { "no line matches the filter" };
        lines.push(nothing(what, theme));
    }
    for entry in &all {
        let room = usize::from(columns).saturating_sub(INSET).max(20);
        for (at, part) in wrap(&entry.text, room).into_iter().enumerate() {
            let mut line = if at == 0 { head(entry, theme) } else { inset() };
            line.spans.push(Span::raw(part));
            lines.push(line);
        }
    }
    // The newest entries are the most interesting ones.
    let most = usize::from(super::context::MOST);
    lines.drain(..lines.len().saturating_sub(most));
    super::context::text(&lines, columns)
}

/// Returns an entry as one line, which is cut at the right edge.
pub(super) fn one_line(entry: &LogEntry, theme: Theme) -> Line<'static> {
    let mut line = head(entry, theme);
    line.spans.push(Span::raw(entry.text.clone()));
    line
}

fn head(entry: &LogEntry, theme: Theme) -> Line<'static> {
    let seconds = entry.at_ns / 1_000_000_000;
    let style = match entry.topic {
        "control" | "mark" => theme.accent(),
        "log" | "note" => theme.dim(),
        _ => theme.warn(),
    };
    let time = format!(" {:>3}:{:02}  ", seconds / 60, seconds % 60);
    Line::from(vec![span(time, theme.dim()), span(format!("{:<12}", entry.topic), style)])
}

fn inset() -> Line<'static> {
    Line::from(Span::styled(" ".repeat(INSET), Style::new()))
}

/// Returns all entries that pass the filter, oldest first.
fn entries(context: &ViewContext<'_>, filter: &str) -> Vec<LogEntry> {
    let notices = &context.report.snapshot.changes.list;
    let changed = notices.iter().map(|notice| LogEntry {
        at_ns: notice.at.ns(),
        topic: topic(notice),
        text: clean(&said(notice)),
    });
    // A control command is a note at once, and comes again as a state change with its cause.
    let control: Vec<String> =
        (notices.iter().filter(|notice| notice.kind() == ChangeKind::Control))
            .map(|notice| format!("{}: {}", notice.subject, notice.change))
            .collect();
    let again = |text: &str| control.iter().any(|known| text.starts_with(known));
    let told = context.state.told.iter().filter(|line| line.said || !again(&line.text));
    let told = told.map(|line| LogEntry {
        at_ns: line.at_ns,
        topic: if line.said { "log" } else { "note" },
        text: clean(&line.text),
    });
    let wanted = filter.to_lowercase();
    let mut all: Vec<LogEntry> = changed.chain(told).collect();
    all.retain(|one| format!("{} {}", one.topic, one.text).to_lowercase().contains(&wanted));
    all.sort_by_key(|one| one.at_ns);
    all
}

/// Returns state changes and notes of the run, without the output of `log` steps.
pub(super) fn changes(context: &ViewContext<'_>) -> Vec<LogEntry> {
    let mut all = entries(context, "");
    all.retain(|one| one.topic != "log");
    all
}

fn topic(notice: &StateChange) -> &'static str {
    match notice.change {
        Change::Mark { .. } => "mark",
        _ => notice.kind().name(),
    }
}

fn said(notice: &StateChange) -> String {
    match &notice.change {
        Change::Mark { text } => text.clone(),
        _ => notice.to_string(),
    }
}
