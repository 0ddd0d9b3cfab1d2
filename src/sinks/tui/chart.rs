//! Line charts over time: Braille dots in colours, or one character per series without colours.
//!
//! Views pass it readings; it draws them with both axes.
//! Invariant: a bound is never drawn like a value, and the warm-up is marked on the time axis.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span as Part};

use super::draw::{put, span};
use super::scale::{Measure, ValueScale};
use super::series::{ColumnMerge, SeriesReading, TimeSpan, columns};
use super::text::width;
use super::theme::{Colours, Theme};
use crate::units::show_duration;

/// Characters of series where colours do not distinguish them.
const SIGNS: [char; 4] = ['·', '○', '●', '◆'];

/// A series.
pub(super) struct ChartCurve {
    /// Name of the series.
    pub(super) name: &'static str,
    /// Readings of the series.
    pub(super) readings: Vec<SeriesReading>,
    /// How readings of the same column are merged.
    pub(super) many: ColumnMerge,
    /// Style of the series.
    pub(super) style: Style,
}

/// A chart with several series.
pub(super) struct BrailleChart<'a> {
    /// The series, the most important last.
    pub(super) curves: &'a [ChartCurve],
    /// Seconds per reading.
    pub(super) width_s: u32,
    /// The visible part of the time axis.
    pub(super) span: TimeSpan,
    /// End of the warm-up, seconds.
    pub(super) warmup_s: f64,
    /// Times of control commands and marks, seconds.
    pub(super) marks: &'a [f64],
    /// The unit of the values.
    pub(super) measure: Measure,
    /// Whether times are on a logarithmic axis.
    pub(super) log: bool,
}

/// Returns the names of the series, with their last values if there is room, for a title.
pub(super) fn legend(
    curves: &[ChartCurve],
    measure: Measure,
    theme: Theme,
    room: usize,
) -> Line<'static> {
    let full = names(curves, Some(measure), theme);
    if full.width() <= room { full } else { names(curves, None, theme) }
}

fn names(curves: &[ChartCurve], measure: Option<Measure>, theme: Theme) -> Line<'static> {
    let mut parts: Vec<Part<'static>> = Vec::new();
    for (at, curve) in curves.iter().enumerate() {
        if !parts.is_empty() {
            parts.push(Part::raw("  "));
        }
        let sign = if dots(theme) { '●' } else { SIGNS[at.min(SIGNS.len() - 1)] };
        parts.push(span(sign.to_string(), curve.style));
        parts.push(span(format!(" {}", curve.name), theme.dim()));
        if let Some(measure) = measure {
            let value = curve.readings.last().map_or("-".to_owned(), |last| {
                let is_bound = last.at_least && last.value.is_finite();
                let bound = if is_bound { "≥ " } else { "" };
                format!("{bound}{}", measure.show(last.value))
            });
            parts.push(Part::raw(format!(" {value}")));
        }
    }
    Line::from(parts)
}

/// Whether series are drawn as Braille dots.
fn dots(theme: Theme) -> bool {
    theme.unicode && theme.colours != Colours::None
}

/// Draws a chart.
pub(super) fn draw(page: &mut Buffer, area: Rect, chart: &BrailleChart<'_>, theme: Theme) {
    if area.height < 2 || area.width < 8 {
        return;
    }
    let fine = if dots(theme) { (2, 4) } else { (1, 1) };
    let rows = area.height - 1;
    // The labels determine the number of columns; the visible readings determine the scale.
    let all = chart.curves.iter().flat_map(|curve| &curve.readings);
    let shown: Vec<f64> = all
        .filter(|one| f64::from(one.second + chart.width_s) > chart.span.from)
        .map(|one| one.value)
        .collect();
    if shown.is_empty() {
        put(page, area, (1, 0), "nothing yet", theme.dim());
        return;
    }
    let log = chart.log && chart.measure == Measure::Time;
    let scale = ValueScale::of(shown.into_iter(), chart.measure, log, rows);
    let room = scale.ticks.iter().map(|(_, label)| width(label)).max().unwrap_or(0) as u16;
    let room = room.min(area.width / 3);
    for row in 0..rows {
        put(page, area, (room + 1, row), "│", theme.dim());
    }
    for (row, text) in &scale.ticks {
        put(page, area, (room + 1, *row), "┤", theme.dim());
        let at = room.saturating_sub(width(text) as u16);
        put(page, Rect { width: room, ..area }, (at, *row), text, theme.dim());
    }
    let plot = Rect { x: area.x + room + 2, width: area.width - room - 2, height: rows, ..area };
    let mut bits = vec![0_u8; usize::from(plot.width) * usize::from(rows)];
    for (at, curve) in chart.curves.iter().enumerate() {
        let places = usize::from(plot.width) * fine.0;
        let values = columns(&curve.readings, chart.width_s, chart.span, places, curve.many);
        let mut pencil = Pencil { page, plot, bits: &mut bits, style: curve.style };
        if dots(theme) {
            pencil.trace(&values, &scale);
        } else {
            pencil.signs(&values, &scale, SIGNS[at.min(SIGNS.len() - 1)]);
        }
    }
    time_axis(page, area, plot, chart, theme);
}

