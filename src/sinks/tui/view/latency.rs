//! Latency: heat map, percentiles of each second, a table of all kinds of time, phases.
//!
//! Invariant: each reason for a missing response time has a row of its own above all times.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::context::ViewContext;
use super::parts::time;
use super::times::{response, service};
use crate::report::rows::{is_measuring, phases_of};
use crate::sinks::tui::chart::{BrailleChart, time_axis};
use crate::sinks::tui::draw::{above, below, beside, heading, lines, page, put, span};
use crate::sinks::tui::scale::{Measure, round_within, show_round_us};
use crate::sinks::tui::series::TimeSpan as Seconds;
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::width;
use crate::sinks::tui::theme::{Colours, Theme};
use crate::stats::heat::{row_us, untimed};
use crate::stats::{Histogram, Latency, Untimed, Window};
use crate::units::{show_count, show_us};

/// Percentiles of the table.
const PERCENTILES: [(&str, f64); 8] = [
    ("min", 0.0),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("max", 1.0),
];

/// Rows of both tables, titles included.
const TABLES: u16 = 11;

/// Draws the view; on a low screen the charts come last.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, rows: u16) -> Buffer {
    let across = columns >= 110;
    let (map, charts) = match rows {
        0..34 => (rows.saturating_sub(TABLES).max(8), 9),
        34..60 => (rows - TABLES - 12, 12),
        _ => ((rows - TABLES) / 2, rows - TABLES - (rows - TABLES) / 2),
    };
    let needed = map + TABLES + if across { charts } else { 2 * charts };
    let mut page = page(columns, needed.max(rows));
    let whole = page.area;
    heat_map(&mut page, above(whole, map), context);
    let rest = below(whole, map);
    let (tables_area, charts_area) = if rows < 34 {
        (above(rest, TABLES), below(rest, TABLES))
    } else {
        let height = if across { charts } else { 2 * charts };
        (below(rest, height), above(rest, height))
    };
    tables(&mut page, tables_area, context);
    if across {
        let parts = beside(above(charts_area, charts), 2);
        response(&mut page, parts[0], context);
        service(&mut page, parts[1], context);
    } else {
        response(&mut page, above(charts_area, charts), context);
        service(&mut page, above(below(charts_area, charts), charts), context);
    }
    page
}

/// Draws a heat map: time across, log latency upwards, coloured by count.
pub(super) fn heat_map(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let theme = context.theme;
    let span_s = Seconds::of(context.report, context.ui.zoom);
    let mut grid = Grid::of(context, span_s);
    let scale = [0.1, 0.4, 0.7, 1.0].map(|share| {
        let (sign, style) = theme.heat(share);
        span(sign.to_string(), style)
    });
    let mut note = vec![span("1 ", theme.dim())];
    note.extend(scale);
    note.push(span(format!(" {} calls", show_count(grid.hottest.into())), theme.dim()));
    let inner = heading(page, area, "Response heat map", &Line::from(note), theme);
    if inner.height < 3 || inner.width < 16 {
        return;
    }
    let Some((low, high)) = grid.rows else {
        put(page, inner, (1, 0), "no call has ended yet", theme.dim());
        return;
    };
    let rows = inner.height - 1;
    // On a low screen, times take precedence over missing times.
    grid.reasons.truncate(usize::from(inner.height / 4));
    let top = grid.reasons.len() as u16;
    let labels = round_labels(rows - top, low, high);
    let room = 11.min(inner.width / 4);
    for row in 0..rows {
        let text = match row.checked_sub(top) {
            None => grid.reasons[usize::from(row)].name(),
            Some(row) => &labels[usize::from(row)],
        };
        let at = room.saturating_sub(width(text) as u16);
        put(page, Rect { width: room, ..inner }, (at, row), text, theme.dim());
        put(page, inner, (room, row), "│", theme.dim());
    }
    let plot = Rect { x: inner.x + room + 1, width: inner.width - room - 1, height: rows, ..inner };
    grid.paint(page, plot, context, top, span_s);
    let chart = BrailleChart {
        curves: &[],
        width_s: context.report.timeline.width_s,
        span: span_s,
        warmup_s: context.report.info.plan.warmup.as_secs_f64(),
        marks: &super::parts::marks(context.report),
        measure: Measure::Time,
        log: true,
    };
    time_axis(page, inner, plot, &chart, theme);
}

