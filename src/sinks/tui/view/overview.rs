//! The overview: load, times, key figures, thresholds, most frequent errors.
//!
//! Invariant: the smallest terminal shows the figures that the verdict rests on; a larger one shows
//! more at once.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::latency;
use super::parts::{share_style, show_share, threshold};
use super::times::{response, service, tile};
use crate::report::quantile_text::show_quantile;
use crate::report::rows::{self, ProblemRow, StepLabels, StepRow, ThresholdState};
use crate::sinks::tui::chart::ChartCurve;
use crate::sinks::tui::draw::{above, aside, below, beside, heading, line, lines, page, put, span};
use crate::sinks::tui::scale::Measure;
use crate::sinks::tui::series::{self, ColumnMerge};
use crate::sinks::tui::table::{ViewTable, numbers, words};
use crate::sinks::tui::text::{clean, fit, fit_middle, width};
use crate::stats::Latency;
use crate::units::{show_bytes, show_count, show_rate};

/// Width of the key figures, columns.
const FIGURES: u16 = 25;
/// Minimum size of a chart, columns and rows.
const TILE: (u16, u16) = (44, 7);

/// Draws the view.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, rows: u16) -> Buffer {
    let mut page = page(columns, rows);
    let whole = page.area;
    let foot = foot_rows(context, rows);
    let top = above(whole, rows - foot);
    if columns >= 70 {
        let (left, right) = aside(top, FIGURES);
        tiles(&mut page, left, context);
        let needed = key_figures(context).len() as u16 + 1;
        figures(&mut page, above(right, needed), context);
        slowest(&mut page, below(right, needed), context);
    } else if rows >= 20 {
        figures(&mut page, above(top, 8), context);
        tiles(&mut page, below(top, 8), context);
    } else {
        figures(&mut page, top, context);
    }
    let foot = below(whole, rows - foot);
    match columns {
        0..70 => thresholds(&mut page, foot, context),
        70..170 => {
            let parts = beside(foot, 2);
            thresholds(&mut page, parts[0], context);
            errors(&mut page, parts[1], context);
        }
        _ => {
            let parts = beside(foot, 3);
            thresholds(&mut page, parts[0], context);
            errors(&mut page, parts[1], context);
            changes(&mut page, parts[2], context);
        }
    }
    page
}

/// Returns the rows below the charts.
fn foot_rows(context: &ViewContext<'_>, rows: u16) -> u16 {
    let wanted = (context.report.judgements.len().clamp(3, 12) + 1) as u16;
    match rows {
        0..8 => 0,
        8..24 => wanted.min(5),
        24..50 => wanted.max(6).min(rows / 3),
        _ => wanted.max(12),
    }
}