/// Draws one series.
struct Pencil<'a> {
    page: &'a mut Buffer,
    plot: Rect,
    /// The set dots, by cell.
    bits: &'a mut [u8],
    style: Style,
}

/// Marks a bound, in the same way for every series.
const BOUND: &str = "▲";

impl Pencil<'_> {
    /// Draws readings as Braille dots, joined to a line.
    fn trace(&mut self, values: &[Option<(f64, bool)>], scale: &ValueScale) {
        let top = i32::from(self.plot.height) * 4 - 1;
        let height = |value: f64| top - (scale.place(value) * f64::from(top)).round() as i32;
        let mut before = None;
        for (column, found) in values.iter().enumerate() {
            let Some((value, at_least)) = *found else {
                before = None;
                continue;
            };
            let here = height(value);
            let from = before.map_or(here, |before: i32| before + (here - before).signum());
            for y in from.min(here)..=from.max(here) {
                self.dot(column, y as usize);
            }
            if at_least {
                self.sign(column / 2, here as usize / 4, BOUND);
            }
            before = Some(here);
        }
    }

    fn dot(&mut self, x: usize, y: usize) {
        const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let (column, row) = (x / 2, y / 4);
        let Some(bits) = self.bits.get_mut(row * usize::from(self.plot.width) + column) else {
            return;
        };
        *bits |= DOTS[x % 2][y % 4];
        let sign = char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' ');
        self.sign(column, row, sign.encode_utf8(&mut [0; 4]));
    }

    fn sign(&mut self, column: usize, row: usize, sign: &str) {
        put(self.page, self.plot, (column as u16, row as u16), sign, self.style);
    }

    /// Draws a reading as a character.
    fn signs(&mut self, values: &[Option<(f64, bool)>], scale: &ValueScale, sign: char) {
        let top = usize::from(self.plot.height) - 1;
        for (column, found) in values.iter().enumerate() {
            let Some((value, at_least)) = *found else { continue };
            let row = top - (scale.place(value) * top as f64).round() as usize;
            let mut text = [0; 4];
            let sign = if at_least { BOUND } else { &*sign.encode_utf8(&mut text) };
            self.sign(column, row, sign);
        }
    }
}

/// Draws the time axis: dashed in the warm-up, with times and marks.
pub(super) fn time_axis(
    page: &mut Buffer,
    area: Rect,
    plot: Rect,
    chart: &BrailleChart<'_>,
    theme: Theme,
) {
    let columns = usize::from(plot.width);
    let line = Rect { y: area.bottom() - 1, height: 1, ..plot };
    let corner = Rect { x: plot.x.saturating_sub(1), width: 1, ..line };
    put(page, corner, (0, 0), "└", theme.dim());
    for column in 0..columns {
        let warm = chart.span.time(column, columns) < chart.warmup_s;
        put(page, line, (column as u16, 0), if warm { "┄" } else { "─" }, theme.dim());
    }
    let marks: Vec<usize> =
        chart.marks.iter().filter_map(|mark| chart.span.column(*mark, columns)).collect();
    for mark in &marks {
        put(page, line, (*mark as u16, 0), "◆", theme.accent());
    }
    // A mark is drawn, unless so many marks leave no room for a time label.
    let few = marks.len() < columns / 8;
    let mut free = 0;
    for (column, text) in times(chart.span, columns) {
        let end = column + width(&text);
        let marked = few && marks.iter().any(|mark| (column..end).contains(mark));
        if column >= free && end <= columns && !marked {
            put(page, line, (column as u16, 0), &text, theme.dim());
            free = end + 2;
        }
    }
}

/// Returns times and their columns, at least some cells apart.
fn times(span: TimeSpan, columns: usize) -> Vec<(usize, String)> {
    const STEPS: [u32; 14] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600];
    let seconds = span.to - span.from;
    let wanted = seconds / (columns as f64 / 12.0).max(1.0);
    let step = STEPS.into_iter().map(f64::from).find(|step| *step >= wanted);
    let step = step.unwrap_or_else(|| (wanted / 86_400.0).ceil() * 86_400.0);
    let first = (span.from / step).ceil() as u64;
    let last = (span.to / step).floor() as u64;
    (first..=last)
        .filter_map(|at| {
            let second = at as f64 * step;
            let text = match second as u64 {
                0 => "0s".to_owned(),
                second => show_duration(std::time::Duration::from_secs(second)),
            };
            Some((span.column(second, columns)?, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_stand_in_order_and_within() {
        for to in [1.0, 15.0, 60.0, 3_600.0, 1e6] {
            for columns in [1, 10, 80, 300] {
                let found = times(TimeSpan { from: 0.0, to }, columns);
                assert!(found.iter().all(|(column, _)| *column < columns));
                assert!(found.is_sorted_by_key(|(column, _)| *column));
                assert!(found.len() <= columns / 5 + 3, "{to} {columns}: {found:?}");
            }
        }
    }
}