/// Labels of `places` rows of the screen from the top: round times, each in the row that covers it,
/// with a row between two labels; the roundest come first.
fn round_labels(places: u16, low: u8, high: u8) -> Vec<String> {
    let from = |place: u16| row_us(Grid::row(place, places, low, high));
    let until = |place: u16| if place == 0 { row_us(high + 1) } else { from(place - 1) };
    let mut found: Vec<_> = (0..places)
        .filter_map(|place| Some((place, round_within(from(place), until(place))?)))
        .collect();
    found.sort_by_key(|(_, (_, roundness))| *roundness);
    let mut labels = vec![String::new(); usize::from(places)];
    for (place, (us, _)) in found {
        let place = usize::from(place);
        let around = place.saturating_sub(1)..(place + 2).min(labels.len());
        if labels[around].iter().all(String::is_empty) {
            labels[place] = show_round_us(us);
        }
    }
    labels
}

/// The range of a heat map.
struct Grid {
    /// The lowest and the highest row of `stats::heat` with a call.
    rows: Option<(u8, u8)>,
    /// Reasons for missing times, from the top.
    reasons: Vec<Untimed>,
    /// The highest count of a row in a second.
    hottest: u32,
}

impl Grid {
    fn of(context: &ViewContext<'_>, span: Seconds) -> Self {
        let mut grid = Self { rows: None, reasons: Vec::new(), hottest: 0 };
        let mut is_there = [false; Untimed::ALL.len()];
        for point in context.report.timeline.points() {
            if f64::from(point.second + context.report.timeline.width_s) <= span.from {
                continue;
            }
            for &(row, count) in &point.heat.0 {
                grid.hottest = grid.hottest.max(count);
                if let Some(why) = untimed(row) {
                    is_there[why as usize] = true;
                } else {
                    let (low, high) = grid.rows.unwrap_or((row, row));
                    grid.rows = Some((low.min(row), high.max(row)));
                }
            }
        }
        grid.reasons =
            Untimed::ALL.into_iter().rev().filter(|why| is_there[*why as usize]).collect();
        if !grid.reasons.is_empty() {
            grid.rows = grid.rows.or(Some((40, 60)));
        }
        // A map of a single row would not show what is close to it.
        grid.rows = grid.rows.map(|(low, high)| (low.saturating_sub(1), high.max(low + 7)));
        grid
    }

    /// Returns the first row of `stats::heat` of a place among `places`, counted from the top.
    fn row(place: u16, places: u16, low: u8, high: u8) -> u8 {
        let rows = u32::from(high - low) + 1;
        let from_below = u32::from(places.saturating_sub(place + 1));
        low + (from_below * rows / u32::from(places.max(1))) as u8
    }

    /// Returns the places that a row covers, counted from the top; at least one.
    fn places(&self, row: u8, places: u16) -> std::ops::Range<usize> {
        let Some((low, high)) = self.rows else { return 0..0 };
        let (rows, places) = (usize::from(high - low) + 1, usize::from(places));
        let above = |row: usize| places - (row * places / rows).min(places);
        let row = usize::from(row.clamp(low, high) - low);
        let (from, end) = (above(row + 1), above(row));
        if from < end { from..end } else { from.saturating_sub(1)..from.max(1) }
    }

