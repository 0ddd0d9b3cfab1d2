//! Whether the numbers can be believed: the generator's own state, its monitors and the target's.
//!
//! Invariant: every reason against trust stands here with what to do about it.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::{nothing, time, title, wrapped};
use crate::report::rows::{reason_value, worker_rows};
use crate::sinks::tui::draw::span;
use crate::sinks::tui::series::{self, ColumnMerge, TimeSpan as Seconds, columns as laid};
use crate::sinks::tui::text::{clean, fit, width};
use crate::sinks::tui::theme::Theme;
use crate::stats::{Histogram, Latency, MonitorOwner, MonitorUnit};
use crate::units::{counted, show_bytes, show_count, show_rate, show_us};
use crate::verdict::trust::TrustLevel;

/// Workers, or agents, that are listed.
const MAX_WORKERS: usize = 100;

/// Makes it.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, _: u16) -> Buffer {
    let mut lines = Vec::new();
    trust(&mut lines, context, columns);
    generator(&mut lines, context, columns);
    workers(&mut lines, context, columns);
    monitors(&mut lines, context, columns);
    machine(&mut lines, context, columns);
    super::context::text(&lines, columns)
}

fn trust(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (trust, theme) = (&context.report.trust, context.theme);
    lines.push(title("Trust", columns, theme));
    let says = match trust.level {
        TrustLevel::Yes => "the measurements are valid",
        TrustLevel::Degraded => "valid, with these reservations:",
        TrustLevel::No => "the figures that a reason affects are not valid",
    };
    lines.push(Line::from(vec![
        Span::raw("  "),
        span(trust.level.name(), level_style(trust.level, theme)),
        span(format!("   {says}"), theme.dim()),
    ]));
    for reason in &trust.reasons {
        let show = |value: f64| reason_value(reason, value);
        lines.push(Line::from(vec![
            span(format!("  {} ", reason.check), level_style(reason.level, theme)),
            Span::raw(format!("{} (limit {})", show(reason.observed), show(reason.limit))),
            span(format!("  affects {}", reason.affects().join(", ")), theme.dim()),
        ]));
        wrapped(lines, &reason.hint, 4, columns, Style::new());
    }
}

/// How far something can be believed, at a glance.
pub(crate) fn level_style(level: TrustLevel, theme: Theme) -> Style {
    match level {
        TrustLevel::Yes => theme.good(),
        TrustLevel::Degraded => theme.warn(),
        TrustLevel::No => theme.bad(),
    }
}

fn generator(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (report, theme) = (context.report, context.theme);
    let (snapshot, generator) = (&report.snapshot, &report.info.generator);
    let health = &snapshot.health;
    lines.push(Line::default());
    lines.push(title("Generator", columns, theme));
    let mut lag = Histogram::default();
    snapshot.measured.workloads.iter().for_each(|load| lag.merge(&load.lag));
    let lag = Latency::from(lag);
    let alarm = |bad: bool| if bad { theme.warn() } else { Style::new() };
    let rows = [
        (
            "tier",
            format!("{}, {}: {}", generator.tier, generator.size(), generator.reason),
            Style::new(),
        ),
        (
            "busiest core",
            format!("{:.0} % of a core in its busiest second", health.cpu_percent_max),
            alarm(health.cpu_percent_max >= 97.0),
        ),
        (
            "run queue",
            format!("{:.2} % of the time waiting for a core", health.run_queue_share * 100.0),
            alarm(health.run_queue_share > 0.1),
        ),
        (
            "saturated",
            format!("{} at 97 % of a core or more", counted(health.saturated_seconds, "second")),
            alarm(health.saturated_seconds > 0),
        ),
        (
            "lag",
            format!("p50 {}, p99 {}, max {}", time(&lag, 0.5), time(&lag, 0.99), time(&lag, 1.0)),
            Style::new(),
        ),
        (
            "counts",
            if health.ledger.is_empty() {
                "add up on every shard".to_owned()
            } else {
                health.ledger.join("; ")
            },
            if health.ledger.is_empty() { Style::new() } else { theme.bad() },
        ),
    ];
    for (name, text, style) in rows {
        pair(lines, name, &text, columns, style, theme);
    }
    for remark in &generator.remarks {
        pair(lines, "", remark, columns, theme.dim(), theme);
    }
}

