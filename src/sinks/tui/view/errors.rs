//! What went wrong: errors with what to do about them, statuses, checks, first failures as curl.
//!
//! Invariant: nothing that went wrong is left out; what there is no room for is scrolled to.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::{checks, exemplar, nothing, show_share, table, title, wrapped};
use crate::report::failures::kind;
use crate::sinks::tui::draw::span;
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::stats::outcome;
use crate::units::show_count;

/// Makes it.
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
    lines.push(title("Answers", columns, theme));
    if snapshot.statuses.is_empty() {
        lines.push(nothing("none yet", theme));
        return;
    }
    let answers: u64 = snapshot.statuses.iter().map(|(_, count)| count).sum();
    let mut parts: Vec<Span<'static>> = Vec::new();
    for (status, count) in &snapshot.statuses {
        let bad = *status >= 400;
        let share = show_share(*count as f64 / answers as f64);
        let name = status.to_string();
        let text = format!("  {name} × {} ({share})", show_count(*count));
        let used: usize = parts.iter().map(Span::width).sum();
        if used + text.chars().count() > usize::from(columns) && !parts.is_empty() {
            lines.push(Line::from(std::mem::take(&mut parts)));
        }
        parts.push(span(text, if bad { theme.bad() } else { Style::new() }));
    }
    lines.push(Line::from(parts));
}

fn kinds(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (snapshot, theme) = (&context.report.snapshot, context.theme);
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
    for (index, count) in &snapshot.errors {
        let (phase, kind, hint) = outcome::error_at(*index);
        if context.matches(phase) || context.matches(kind) {
            row(*count, phase, kind, hint);
        }
    }
    for (name, count) in &snapshot.unset {
        let kind = format!("unset {}", clean(name));
        row(*count, "generator", &kind, "calls needed this variable, and nothing had set it");
    }
    for (text, count) in &snapshot.failed_expressions {
        row(*count, "generator", "expression", &clean(text));
    }
    if errors.is_empty() {
        let what = if context.filter().is_empty() {
            "every attempt got an answer"
        } else {
            "none like it"
        };
        lines.push(nothing(what, theme));
        return;
    }
    let from = lines.len() + 1;
    table(lines, &errors, columns, theme);
    if !wide {
        // From the last to the first, so that the places of the others stay.
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
        numbers("held", 0),
        numbers("did not", 0),
    ]);
    let mut found: Vec<_> = checks(context.report)
        .filter(|(step, check, _)| context.matches(step) || context.matches(check))
        .collect();
    found.sort_by_key(|(_, _, [_, failed])| std::cmp::Reverse(*failed));
    for (step, check, [held, failed]) in found {
        let (mark, style) = if failed > 0 { ("✗", theme.bad()) } else { ("✓", theme.good()) };
        all.row(vec![
            Cell(mark.to_owned(), style),
            Cell::plain(clean(check)),
            Cell(clean(step), theme.dim()),
            Cell::plain(show_count(held)),
            Cell(show_count(failed), if failed > 0 { style } else { Style::new() }),
        ]);
    }
    if !all.is_empty() {
        lines.push(Line::default());
        lines.push(title("Checks", columns, theme));
        table(lines, &all, columns, theme);
    }
}

fn failures(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let report = context.report;
    let shown: Vec<_> = (report.snapshot.exemplars.iter())
        .filter(|(_, one)| {
            let step = report.info.plan.steps.get(one.step.index()).map_or("", |step| &step.name);
            context.matches(&kind(report, one)) || context.matches(step)
        })
        .collect();
    if shown.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(title("First failures of each kind", columns, context.theme));
    for (at, (count, one)) in shown.into_iter().enumerate() {
        if at > 0 {
            lines.push(Line::default());
        }
        exemplar(lines, context, *count, one, columns);
    }
}