    fn paint(
        &self,
        page: &mut Buffer,
        plot: Rect,
        context: &ViewContext<'_>,
        top: u16,
        span: Seconds,
    ) {
        // Where a cell can have a background colour, it holds two rows.
        let halves =
            if context.theme.colours == Colours::Many && context.theme.unicode { 2 } else { 1 };
        let (columns, places) = (usize::from(plot.width), (plot.height - top) * halves);
        let mut heat = vec![0_u64; columns * usize::from(places)];
        let mut none = vec![0_u64; columns * self.reasons.len()];
        let width = context.report.timeline.width_s;
        for point in context.report.timeline.points() {
            let (from, to) = (f64::from(point.second), f64::from(point.second + width));
            let scale = columns as f64 / (span.to - span.from);
            let first = ((from - span.from) * scale).floor().max(0.0) as usize;
            let end = ((to - span.from) * scale).ceil().max(0.0) as usize;
            for column in first..end.min(columns).max(first) {
                for &(row, count) in &point.heat.0 {
                    let reason = untimed(row);
                    let place = self.reasons.iter().position(|why| Some(*why) == reason);
                    match (place, reason) {
                        (Some(place), _) => {
                            none[place * columns + column.min(columns - 1)] += u64::from(count);
                        }
                        (None, None) if column < columns => {
                            for place in self.places(row, places) {
                                heat[place * columns + column] += u64::from(count);
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
        let hottest = heat.iter().chain(&none).copied().max().unwrap_or(1).max(1);
        let share = |count: u64| ((count + 1) as f64).ln() / ((hottest + 1) as f64).ln();
        for column in 0..columns {
            for row in 0..top {
                let count = none[usize::from(row) * columns + column];
                if count > 0 {
                    let (sign, style) = context.theme.heat(share(count));
                    put(page, plot, (column as u16, row), &sign.to_string(), style);
                }
            }
            for row in 0..plot.height - top {
                let at = |half: u16| heat[usize::from(row * halves + half) * columns + column];
                let place = (column as u16, row + top);
                match (halves, at(0), if halves == 2 { at(1) } else { 0 }) {
                    (_, 0, 0) => {}
                    (1, count, _) => {
                        let (sign, style) = context.theme.heat(share(count));
                        put(page, plot, place, &sign.to_string(), style);
                    }
                    (_, upper, 0) => {
                        put(page, plot, place, "▀", context.theme.heat(share(upper)).1);
                    }
                    (_, 0, lower) => {
                        put(page, plot, place, "▄", context.theme.heat(share(lower)).1);
                    }
                    (_, upper, lower) => {
                        let style = context.theme.heat(share(upper)).1;
                        let behind = context.theme.heat(share(lower)).1.fg.unwrap_or_default();
                        put(page, plot, place, "▀", style.bg(behind));
                    }
                }
            }
        }
    }
}

/// Draws the table of all kinds of time, and the phases beside it if there is room.
fn tables(page: &mut Buffer, area: Rect, context: &ViewContext<'_>) {
    let (snapshot, theme) = (&context.report.snapshot, context.theme);
    let warm = is_measuring(context.report);
    let part = if warm { &snapshot.measured } else { &snapshot.warmup };
    let note = Line::from(span(if warm { "" } else { "in the warm-up" }, theme.dim()));
    let mut show = |area: Rect, title: &str, table: &ViewTable| {
        let inner = heading(page, area, title, &note, theme);
        let (head, rows) = table.lines(usize::from(inner.width).saturating_sub(1), theme);
        let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner };
        lines(page, inner, &[vec![head], rows].concat());
    };
    if area.width < 100 {
        return show(area, "Percentiles", &percentiles(part, theme));
    }
    let parts = beside(area, 2);
    show(parts[0], "Percentiles", &percentiles(part, theme));
    show(parts[1], "Phases of attempts", &phases(part, theme));
}

fn percentiles(part: &Window, theme: Theme) -> ViewTable {
    let (mut lag, mut blocked, mut iteration) =
        (Histogram::default(), Histogram::default(), Latency::default());
    for load in &part.workloads {
        lag.merge(&load.lag);
        blocked.merge(&load.blocked);
        iteration.merge(&load.iteration);
    }
    let response = part.response(|_| true, part.lost());
    let kinds = [response, part.service(|_| true), lag.into(), blocked.into(), iteration];
    let mut times = ViewTable::new(&[
        words("", 0),
        numbers("response", 0),
        numbers("service", 0),
        numbers("lag", 2),
        numbers("blocked", 3),
        numbers("iteration", 1),
    ]);
    for (name, p) in PERCENTILES {
        let mut cells = vec![Cell(name.to_owned(), theme.dim())];
        let shortest = |kind: &Latency| kind.shortest_us().map_or("-".to_owned(), show_us);
        cells.extend(
            kinds
                .iter()
                .map(|kind| Cell::plain(if p > 0.0 { time(kind, p) } else { shortest(kind) })),
        );
        times.row(cells);
    }
    times
}

fn phases(part: &Window, theme: Theme) -> ViewTable {
    let mut phases = ViewTable::new(&[
        words("", 0),
        numbers("times", 1),
        numbers("p50", 0),
        numbers("p99", 0),
        numbers("max", 2),
    ]);
    for phase in phases_of(part) {
        let latency = Latency::from(phase.times.clone());
        // Few services have a login.
        if phase.key == "login" && latency.count() == 0 {
            continue;
        }
        let name = Cell(phase.name.to_owned(), theme.dim());
        let mut cells = vec![name, Cell::plain(show_count(latency.count()))];
        cells.extend([0.5, 0.99, 1.0].map(|p| Cell::plain(time(&latency, p))));
        phases.row(cells);
    }
    phases
}