/// The workers, or the agents of a fleet with their figures.
fn workers(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (rows, theme) = (worker_rows(context.report), context.theme);
    if rows.is_empty() {
        return;
    }
    lines.push(Line::default());
    let is_fleet = rows.iter().any(|row| row.agent.is_some());
    lines.push(title(if is_fleet { "Agents" } else { "Workers" }, columns, theme));
    for row in rows.iter().take(MAX_WORKERS) {
        let text = match &row.agent {
            None => format!("{}, {}", row.end, row.memory),
            Some(agent) => format!(
                "{}, heard {}, {} of the load, lag {}, first {}, CPU {}, clock {}, {}, {}",
                row.end,
                agent.heard,
                agent.share,
                agent.lag,
                agent.first_lag,
                agent.cpu,
                agent.clock,
                row.memory,
                agent.host
            ),
        };
        let is_silent = row.agent.as_ref().is_some_and(|agent| agent.is_silent);
        let style = if row.is_fault {
            theme.bad()
        } else if is_silent {
            theme.warn()
        } else {
            Style::new()
        };
        pair(lines, &row.name, &text, columns, style, theme);
    }
    if rows.len() > MAX_WORKERS {
        let more = format!("and {} more", rows.len() - MAX_WORKERS);
        pair(lines, "", &more, columns, theme.dim(), theme);
    }
}

/// A name, and a text beside it in as many lines as it takes.
fn pair(
    lines: &mut Vec<Line<'static>>,
    name: &str,
    text: &str,
    columns: u16,
    style: Style,
    theme: Theme,
) {
    const INSET: usize = 16;
    let from = lines.len();
    wrapped(lines, text, INSET, columns, style);
    if let Some(first) = lines.get_mut(from) {
        let name = fit(&clean(name), INSET - 3);
        let room = INSET - 2 - width(&name);
        first.spans[0] = span(format!("  {name}{}", " ".repeat(room)), theme.dim());
    }
}

/// Every monitor over time, by whose it is.
fn monitors(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (report, theme) = (context.report, context.theme);
    for (whose, name) in [
        (MonitorOwner::Generator, "Generator over time"),
        (MonitorOwner::Target, "Target over time"),
    ] {
        let all = report.info.monitors.iter().enumerate();
        let own: Vec<_> = all.filter(|(_, monitor)| monitor.owner == whose).collect();
        if own.is_empty() {
            continue;
        }
        lines.push(Line::default());
        lines.push(title(name, columns, theme));
        let widest = own.iter().map(|(_, monitor)| width(&clean(&monitor.name))).max().unwrap_or(0);
        let room = widest.clamp(8, 28);
        for (at, monitor) in own {
            let readings =
                series::gauge(report, |moment| moment.monitors.get(at).copied().flatten());
            let now = series::last(&readings).map(|one| one.value);
            let most = readings.iter().map(|one| one.value).fold(f64::NEG_INFINITY, f64::max);
            let text =
                |value: Option<f64>| value.map_or("-".to_owned(), |v| in_unit(monitor.unit, v));
            let most = now.map(|_| most);
            let label = fit(&clean(&monitor.name), room);
            let pad = " ".repeat(room - width(&label));
            let places = usize::from(columns).saturating_sub(room + 33).max(8);
            let span_s = Seconds::of(report, context.ui.zoom);
            let width_s = report.timeline.width_s;
            let laid = laid(&readings, width_s, span_s, places, ColumnMerge::Worst);
            lines.push(Line::from(vec![
                span(format!("  {label}{pad} "), theme.dim()),
                Span::raw(format!("{:>12} ", text(now))),
                span(spark(&laid, monitor.unit, theme), theme.accent()),
                span(format!(" max {}", text(most)), theme.dim()),
            ]));
        }
    }
}

/// Readings as bars of one line; gaps stay empty.
fn spark(columns: &[Option<(f64, bool)>], unit: MonitorUnit, theme: Theme) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const PLAIN: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];
    let bars = if theme.unicode { BARS } else { PLAIN };
    let most = columns.iter().flatten().map(|(value, _)| *value).fold(0.0, f64::max);
    // Of percent all is known: a tenth of it looks like a tenth.
    let top = if unit == MonitorUnit::Percent { most.max(100.0) } else { most.max(1e-9) };
    let bar = |value: f64| bars[((value.max(0.0) / top * 8.0) as usize).min(7)];
    columns.iter().map(|one| one.map_or(' ', |(value, _)| bar(value))).collect()
}

fn in_unit(unit: MonitorUnit, value: f64) -> String {
    match unit {
        MonitorUnit::Percent => format!("{value:.1} %"),
        MonitorUnit::Bytes => show_bytes(value.max(0.0) as u64),
        MonitorUnit::Count => show_count(value.max(0.0).round() as u64),
        MonitorUnit::Micros => show_us(value.max(0.0) as u64),
        MonitorUnit::Plain if value >= 0.0 => show_rate(value),
        MonitorUnit::Plain => format!("{value:.2}"),
    }
}

fn machine(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (info, theme) = (&context.report.info, context.theme);
    lines.push(Line::default());
    lines.push(title("Machine and command", columns, theme));
    for (name, place) in &info.plan.services {
        pair(lines, name, place, columns, Style::new(), theme);
    }
    for (name, value) in &info.machine {
        pair(lines, name, value, columns, theme.dim(), theme);
    }
    if info.command.is_empty() {
        lines.push(nothing("", theme));
    } else {
        pair(lines, "command", &info.command.join(" "), columns, theme.dim(), theme);
    }
}
