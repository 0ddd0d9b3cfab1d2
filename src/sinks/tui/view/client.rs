//! The simulated client: suppressed, retried and delayed calls; breakers, pools, timeouts,
//! degradation.
//!
//! Invariant: a policy that the plan does not have is shown as off, never as zero.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::{nothing, show_share, table, time, title, wrapped};
use crate::plan::policy::DegradationLevel;
use crate::report::rows::client;
use crate::sinks::tui::draw::{gauge, span};
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::sinks::tui::theme::Theme;
use crate::stats::{Attempts, BreakerState};
use crate::units::{counted, nanos, show_count, show_us};

/// Draws the view.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, _: u16) -> Buffer {
    let mut lines = Vec::new();
    kind(&mut lines, context, columns);
    level(&mut lines, context);
    again(&mut lines, context);
    suppressed(&mut lines, context, columns);
    delayed(&mut lines, context, columns);
    breakers(&mut lines, context, columns);
    pools(&mut lines, context, columns);
    super::backends::draw(&mut lines, context, columns);
    timeouts(&mut lines, context, columns);
    super::context::text(&lines, columns)
}

fn label(name: &str, theme: Theme) -> Span<'static> {
    span(format!("  {name:<12}"), theme.dim())
}

fn kind(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (client, theme) = (&context.report.info.plan.client, context.theme);
    lines.push(title("Client", columns, theme));
    let parts = client.parts.join(", ");
    let parts = if parts.is_empty() { "no resilience policies".to_owned() } else { parts };
    lines.push(Line::from(vec![label("kind", theme), span(clean(&client.kind), theme.bold())]));
    wrapped(lines, &parts, 14, columns, theme.dim());
}

fn level(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>) {
    let theme = context.theme;
    if !context.report.info.plan.client.degrades {
        return;
    }
    let mut parts = vec![label("degradation", theme)];
    match client::levels(context.report) {
        None => parts.push(span("unknown: too many events to keep all of them", theme.warn())),
        Some((lasted, now)) => {
            let style = if now == DegradationLevel::Normal { theme.good() } else { theme.bad() };
            parts.push(span(now.name(), style));
            for level in
                DegradationLevel::ALL.into_iter().filter(|level| lasted[*level as usize] > 0)
            {
                let text = format!("   {} ", level.name());
                parts.push(span(text, theme.dim()));
                parts.push(Span::raw(show_us(lasted[level as usize] / 1_000)));
            }
        }
    }
    lines.push(Line::from(parts));
}

fn again(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>) {
    let (attempts, theme) = (&context.report.snapshot.attempts, context.theme);
    let Attempts { started, first, .. } = *attempts;
    let amplified = attempts.amplification().unwrap_or(1.0);
    let style = if amplified > 1.5 { theme.warn() } else { Style::new() };
    let (all, calls) = (show_count(started), show_count(first));
    lines.push(Line::from(vec![
        label("attempts", theme),
        Span::raw(format!("{all} for {calls} calls  ")),
        span(format!("{amplified:.2}×"), style),
    ]));
    let mut parts = vec![label("", theme)];
    for (name, count) in client::extra_attempts(context.report) {
        parts.push(span(format!("{name} "), theme.dim()));
        parts.push(Span::raw(format!("{}   ", show_count(count))));
    }
    if parts.len() > 1 {
        lines.push(Line::from(parts));
    }
}

fn suppressed(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (report, theme) = (context.report, context.theme);
    let (calls, starts) = (report.snapshot.calls(), report.snapshot.iterations().suppressed);
    if calls.suppressed + starts == 0 {
        return;
    }
    lines.push(Line::default());
    lines.push(title("Suppressed", columns, theme));
    let mut all = ViewTable::new(&[
        words("cause", 0),
        numbers("calls", 0),
        numbers("of all", 1),
        words("why", 0),
    ]);
    for (cause, count) in client::suppressed_by(report) {
        let share = count as f64 / calls.made.max(1) as f64;
        all.row(vec![
            Cell::plain(cause.name()),
            Cell(show_count(count), theme.warn()),
            Cell::plain(show_share(share)),
            Cell(cause.hint().to_owned(), theme.dim()),
        ]);
    }
    table(lines, &all, columns, theme);
    if starts > 0 {
        let text = format!("{}: the generator was overloaded", counted(starts, "start"));
        lines.push(Line::from(vec![Span::raw("  "), span(text, theme.bad())]));
    }
}

