//! All figures of one step: times, results, status codes, checks, first failures as curl commands.
//!
//! Invariant: it shows the step that is selected in the table.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::{exemplar, nothing, show_share, table, time, title};
use crate::protocol::status::{ShownStatus, is_error};
use crate::report::rows::{self, FailureRow, StepRow, current_step};
use crate::sinks::tui::draw::span;
use crate::sinks::tui::ranking::order;
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::units::{show_count, show_rate};

/// Percentiles and their names.
const PERCENTILES: [(&str, f64); 8] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("max", 1.0),
];

/// Returns the name of the step and its lines.
pub(crate) fn draw(context: &ViewContext<'_>, columns: u16) -> (String, Vec<Line<'static>>) {
    let (report, theme) = (context.report, context.theme);
    let shown = order(report, context.ui.sort, context.filter());
    let place = context.ui.place(context.state).and_then(|place| shown.get(place));
    let Some(&step) = place else { return (String::new(), Vec::new()) };
    let row = current_step(report, step);
    let [workload, archetype, name] = [row.workload, row.archetype, row.name].map(clean);
    let mut lines = vec![Line::from(vec![
        span("  workload ", theme.dim()),
        Span::raw(workload),
        span("  archetype ", theme.dim()),
        Span::raw(archetype),
    ])];
    if !row.tags.is_empty() {
        let tags: Vec<String> =
            row.tags.iter().map(|(key, value)| clean(&format!("{key}={value}"))).collect();
        lines.push(Line::from(vec![span("  tags ", theme.dim()), Span::raw(tags.join("  "))]));
    }
    if row.was_called() {
        measured(&mut lines, context, &row, columns);
    } else {
        lines.push(nothing("no call has ended yet", theme));
    }
    (name, lines)
}

fn measured(
    lines: &mut Vec<Line<'static>>,
    context: &ViewContext<'_>,
    row: &StepRow<'_>,
    columns: u16,
) {
    let (window, theme) = (row.window, context.theme);
    lines.push(title("Calls", columns, theme));
    let calls = row.calls();
    let counts = [
        ("made", calls.made),
        ("ok", calls.ok),
        ("failed", calls.failed),
        ("timeout", calls.timeout),
        ("suppressed", calls.suppressed),
        ("muted", calls.muted),
        ("cancelled", calls.cancelled),
        ("unfinished", calls.unfinished),
        ("generator error", calls.generator_errors),
    ];
    let mut parts = vec![Span::raw("  ")];
    for (name, count) in counts.into_iter().filter(|(name, count)| *count > 0 || *name == "made") {
        parts.push(span(format!("{name} "), theme.dim()));
        parts.push(Span::raw(format!("{}   ", show_count(count))));
    }
    lines.push(Line::from(parts));
    let errors = show_share(calls.error_share().unwrap_or(0.0));
    let rate = show_rate(row.calls_per_s.unwrap_or_default());
    lines.push(Line::from(format!("  {rate}/s, {errors} errors")));

    lines.push(title("Times", columns, theme));
    let mut times = ViewTable::new(&[words("", 0), numbers("service", 0), numbers("response", 0)]);
    for (name, p) in PERCENTILES {
        let cells = [name.to_owned(), time(&window.service, p), time(&window.response, p)];
        times.row(cells.map(Cell::plain).to_vec());
    }
    table(lines, &times, columns, theme);

    if !window.statuses.is_empty() {
        lines.push(title("Responses", columns, theme));
        let mut statuses = window.statuses.clone();
        statuses.sort_unstable();
        let mut parts = vec![Span::raw("  ")];
        for (status, count) in statuses {
            let bad = is_error(status);
            let style = if bad { theme.bad() } else { Style::new() };
            parts.push(span(format!("{} × {}   ", ShownStatus(status), show_count(count)), style));
        }
        lines.push(Line::from(parts));
    }
    checks(lines, context, row, columns);
    let own = |failure: &FailureRow<'_>| failure.call.step == row.id;
    let failures: Vec<_> = rows::failures(context.report).filter(own).collect();
    if !failures.is_empty() {
        lines.push(title("First failures of each kind", columns, theme));
        failures.iter().for_each(|failure| exemplar(lines, failure, columns, theme));
    }
}

fn checks(
    lines: &mut Vec<Line<'static>>,
    context: &ViewContext<'_>,
    row: &StepRow<'_>,
    columns: u16,
) {
    let (window, theme) = (row.window, context.theme);
    let names = &context.report.info.plan.checks[row.id.index()];
    if window.checks.is_empty() || names.is_empty() {
        return;
    }
    lines.push(title("Checks", columns, theme));
    let mut checks =
        ViewTable::new(&[words("", 0), words("", 0), numbers("passed", 0), numbers("failed", 0)]);
    for (name, [held, failed]) in names.iter().zip(&window.checks) {
        let (mark, style) = if *failed > 0 { ("✗", theme.bad()) } else { ("✓", theme.good()) };
        checks.row(vec![
            Cell(mark.to_owned(), style),
            Cell::plain(clean(name)),
            Cell::plain(show_count(*held)),
            Cell(show_count(*failed), if *failed > 0 { style } else { Style::new() }),
        ]);
    }
    table(lines, &checks, columns, theme);
}
