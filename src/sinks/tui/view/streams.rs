//! Streams and messages: what is held, messages per second, delivery times, and the ledger by step.
//!
//! Invariant: lost messages rank above every delivery, as in rules; a time that no step has takes
//! no column.

use std::fmt::Write as _;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::{MOST, ViewContext};
use super::parts::{nothing, show_share, table, time, title, wrapped};
use super::times::{delivery, tile};
use crate::report::rows::{self, MessageRow};
use crate::sinks::tui::chart::ChartCurve;
use crate::sinks::tui::draw::{above, below, beside, lines, page, span};
use crate::sinks::tui::scale::Measure;
use crate::sinks::tui::series::{self, ColumnMerge};
use crate::sinks::tui::table::{Cell, Column, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::sinks::tui::theme::Theme;
use crate::stats::MessageCounts;
use crate::units::{counted, show_count, show_rate};

/// The most rows of the charts.
const CHARTS: u16 = 9;

/// Minimum width of a chart.
const TILE: u16 = 38;

/// A column of times: its time, percentile, title and rank.
type TimeColumn = (&'static str, f64, &'static str, u8);

/// The columns of times, as far as some step has the time.
const TIMES: [TimeColumn; 10] = [
    ("delivery", 0.5, "delivery p50", 0),
    ("delivery", 0.99, "p99", 0),
    ("delivery", 1.0, "max", 4),
    ("gap", 0.5, "gap p50", 6),
    ("gap", 0.99, "gap p99", 3),
    ("first", 0.5, "first p50", 2),
    ("first", 0.95, "first p95", 0),
    ("tpot", 0.5, "tpot p50", 2),
    ("tpot", 0.95, "tpot p95", 1),
    ("life", 0.5, "life p50", 5),
];

/// Draws the view.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, rows: u16) -> Buffer {
    let (report, theme, mut text) = (context.report, context.theme, Vec::new());
    if !report.info.plan.has_streams && !rows::has_streams(report) {
        text.push(nothing("no step opens a stream, stamps messages or observes a response", theme));
        return super::context::text(&text, columns);
    }
    held(&mut text, context, columns);
    let all = rows::current_messages(report);
    let shown: Vec<&MessageRow<'_>> =
        all.iter().filter(|row| context.matches(row.step.name)).collect();
    if shown.is_empty() {
        let why = if all.is_empty() { "no message so far" } else { "no step matches the filter" };
        text.push(nothing(why, theme));
    }
    messages(&mut text, &shown, columns, theme);
    ledger(&mut text, &shown, columns, theme);
    let charts = match rows {
        0..18 => 0,
        18..28 => 6,
        _ => CHARTS,
    };
    let height = u16::try_from(text.len()).unwrap_or(MOST).min(MOST - CHARTS) + charts;
    let mut page = page(columns, height);
    let area = page.area;
    if charts > 0 {
        draw_charts(&mut page, above(area, charts), context);
    }
    lines(&mut page, below(area, charts), &text);
    page
}