/// Draws as many charts as fit, the most important first.
fn tiles(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let draws: [fn(&mut Buffer, Rect, &ViewContext<'_>); 6] =
        [load, response, calls, service, latency::heat_map, gauges];
    let across = (area.width / TILE.0).clamp(1, 3);
    let down = (area.height / TILE.1).clamp(1, 6 / across);
    let height = area.height / down;
    let draws = if across * down == 1 { &draws[1..2] } else { &draws[..] };
    let mut draws = draws.iter();
    for row in 0..down {
        let rest = below(area, row * height);
        let strip = if row + 1 == down { rest } else { above(rest, height) };
        for place in beside(strip, across) {
            if let Some(draw) = draws.next() {
                draw(page, place, context);
            }
        }
    }
}

/// Draws scheduled and started load.
fn load(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let (report, theme) = (context.report, context.theme);
    let loads = &report.info.plan.workloads;
    let curve = |name, readings, many, style| ChartCurve { name, readings, many, style };
    let open = loads.iter().any(|load| load.open);
    let closed = loads.iter().any(|load| !load.open);
    let starts = |page: &mut Buffer, area: Rect| {
        let curves = [
            curve("planned", series::asked(report, true), ColumnMerge::Worst, theme.dim()),
            curve("started", series::started(report), ColumnMerge::Mean, theme.accent()),
        ];
        tile(page, area, context, "Starts", &curves, Measure::PerSecond);
    };
    let users = |page: &mut Buffer, area: Rect| {
        let users = series::gauge(report, |moment| Some(moment.users as f64));
        // Users that serve arrivals are active, too.
        let name = if open { "active, all" } else { "active" };
        let mut curves = vec![curve(name, users, ColumnMerge::Worst, theme.good())];
        let asked = series::asked(report, false);
        curves.insert(0, curve("planned", asked, ColumnMerge::Worst, theme.dim()));
        tile(page, area, context, "Users", &curves, Measure::Number);
    };
    match (open, closed) {
        (true, true) if area.height >= 14 => {
            starts(page, above(area, area.height / 2));
            users(page, below(area, area.height / 2));
        }
        (true, _) => starts(page, area),
        (false, _) => users(page, area),
    }
}

/// Draws calls and errors.
fn calls(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let (report, theme) = (context.report, context.theme);
    let all = series::rate(report, |point| point.calls.made);
    let bad = series::rate(report, |point| point.calls.ended() - point.calls.ok);
    let curves = [
        ChartCurve { name: "calls", readings: all, many: ColumnMerge::Mean, style: theme.accent() },
        ChartCurve { name: "errors", readings: bad, many: ColumnMerge::Mean, style: theme.bad() },
    ];
    tile(page, area, context, "Calls", &curves, Measure::PerSecond);
}

/// Draws connections, users and calls in flight.
fn gauges(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let (report, theme) = (context.report, context.theme);
    let curve = |name, read: fn(&crate::stats::GaugeSample) -> u64, style| ChartCurve {
        name,
        readings: series::gauge(report, |moment| Some(read(moment) as f64)),
        many: ColumnMerge::Worst,
        style,
    };
    let curves = [
        curve("connections", |moment| moment.connections, theme.accent()),
        curve("users", |moment| moment.users, theme.good()),
        curve("calls", |moment| moment.running, theme.warn()),
    ];
    tile(page, area, context, "Active", &curves, Measure::Number);
}

/// Draws the key figures, in two columns if they share rows.
fn figures(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let area = heading(page, area, "Now", &Line::default(), context.theme);
    let all = key_figures(context);
    let across = if area.width > 2 * FIGURES { 2 } else { 1 };
    let rows = if across == 1 { all.len() } else { all.len().div_ceil(2) };
    for (place, figures) in beside(area, across).into_iter().zip(all.chunks(rows)) {
        for (row, (name, value, style)) in figures.iter().enumerate() {
            let room = usize::from(place.width).saturating_sub(name.len() + 1);
            let value = fit(value, room);
            put(page, place, (0, row as u16), name, context.theme.dim());
            let at = place.width.saturating_sub(Span::raw(&value).width() as u16);
            put(page, place, (at, row as u16), &value, *style);
        }
    }
}

/// Draws the steps with the longest response times, if there is room.
fn slowest(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    if area.height < 4 {
        return;
    }
    let area = heading(page, area, "Slowest, response p95", &Line::default(), context.theme);
    let labels = StepLabels::new(context.report);
    let time = |row: StepRow<'_>| Some((row.response(0.95)?, labels.label(row.id)));
    let mut all: Vec<_> = rows::current_steps(context.report).filter_map(time).collect();
    all.sort_by_key(|(time, _)| std::cmp::Reverse((time.us, time.at_least)));
    for (row, (time, name)) in all.into_iter().take(area.height.into()).enumerate() {
        let value = show_quantile(time);
        let room = usize::from(area.width).saturating_sub(width(&value) + 1);
        let name = fit_middle(&clean(&name), room);
        put(page, area, (0, row as u16), &name, context.theme.dim());
        let at = area.width.saturating_sub(width(&value) as u16);
        put(page, area, (at, row as u16), &value, Style::new());
    }
}

/// Returns the key figures with their styles, the most important first.
fn key_figures(context: &ViewContext<'_>) -> Vec<(&'static str, String, Style)> {
    let (report, theme) = (context.report, context.theme);
    let snapshot = &report.snapshot;
    let (calls, iterations) = (snapshot.calls(), snapshot.iterations());
    let last =
        |readings: Vec<series::SeriesReading>| series::last(&readings).map_or(0.0, |one| one.value);
    let calls_now = last(series::rate(report, |point| point.calls.made));
    let starts_now = last(series::rate(report, |point| point.starts().started));
    let (connections, attempts) = (&snapshot.connections, &snapshot.attempts);
    let open = report.timeline.gauges.last().map_or(0, |moment| moment.connections);
    let warm = snapshot.measured.calls().made > 0;
    let part = if warm { &snapshot.measured } else { &snapshot.warmup };
    let errors = part.calls().error_share().unwrap_or(0.0);
    let response: Latency = part.response(|_| true, part.lost());
    let count = |count: u64| (show_count(count), Style::new());
    let plain = |text: String| (text, Style::new());
    let alarm =
        |count: u64| (show_count(count), if count > 0 { theme.bad() } else { Style::new() });
    let figure = |name, (value, style): (String, Style)| (name, value, style);
    let mut all = vec![
        figure("calls/s", (show_rate(calls_now), theme.bold())),
        figure("errors", (show_share(errors), share_style(errors, theme))),
        figure("response p95", plain(super::parts::time(&response, 0.95))),
        figure("response p99", plain(super::parts::time(&response, 0.99))),
        figure("iterations/s", plain(show_rate(starts_now))),
        figure("users", plain(of_most(snapshot.users, snapshot.users_peak))),
        figure("in flight", count(snapshot.running_calls)),
        figure("connections", plain(of_most(open, snapshot.connections_peak))),
        figure("calls", count(calls.made)),
        figure("iterations", count(iterations.started)),
        figure("dropped", alarm(iterations.dropped)),
        figure("suppressed", count(calls.suppressed)),
        figure("timeouts", alarm(calls.timeout)),
        figure("retries", count(attempts.retries)),
        figure("received", plain(show_bytes(connections.bytes_received))),
        figure("sent", plain(show_bytes(connections.bytes_sent))),
        figure("busiest core", plain(format!("{:.0} %", snapshot.health.cpu_percent_max))),
    ];
    if rows::has_streams(report) {
        for (place, one) in (3..).zip(stream_figures(context)) {
            all.insert(place, one);
        }
    }
    if let Some(achieved) = crate::verdict::judge::achieved(snapshot) {
        let style = if achieved < 0.99 { theme.warn() } else { Style::new() };
        all.insert(2, figure("achieved", (show_share(achieved), style)));
    }
    all
}

/// The key figures of streams and their messages.
fn stream_figures(context: &ViewContext<'_>) -> Vec<(&'static str, String, Style)> {
    let (report, theme) = (context.report, context.theme);
    let snapshot = &report.snapshot;
    let now = report.timeline.gauges.last();
    let (open, wanted) = now.map_or((0, 0), |now| (now.streams, now.streams_wanted));
    let messages = series::rate(report, |point| point.messages.received);
    let messages = series::last(&messages).map_or(0.0, |one| one.value);
    let warm = snapshot.measured.messages(|_| true);
    let lost = warm.counts.lost_for_good() + warm.counts.missed_for_good();
    let held = if open < wanted { theme.warn() } else { Style::new() };
    let mut all = vec![("messages/s", show_rate(messages), Style::new())];
    if snapshot.streams.wanted_peak > 0 {
        let text = format!("{} of {}", show_count(open), show_count(wanted));
        all.push(("streams", text, held));
    }
    if warm.counts.due > 0 {
        let delivery = warm.delivery_of_all();
        all.push(("delivery p99", super::parts::time(&delivery, 0.99), Style::new()));
        let style = if lost > 0 { theme.bad() } else { Style::new() };
        all.push(("lost, missed", show_count(lost), style));
    }
    if warm.first.count() > 0 {
        let first: Latency = warm.first.into();
        all.push(("first p95", super::parts::time(&first, 0.95), Style::new()));
    }
    all
}

/// Formats a current value, and its peak if that was higher.
fn of_most(now: u64, most: u64) -> String {
    let (now, most) = (show_count(now), show_count(most));
    if now == most { now } else { format!("{now} (max {most})") }
}

/// Draws the thresholds.
pub(super) fn thresholds(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let theme = context.theme;
    let judgements = &context.report.judgements;
    let passed = judgements.iter().filter(|one| one.passed).count();
    let note = Line::from(span(format!("{passed} of {} pass", judgements.len()), theme.dim()));
    let note = if judgements.is_empty() { Line::default() } else { note };
    let area = heading(page, area, "Thresholds", &note, theme);
    if judgements.is_empty() {
        put(page, area, (1, 0), "none defined", theme.dim());
        return;
    }
    let columns = [words("", 0), words("", 0), numbers("", 0), words("", 3)];
    let mut table = ViewTable::new(&columns);
    // Failed thresholds come first.
    let mut all: Vec<_> = rows::thresholds(context.report).collect();
    all.sort_by_key(|one| one.state != ThresholdState::Fails);
    all.iter().for_each(|one| table.row(threshold(one, theme).to_vec()));
    let (_, rows) = table.lines(usize::from(area.width).saturating_sub(1), theme);
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    rest(page, inner, rows, context);
}

/// Draws the most frequent errors.
fn errors(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let theme = context.theme;
    let all = rows::problems(context.report);
    let note = if all.len() > 1 { format!("{} kinds", all.len()) } else { String::new() };
    let note = if all.is_empty() { Line::default() } else { Line::from(span(note, theme.dim())) };
    let area = heading(page, area, "Errors", &note, theme);
    if all.is_empty() {
        put(page, area, (1, 0), "none", theme.good());
        return;
    }
    let room = usize::from(area.width).saturating_sub(10);
    let row = |wrong: &ProblemRow| {
        let what = fit(&clean(&wrong.what), room);
        let hint = fit(wrong.hint, room.saturating_sub(width(&what) + 2));
        // A hint without room for a sentence is only in the view of errors.
        let hint = if hint.len() > 16 { format!("  {hint}") } else { String::new() };
        Line::from(vec![
            span(format!(" {:>8} ", show_count(wrong.count)), theme.bad()),
            Span::raw(what),
            span(hint, theme.dim()),
        ])
    };
    rest(page, area, all.iter().map(row).collect(), context);
}

/// Draws the last state changes.
fn changes(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let area = heading(page, area, "Events", &Line::default(), context.theme);
    let all = super::log::changes(context);
    if all.is_empty() {
        put(page, area, (1, 0), "no event yet", context.theme.dim());
    }
    let skip = all.len().saturating_sub(area.height.into());
    for (row, entry) in all.iter().skip(skip).enumerate() {
        line(page, area, row as u16, &super::log::one_line(entry, context.theme));
    }
}

/// Draws as many rows as fit; the last one shows how many more there are.
fn rest(page: &mut Buffer, area: Rect, mut rows: Vec<Line<'static>>, context: &ViewContext<'_>) {
    let room = usize::from(area.height);
    if rows.len() > room && room > 0 {
        let more = rows.len() - room + 1;
        rows.truncate(room - 1);
        rows.push(Line::from(span(format!(" … {more} more"), context.theme.dim())));
    }
    lines(page, area, &rows);
}
