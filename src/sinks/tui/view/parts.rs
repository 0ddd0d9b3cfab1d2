//! Parts that several views share: titles, thresholds, failures, times, tables.
//!
//! Invariant: every number has its unit; bounds are marked `≥`, percentiles of few calls `~`.

use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::event::Report;
use crate::report::quantile_text::show_quantile;
use crate::report::rows::{FailureRow, ThresholdRow, ThresholdState, percentile};
use crate::sinks::tui::draw::span;
use crate::sinks::tui::table::{Cell, ViewTable};
use crate::sinks::tui::text::{clean, width, wrap};
use crate::sinks::tui::theme::Theme;
use crate::stats::{ChangeKind, Latency};
use crate::units::{show_count, show_duration, show_us};

/// Returns a title.
pub(super) fn title(text: &str, columns: u16, theme: Theme) -> Line<'static> {
    let rest = usize::from(columns).saturating_sub(width(text) + 3);
    Line::from(vec![
        span("─ ", theme.dim()),
        span(text.to_owned(), theme.accent().patch(theme.bold())),
        span(format!(" {}", "─".repeat(rest)), theme.dim()),
    ])
}

/// Adds a table, indented by two columns; nothing if it is empty.
pub(super) fn table(lines: &mut Vec<Line<'static>>, table: &ViewTable, columns: u16, theme: Theme) {
    if table.is_empty() {
        return;
    }
    let (head, rows) = table.lines(usize::from(columns).saturating_sub(2), theme);
    lines.extend(std::iter::once(head).chain(rows).map(indented));
}

/// Indents a line by two columns.
pub(super) fn indented(mut line: Line<'static>) -> Line<'static> {
    line.spans.insert(0, Span::raw("  "));
    line
}

/// Adds a text, wrapped and indented.
pub(super) fn wrapped(
    lines: &mut Vec<Line<'static>>,
    text: &str,
    inset: usize,
    columns: u16,
    style: Style,
) {
    for part in wrap(&clean(text), usize::from(columns).saturating_sub(inset).max(10)) {
        lines.push(Line::from(vec![Span::raw(" ".repeat(inset)), span(part, style)]));
    }
}

/// Returns a line that says that there is nothing to show.
pub(super) fn nothing(text: &str, theme: Theme) -> Line<'static> {
    Line::from(span(format!("  {text}"), theme.dim()))
}

/// Formats a percentile; `-` if it is not known. `p` = 1 is the maximum.
pub(super) fn time(latency: &Latency, p: f64) -> String {
    percentile(latency, p).map_or("-".to_owned(), show_quantile)
}

/// Formats a time from the start of the run.
pub(crate) fn show_time(time: Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { show_duration(time) }
}

/// Formats a share.
pub(super) fn show_share(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.01 { "< 0.01 %".to_owned() } else { format!("{percent:.2} %") }
}

/// Returns the style of an error rate.
pub(super) fn share_style(share: f64, theme: Theme) -> Style {
    if share > 0.0 { theme.bad() } else { Style::new() }
}

/// Returns the cells of a threshold: mark, rule, observed value, margin.
pub(super) fn threshold(row: &ThresholdRow<'_>, theme: Theme) -> [Cell; 4] {
    let (mark, style) = match row.state {
        ThresholdState::Waiting => ("∅", theme.dim()),
        ThresholdState::Holds | ThresholdState::Fails if row.is_undecided => ("?", theme.warn()),
        ThresholdState::Holds => ("✓", theme.good()),
        ThresholdState::Fails => ("✗", theme.bad()),
    };
    [
        Cell(mark.to_owned(), style),
        Cell::plain(clean(row.rule)),
        Cell(row.observed.clone(), style),
        Cell(row.note("  "), theme.dim()),
    ]
}

/// Adds a failure: step, time, response, and the curl command that repeats it.
pub(super) fn exemplar(
    lines: &mut Vec<Line<'static>>,
    failure: &FailureRow<'_>,
    columns: u16,
    theme: Theme,
) {
    let one = failure.call;
    let at = show_us(one.intended.ns() / 1_000);
    let what = format!("{} × {}", show_count(failure.count), clean(&failure.kind));
    let place = format!("  {}, first at {at}, user {}", clean(failure.step), one.user);
    lines.push(Line::from(vec![Span::raw("  "), span(what, theme.bad()), Span::raw(place)]));
    if !one.curl.is_empty() {
        let cut = if one.cut { "  # cut" } else { "" };
        wrapped(lines, &format!("{}{cut}", one.curl), 4, columns, theme.accent());
    }
    for text in [&one.error_text, &one.head, &one.body] {
        for line in text.lines().take(12).filter(|line| !line.trim().is_empty()) {
            wrapped(lines, line, 4, columns, theme.dim());
        }
    }
}

/// Returns the times of control commands and marks, seconds from the start of the run.
pub(super) fn marks(report: &Report) -> Vec<f64> {
    let notices = report.snapshot.changes.list.iter();
    let control = notices.filter(|notice| notice.kind() == ChangeKind::Control);
    control.map(|notice| notice.at.ns() as f64 / 1e9).collect()
}