/// Draws messages, delivery and streams over time, as far as there is room.
fn draw_charts(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let draws: [fn(&mut Buffer, Rect, &ViewContext<'_>); 3] = [rates, delivery, streams];
    let across = (area.width / TILE).clamp(1, 3);
    for (place, draw) in beside(area, across).into_iter().zip(draws) {
        draw(page, place, context);
    }
}

fn rates(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let (report, theme) = (context.report, context.theme);
    let curve =
        |name, readings, style| ChartCurve { name, readings, many: ColumnMerge::Mean, style };
    let sent = series::rate(report, |point| point.messages.sent);
    let received = series::rate(report, |point| point.messages.received);
    let curves = [curve("sent", sent, theme.good()), curve("received", received, theme.accent())];
    tile(page, area, context, "Messages", &curves, Measure::PerSecond);
}

fn streams(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let (report, theme) = (context.report, context.theme);
    let gauge = |read: fn(&crate::stats::GaugeSample) -> u64| {
        series::gauge(report, move |moment| Some(read(moment) as f64))
    };
    let curve =
        |name, readings, style| ChartCurve { name, readings, many: ColumnMerge::Worst, style };
    let curves = [
        curve("wanted", gauge(|moment| moment.streams_wanted), theme.dim()),
        curve("held", gauge(|moment| moment.streams), theme.good()),
    ];
    tile(page, area, context, "Streams", &curves, Measure::Number);
}

/// Adds what the run holds, and how its streams ended.
fn held(text: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (report, theme) = (context.report, context.theme);
    let streams = &report.snapshot.streams;
    let label = |name: &str| span(format!("  {name:<11}"), theme.dim());
    if streams.wanted_peak > 0 || streams.counts.opened > 0 {
        let now = report.timeline.gauges.last();
        let (open, wanted) = now.map_or((0, 0), |now| (now.streams, now.streams_wanted));
        let style = if open < wanted { theme.warn() } else { theme.good() };
        let mut parts = vec![
            label("streams"),
            span(show_count(open), style.patch(theme.bold())),
            Span::raw(format!(" held of {} wanted", show_count(wanted))),
        ];
        if let Some(share) = streams.held {
            let share = format!("   {} of the wanted time so far", show_share(share));
            parts.push(span(share, theme.dim()));
        }
        text.push(Line::from(parts));
        let counts = &streams.counts;
        let again = counted(counts.reconnects, "reconnection");
        let mut opened = format!("opened     {}, {again}", show_count(counts.opened));
        let ends = counts.closed.iter();
        let ends: Vec<String> =
            ends.map(|(why, count)| format!("{} × {why}", show_count(*count))).collect();
        if !ends.is_empty() {
            let _ = write!(opened, "; ended: {}", ends.join(", "));
        }
        wrapped(text, &opened, 2, columns, theme.dim());
    }
    let counts = rows::current_ledger(report);
    if let Some(share) = rows::good_share(&counts) {
        let good = format!("{} of {}", show_share(share), counted(counts.judged, "response"));
        text.push(Line::from(vec![label("good"), Span::raw(good)]));
    }
    let remark = rows::ledger_remark(report).filter(|_| !report.is_running);
    if let Some(remark) = remark {
        wrapped(text, &format!("the ledger does not balance: {remark}"), 2, columns, theme.warn());
    }
}

/// Adds messages per second and their times, by step.
fn messages(text: &mut Vec<Line<'static>>, shown: &[&MessageRow<'_>], columns: u16, theme: Theme) {
    let times: Vec<_> = shown.iter().map(|row| rows::message_times(row.messages)).collect();
    let has = |name: &str| times.iter().flatten().any(|one| one.name == name);
    let found: Vec<&TimeColumn> = TIMES.iter().filter(|(name, ..)| has(name)).collect();
    let mut heads: Vec<Column> =
        vec![words("step", 0), numbers("sent/s", 0), numbers("received/s", 0)];
    // A step that opens streams.
    let opens = shown.iter().any(|row| row.messages.streams.wanted > 0);
    heads.extend(opens.then(|| numbers("held", 2)));
    heads.extend(found.iter().map(|(_, _, title, order)| numbers(title, *order)));
    let mut all = ViewTable::new(&heads);
    for (row, times) in shown.iter().zip(&times) {
        let rate = |rate: Option<f64>| match rate {
            Some(rate) if rate > 0.0 => Cell::plain(show_rate(rate)),
            _ => Cell("-".to_owned(), theme.dim()),
        };
        let mut cells =
            vec![Cell::plain(clean(row.step.name)), rate(row.sent_per_s), rate(row.received_per_s)];
        if opens {
            cells.push(held_share(row, theme));
        }
        cells.extend(found.iter().map(|(name, p, ..)| {
            let known = times.iter().find(|one| one.name == *name);
            known.map_or(Cell("-".to_owned(), theme.dim()), |one| Cell::plain(time(&one.times, *p)))
        }));
        all.row(cells);
    }
    if !all.is_empty() {
        text.push(title("Messages by step", columns, theme));
    }
    table(text, &all, columns, theme);
}

/// How much of the wanted time the streams of a step were open.
fn held_share(row: &MessageRow<'_>, theme: Theme) -> Cell {
    match row.messages.streams.share() {
        Some(share) => {
            Cell(show_share(share), if share < 1.0 { theme.warn() } else { Style::new() })
        }
        None => Cell("-".to_owned(), theme.dim()),
    }
}

/// Whether a step is due messages, or some of its messages went astray.
fn has_ledger(counts: &MessageCounts) -> bool {
    let whole = MessageCounts {
        sent: 0,
        expected: 0,
        received: 0,
        coalesced: 0,
        tokens: 0,
        by_chunks: 0,
        judged: 0,
        good: 0,
        ..*counts
    };
    !whole.is_empty()
}

/// Adds what became of the messages, by step.
fn ledger(text: &mut Vec<Line<'static>>, shown: &[&MessageRow<'_>], columns: u16, theme: Theme) {
    let of_broker = |row: &&MessageRow<'_>| {
        let counts = &row.messages.counts;
        counts.confirmed + counts.refused + counts.unconfirmed + counts.rejected > 0
    };
    let has_broker = shown.iter().any(of_broker);
    let mut heads = vec![
        words("step", 0),
        numbers("sent", 8),
        numbers("received", 7),
        numbers("due", 4),
        numbers("delivered", 0),
        numbers("lost", 0),
        numbers("missed", 0),
        numbers("duplicated", 2),
        numbers("reordered", 2),
        numbers("late", 5),
        numbers("dropped", 1),
        numbers("unmatched", 9),
    ];
    if has_broker {
        heads.extend([numbers("confirmed", 3), numbers("refused", 2), numbers("rejected", 3)]);
    }
    let mut all = ViewTable::new(&heads);
    for row in shown {
        let counts = &row.messages.counts;
        // A step that only sends, or whose responses come in pieces, is due nothing.
        if !has_ledger(counts) {
            continue;
        }
        let count = |count: u64| {
            let style = if count == 0 { theme.dim() } else { Style::new() };
            Cell(show_count(count), style)
        };
        let alarm = |count: u64| {
            let style = if count > 0 { theme.bad() } else { theme.dim() };
            Cell(show_count(count), style)
        };
        let mut cells = vec![
            Cell::plain(clean(row.step.name)),
            count(counts.sent),
            count(counts.received),
            count(counts.due),
            count(counts.delivered),
            alarm(counts.lost_for_good()),
            alarm(counts.missed_for_good()),
            alarm(counts.duplicated),
            alarm(counts.reordered),
            alarm(counts.late),
            alarm(counts.dropped),
            count(counts.unmatched),
        ];
        if has_broker {
            cells.push(count(counts.confirmed));
            cells.push(alarm(counts.refused + counts.unconfirmed));
            cells.push(count(counts.rejected));
        }
        all.row(cells);
    }
    if !all.is_empty() {
        text.push(Line::default());
        text.push(title("Ledger", columns, theme));
    }
    table(text, &all, columns, theme);
}