fn delayed(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (measured, theme) = (&context.report.snapshot.measured, context.theme);
    if measured.waits.is_empty() {
        return;
    }
    lines.push(Line::default());
    lines.push(title("Delayed before sending", columns, theme));
    let mut waits = ViewTable::new(&[
        words("cause", 0),
        numbers("times", 0),
        numbers("p50", 1),
        numbers("p95", 0),
        numbers("max", 0),
    ]);
    for (cause, waited) in client::waits(context.report) {
        let mut cells = vec![Cell::plain(cause), Cell::plain(show_count(waited.count()))];
        cells.extend([0.5, 0.95, 1.0].map(|p| Cell::plain(time(&waited, p))));
        waits.row(cells);
    }
    table(lines, &waits, columns, theme);
}

fn breakers(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let theme = context.theme;
    lines.push(Line::default());
    lines.push(title("Breakers", columns, theme));
    let mut found: Vec<_> = client::breakers(context.report).collect();
    if found.is_empty() {
        lines.push(nothing("none configured", theme));
        return;
    }
    // Open breakers come first.
    found.sort_by_key(|(_, used)| match used.state {
        Some(BreakerState::Open) => 0,
        Some(BreakerState::HalfOpen) => 1,
        _ if used.opened > 0 => 2,
        _ => 3,
    });
    let mut all = ViewTable::new(&[
        words("breaker", 0),
        words("state", 0),
        numbers("opened", 0),
        numbers("refused", 0),
    ]);
    for (name, used) in found.into_iter().filter(|(name, _)| context.matches(name)) {
        let (state, style) = match used.state {
            None => ("· not used", theme.dim()),
            Some(BreakerState::Closed) => ("✓ closed", theme.good()),
            Some(BreakerState::HalfOpen) => ("○ half-open", theme.warn()),
            Some(BreakerState::Open) => ("✗ open", theme.bad()),
        };
        let count = |count: u64| {
            let style = if count > 0 { theme.warn() } else { theme.dim() };
            Cell(show_count(count), style)
        };
        all.row(vec![
            Cell::plain(clean(&name)),
            Cell(state.to_owned(), style),
            count(used.opened),
            count(used.refused),
        ]);
    }
    table(lines, &all, columns, theme);
}

fn pools(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let theme = context.theme;
    lines.push(Line::default());
    lines.push(title("Pools", columns, theme));
    let mut hints = Vec::new();
    let mut all = ViewTable::new(&[
        words("pool", 0),
        numbers("size", 1),
        numbers("in use", 0),
        numbers("idle", 4),
        numbers("waiting", 0),
        words("utilisation", 2),
        numbers("wait p95", 0),
        numbers("timed out", 1),
        numbers("errors", 3),
    ]);
    for (name, used) in
        client::shared_pools(context.report).filter(|(name, _)| context.matches(name))
    {
        let busy = used.utilisation().unwrap_or(0.0);
        let bar: String = gauge(busy, 8, theme).iter().map(|part| &*part.content).collect();
        let alarm = |count: u64| {
            let style = if count > 0 { theme.bad() } else { Style::new() };
            Cell(show_count(count), style)
        };
        all.row(vec![
            Cell::plain(clean(name)),
            Cell::plain(show_count(used.size)),
            Cell::plain(show_count(used.in_use)),
            Cell::plain(show_count(used.idle)),
            alarm(used.waiting),
            Cell::plain(format!("{bar} {:>3.0} %", busy * 100.0)),
            Cell::plain(time(&used.waits.clone().into(), 0.95)),
            alarm(used.gave_up),
            Cell::plain(used.error_share().map_or("-".to_owned(), show_share)),
        ]);
        hints.extend(client::hint(name, used));
    }
    if all.is_empty() {
        lines.push(nothing("none: each user has its own connections", theme));
    }
    table(lines, &all, columns, theme);
    hints.iter().for_each(|hint| wrapped(lines, hint, 4, columns, theme.warn()));
}

fn timeouts(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let theme = context.theme;
    let Some(start) = context.report.info.plan.client.timeouts_from else { return };
    lines.push(Line::default());
    lines.push(title("Adaptive timeouts", columns, theme));
    let mut all = ViewTable::new(&[words("endpoint", 0), numbers("limit", 0), words("", 1)]);
    let mut found: Vec<_> =
        client::timeouts(context.report).filter(|(name, _)| context.matches(name)).collect();
    found.sort_by_key(|(_, ns)| std::cmp::Reverse(*ns));
    for (name, ns) in found {
        let moved = match ns.cmp(&nanos(start)) {
            std::cmp::Ordering::Less => "▼ shorter than at the start",
            std::cmp::Ordering::Equal => "as at the start",
            std::cmp::Ordering::Greater => "▲ longer than at the start",
        };
        all.row(vec![
            Cell::plain(clean(&name)),
            Cell::plain(show_us(ns / 1_000)),
            Cell(moved.to_owned(), theme.dim()),
        ]);
    }
    if all.is_empty() {
        lines.push(nothing("no endpoint called yet", theme));
    }
    table(lines, &all, columns, theme);
}
