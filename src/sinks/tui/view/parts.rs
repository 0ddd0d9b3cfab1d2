//! Parts that several views show: titles, thresholds, errors, times, tables on a page.
//!
//! Invariant: no number without its unit; bounds are shown `≥`, thin percentiles with `~`.

use std::time::Duration;

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use crate::event::Report;
use crate::report::failures::kind;
use crate::report::quantile_text::show_quantile;
use crate::report::threshold_text;
use crate::sinks::tui::draw::span;
use crate::sinks::tui::ranking::quantile;
use crate::sinks::tui::table::{Cell, ViewTable};
use crate::sinks::tui::text::{clean, width, wrap};
use crate::sinks::tui::theme::Theme;
use crate::stats::exemplar::Exemplar;
use crate::stats::{ChangeKind, Latency, outcome};
use crate::units::{show_count, show_duration, show_us};
use crate::verdict::Judgement;

/// A title over lines of a page.
pub(super) fn title(text: &str, columns: u16, theme: Theme) -> Line<'static> {
    let rest = usize::from(columns).saturating_sub(width(text) + 3);
    Line::from(vec![
        span("─ ", theme.dim()),
        span(text.to_owned(), theme.accent().patch(theme.bold())),
        span(format!(" {}", "─".repeat(rest)), theme.dim()),
    ])
}

/// A table under its titles, two columns in; nothing when it is empty.
pub(super) fn table(lines: &mut Vec<Line<'static>>, table: &ViewTable, columns: u16, theme: Theme) {
    if table.is_empty() {
        return;
    }
    let (head, rows) = table.lines(usize::from(columns).saturating_sub(2), theme);
    lines.extend(std::iter::once(head).chain(rows).map(indented));
}

/// A line two columns in.
pub(super) fn indented(mut line: Line<'static>) -> Line<'static> {
    line.spans.insert(0, Span::raw("  "));
    line
}

/// A text, wrapped and indented.
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

/// What there is nothing of, in words.
pub(super) fn nothing(text: &str, theme: Theme) -> Line<'static> {
    Line::from(span(format!("  {text}"), theme.dim()))
}

/// A percentile, or nothing; the last is the longest.
pub(super) fn time(latency: &Latency, p: f64) -> String {
    quantile(latency, p).map_or("-".to_owned(), show_quantile)
}

/// A time after the run's start.
pub(crate) fn show_time(time: Duration) -> String {
    if time.is_zero() { "0s".to_owned() } else { show_duration(time) }
}

/// A share.
pub(super) fn show_share(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.01 { "< 0.01 %".to_owned() } else { format!("{percent:.2} %") }
}

/// The style of a share of errors.
pub(super) fn share_style(share: f64, theme: Theme) -> Style {
    if share > 0.0 { theme.bad() } else { Style::new() }
}

/// A rule as it stands: its mark, the rule, what was observed, how far from its limit.
pub(super) fn threshold(judgement: &Judgement, theme: Theme) -> [Cell; 4] {
    let (mark, style) = match (judgement.observed, judgement.passed) {
        (None, _) => ("∅", theme.dim()),
        (Some(_), true) => ("✓", theme.good()),
        (Some(_), false) => ("✗", theme.bad()),
    };
    let words = threshold_text::words(judgement);
    let nothing = judgement.observed.is_none();
    let note = words.note("  ");
    let observed = if nothing { "nothing yet".to_owned() } else { words.observed };
    [
        Cell(mark.to_owned(), style),
        Cell::plain(clean(&judgement.threshold.rule)),
        Cell(observed, style),
        Cell(note, theme.dim()),
    ]
}

/// Something that went wrong, and how often.
pub(super) struct ErrorRow {
    /// How often.
    pub(super) count: u64,
    /// What, in words.
    pub(super) what: String,
    /// What to do about it.
    pub(super) hint: &'static str,
}

/// Everything that went wrong: errors by phase and kind, bad statuses, checks; most frequent first.
pub(super) fn wrongs(report: &Report) -> Vec<ErrorRow> {
    let snapshot = &report.snapshot;
    let error = |(index, count): &(usize, u64)| {
        let (phase, kind, hint) = outcome::error_at(*index);
        ErrorRow { count: *count, what: format!("{phase}: {kind}"), hint }
    };
    let status = |(status, count): &(u16, u64)| ErrorRow {
        count: *count,
        what: format!("status {status}"),
        hint: "",
    };
    let bad = snapshot.statuses.iter().filter(|(status, _)| *status >= 400);
    let mut all: Vec<ErrorRow> = snapshot.errors.iter().map(error).chain(bad.map(status)).collect();
    for (step, check, [_, failed]) in checks(report).filter(|(_, _, counts)| counts[1] > 0) {
        let what = format!("check {}: {}", clean(step), clean(check));
        all.push(ErrorRow { count: failed, what, hint: "" });
    }
    all.sort_by_key(|wrong| std::cmp::Reverse(wrong.count));
    all
}

/// Every check that was looked at: its step, its name, how often it held and did not.
pub(super) fn checks(report: &Report) -> impl Iterator<Item = (&str, &str, [u64; 2])> {
    let plan = &report.info.plan;
    let steps = plan.checks.iter().zip(&plan.steps).zip(&report.snapshot.measured.steps);
    steps.flat_map(|((names, series), step)| {
        let counts = step.iter().flat_map(|step| &step.checks);
        names.iter().zip(counts).map(|(name, counts)| (&*series.name, name.as_str(), *counts))
    })
}

/// The first failure of a kind: where, when, what it got, and a line to see it again.
pub(super) fn exemplar(
    lines: &mut Vec<Line<'static>>,
    context: &ViewContext<'_>,
    count: u64,
    one: &Exemplar,
    columns: u16,
) {
    let theme = context.theme;
    let step = context.report.info.plan.steps.get(one.step.index()).map_or("", |step| &step.name);
    let at = show_us(one.intended.ns() / 1_000);
    let what = format!("{} × {}", show_count(count), clean(&kind(context.report, one)));
    let place = format!("  {}, first at {at}, user {}", clean(step), one.user);
    lines.push(Line::from(vec![Span::raw("  "), span(what, theme.bad()), Span::raw(place)]));
    let cut = if one.cut { "  # cut" } else { "" };
    wrapped(lines, &format!("{}{cut}", one.curl), 4, columns, theme.accent());
    for text in [&one.error_text, &one.head, &one.body] {
        for line in text.lines().take(12).filter(|line| !line.trim().is_empty()) {
            wrapped(lines, line, 4, columns, theme.dim());
        }
    }
}

/// When something was changed or marked, seconds after the run's start.
pub(super) fn marks(report: &Report) -> Vec<f64> {
    let notices = report.snapshot.changes.list.iter();
    let control = notices.filter(|notice| notice.kind() == ChangeKind::Control);
    control.map(|notice| notice.at.ns() as f64 / 1e9).collect()
}
