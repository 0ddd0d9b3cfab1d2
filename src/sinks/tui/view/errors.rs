//! Errors with their cures, status codes, checks, and the first failures as curl commands.
//!
//! Invariant: nothing is left out; the page scrolls.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::{exemplar, nothing, show_share, table, title, wrapped};
use crate::protocol::status::ShownStatus;
use crate::report::rows;
use crate::sinks::tui::draw::span;
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::units::show_count;

/// Draws the view.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, _: u16) -> Buffer {
    let mut lines = Vec::new();
    statuses(&mut lines, context, columns);
    kinds(&mut lines, context, columns);
    checked(&mut lines, context, columns);
    failures(&mut lines, context, columns);
    super::context::text(&lines, columns)
}

fn statuses(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (snapshot, theme) = (&context.report.snapshot, context.theme);
    lines.push(title("Responses", columns, theme));
    if snapshot.statuses.is_empty() {
        lines.push(nothing("none yet", theme));
        return;
    }
    let mut parts: Vec<Span<'static>> = Vec::new();
    for row in rows::statuses(context.report) {
        let (count, share) = (show_count(row.count), show_share(row.share));
        let text = format!("  {} × {count} ({share})", ShownStatus(row.status));
        let used: usize = parts.iter().map(Span::width).sum();
        if used + text.chars().count() > usize::from(columns) && !parts.is_empty() {
            lines.push(Line::from(std::mem::take(&mut parts)));
        }
        parts.push(span(text, if row.is_error() { theme.bad() } else { Style::new() }));
    }
    lines.push(Line::from(parts));
}

fn kinds(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let theme = context.theme;
    lines.push(Line::default());
    lines.push(title("Errors", columns, theme));
    let wide = columns >= 110;
    let mut hints = Vec::new();
    let mut errors = ViewTable::new(&[
        numbers("count", 0),
        words("phase", 0),
        words("kind", 0),
        words(if wide { "what to do" } else { "" }, 0),
    ]);
    let mut row = |count: u64, phase: &str, kind: &str, hint: &str| {
        let beside = if wide { hint } else { "" };
        errors.row(vec![
            Cell(show_count(count), theme.bad()),
            Cell::plain(phase),
            Cell::plain(kind),
            Cell(beside.to_owned(), theme.dim()),
        ]);
        hints.push(hint.to_owned());
    };
    for error in rows::errors(context.report) {
        if context.matches(error.phase) || context.matches(error.kind) {
            row(error.count, error.phase, error.kind, error.hint);
        }
    }
    let [unset, expressions, _] = rows::named_counts(context.report);
    for (name, count) in unset.counts {
        let kind = format!("unset {}", clean(name));
        row(*count, "generator", &kind, "a call uses this variable before it is set");
    }
    for (text, count) in expressions.counts {
        row(*count, "generator", "expression", &clean(text));
    }
    if errors.is_empty() {
        let what = if context.filter().is_empty() {
            "none: every attempt got a response"
        } else {
            "none matches the filter"
        };
        lines.push(nothing(what, theme));
        return;
    }
    let from = lines.len() + 1;
    table(lines, &errors, columns, theme);
    if !wide {
        // From the last row to the first, so that earlier indices stay valid.
        for (at, hint) in hints.iter().enumerate().rev() {
            let mut below = Vec::new();
            wrapped(&mut below, hint, 9, columns, theme.dim());
            let place = from + at + 1;
            lines.splice(place..place, below);
        }
    }
}

fn checked(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let theme = context.theme;
    let mut all = ViewTable::new(&[
        words("", 0),
        words("check", 0),
        words("step", 1),
        numbers("passed", 0),
        numbers("failed", 0),
    ]);
    let mut found: Vec<_> = rows::checks(context.report)
        .filter(|check| check.made() > 0)
        .filter(|check| context.matches(check.step) || context.matches(check.name))
        .collect();
    found.sort_by_key(|check| std::cmp::Reverse(check.failed));
    for check in found {
        let is_bad = check.failed > 0;
        let (mark, style) = if is_bad { ("✗", theme.bad()) } else { ("✓", theme.good()) };
        all.row(vec![
            Cell(mark.to_owned(), style),
            Cell::plain(clean(check.name)),
            Cell(clean(check.step), theme.dim()),
            Cell::plain(show_count(check.passed)),
            Cell(show_count(check.failed), if is_bad { style } else { Style::new() }),
        ]);
    }
    if !all.is_empty() {
        lines.push(Line::default());
        lines.push(title("Checks", columns, theme));
        table(lines, &all, columns, theme);
    }
}

fn failures(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let shown: Vec<_> = rows::failures(context.report)
        .filter(|failure| context.matches(&failure.kind) || context.matches(failure.step))
        .collect();
    if shown.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(title("First failures of each kind", columns, context.theme));
    for (at, failure) in shown.iter().enumerate() {
        if at > 0 {
            lines.push(Line::default());
        }
        exemplar(lines, failure, columns, context.theme);
    }
}
