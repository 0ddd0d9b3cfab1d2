//! The heat map of response times: time across, log latency upwards, coloured by count.
//!
//! `latency` draws it below its lines.
//! Invariant: each reason for a missing response time has a row on top; every call is in one cell.

use maud::{Markup, html};
use serde_json::json;

use super::super::axis::TimeAxis;
use super::super::chart::path::SvgPath;
use super::super::chart::scale::AxisScale;
use super::super::chart::{ChartUnit, LegendEntry, Plot, WIDTH, tenth, time};
use crate::event::Report;
use crate::stats::heat::{BEYOND, row_us, untimed};
use crate::stats::{HeatColumn, Untimed};
use crate::units::show_count;

/// The number of colours.
const LEVELS: usize = 7;
/// Height of a row, pixels.
const ROW: f64 = 8.0;
/// Height of a row of calls without a response time.
const TOP: f64 = 14.0;

/// Cells by level: one path per colour.
type Cells = [SvgPath; LEVELS];

/// Returns the figure; nothing if there was no call.
pub fn render(report: &Report, axis: &TimeAxis) -> Markup {
    let columns = columns(report, axis);
    let rows = || columns.iter().flat_map(|heat| &heat.0).filter(|(row, _)| *row < BEYOND);
    let silent: Vec<u32> = columns.iter().map(beyond).collect();
    let silent_most = silent.iter().copied().max().unwrap_or(0);
    let low = rows().map(|one| one.0).min();
    let high = rows().map(|one| one.0).max();
    let (Some(low), Some(high)) = (low, high) else {
        return html! { p.empty { "No call had a duration yet: there is no heat map." } };
    };
    let most = rows().map(|one| one.1).max().unwrap_or(1);
    // Some rows around the used ones: constant latency is a line, not a bar.
    let (low, high) = (low.saturating_sub(3), high + 3);
    // The reasons that occurred, from the top: the furthest from a response first.
    let is_there = |why: &Untimed| columns.iter().any(|heat| untimed_count(heat, *why) > 0);
    let reasons: Vec<Untimed> = Untimed::ALL.into_iter().rev().filter(is_there).collect();
    let above = if reasons.is_empty() { 0.0 } else { TOP * reasons.len() as f64 + 3.0 };
    let height = f64::from(high - low + 1) * ROW + above;
    let scale = AxisScale::Log(row_us(low).max(1.0), row_us(high + 1));
    let label = "Response times: how many calls, by time and magnitude";
    let mut plot = Plot::new(label, height as u32, scale, ChartUnit::Micros);
    plot.above = above;
    for (place, why) in reasons.iter().enumerate() {
        plot.names.push((TOP * (place as f64 + 0.5), why.name().to_owned()));
    }
    // Rounded to the tenth that is written: neighbours touch, without a gap of a pixel.
    let edge = |column: usize| tenth(column as f64 * axis.span(WIDTH));
    let (mut cells, mut tops) = (Cells::default(), Cells::default());
    for (at, heat) in columns.iter().enumerate() {
        let (x, width) = (edge(at), edge(at + 1) - edge(at));
        for (from, to, level) in runs(heat, most) {
            let y = height - f64::from(to - low + 1) * ROW;
            cells[level].add_bar(x, y, width, f64::from(to - from + 1) * ROW);
        }
        for (place, why) in reasons.iter().enumerate() {
            let count = untimed_count(heat, *why);
            if count > 0 {
                let y = TOP * place as f64;
                tops[level_of(count, silent_most)].add_bar(x, y, width, TOP - 1.0);
            }
        }
    }
    for (kind, paths) in [("heat", cells), ("silent", tops)] {
        for (level, path) in paths.into_iter().enumerate() {
            plot.draw(format!("cell {kind}{level}"), path);
        }
    }
    let calls: Vec<u64> =
        columns.iter().map(|heat| heat.0.iter().map(|one| u64::from(one.1)).sum()).collect();
    let keys = [
        LegendEntry { class: "heat5", name: "calls in the column".to_owned() },
        LegendEntry { class: "silent5", name: "calls without a known time".to_owned() },
    ];
    let values = json!({ "unit": "count", "series": [{ "values": calls }, { "values": silent }] });
    let note = "logarithmic axis; timeouts at their age; calls without a known time on top";
    html! {
        (time::figure(report, axis, "Heat map", note, plot, &keys, &values))
        (levels(most))
    }
}

/// Returns the sum of the points of each column.
fn columns(report: &Report, axis: &TimeAxis) -> Vec<HeatColumn> {
    let mut columns: Vec<HeatColumn> = vec![HeatColumn::default(); axis.columns];
    for point in report.timeline.points() {
        columns[axis.column(point.second)].add(&point.heat);
    }
    columns
}

fn beyond(heat: &HeatColumn) -> u32 {
    heat.0.iter().filter(|(row, _)| *row >= BEYOND).map(|one| one.1).sum()
}

fn untimed_count(heat: &HeatColumn, why: Untimed) -> u32 {
    heat.0.iter().filter(|(row, _)| untimed(*row) == Some(why)).map(|one| one.1).sum()
}

/// Merges adjacent rows of one level: the lowest, the highest, their level.
fn runs(heat: &HeatColumn, most: u32) -> Vec<(u8, u8, usize)> {
    let mut runs: Vec<(u8, u8, usize)> = Vec::new();
    for (row, count) in heat.0.iter().filter(|(row, _)| *row < BEYOND) {
        let level = level_of(*count, most);
        match runs.last_mut() {
            Some((_, to, same)) if *same == level && *to + 1 == *row => *to = *row,
            _ => runs.push((*row, *row, level)),
        }
    }
    runs
}

/// Returns the level of a count: equal steps are equal ratios.
fn level_of(count: u32, most: u32) -> usize {
    let share = f64::from(count.max(1)).ln() / f64::from(most.max(2)).ln();
    ((share * LEVELS as f64) as usize).min(LEVELS - 1)
}

/// The legend of the colours.
fn levels(most: u32) -> Markup {
    let from = |level: usize| {
        let share = level as f64 / LEVELS as f64;
        (f64::from(most.max(2)).ln() * share).exp().ceil().max(1.0) as u64
    };
    // With few calls several levels begin at the same count.
    let begins = |level: &usize| *level == 0 || from(*level) > from(level - 1);
    html! {
        ul.scale aria-label="Calls in a cell" {
            li { "calls per cell from" }
            @for level in (0..LEVELS).filter(begins) {
                @let class = format!("heat{level}");
                li { i.(class) {} (show_count(from(level))) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::made_up;
    use super::*;

    #[test]
    fn more_calls_are_never_a_lower_level() {
        for most in [1, 2, 9, 1_000_000, u32::MAX] {
            let counts = [1, 2, 3, 10, 999, 1_000_000, u32::MAX];
            let levels = counts.map(|count| level_of(count.min(most), most));
            assert!(levels.is_sorted() && levels.iter().all(|level| *level < LEVELS), "{levels:?}");
        }
        assert_eq!((level_of(1, 1_000), level_of(1_000, 1_000)), (0, LEVELS - 1));
    }

    #[test]
    fn neighbours_of_one_level_are_one_bar() {
        let heat = HeatColumn(vec![(3, 1), (4, 1), (5, 900), (7, 900), (BEYOND, 5)]);
        assert_eq!(runs(&heat, 1_000), [(3, 4, 0), (5, 5, 6), (7, 7, 6)]);
        assert_eq!(beyond(&heat), 5);
    }

    #[test]
    fn neighbours_touch_however_narrow_they_are() {
        let report = made_up(3_600, "shop");
        let axis = TimeAxis::of(&report, 500);
        let page = render(&report, &axis).into_string();
        // Paths of cells only.
        let paths = page.split("class=\"cell").skip(1).filter_map(|path| path.split('>').next());
        let bars = paths.flat_map(|path| path.split('M')).filter_map(|bar| bar.split_once(' '));
        let numbers = bars.filter_map(|(x, rest)| {
            let width = rest.split_once('h')?.1.split_once('v')?.0;
            Some((x.parse::<f64>().ok()?, width.parse::<f64>().ok()?))
        });
        let mut edges: Vec<(i64, i64)> = (numbers)
            .map(|(x, width)| ((x * 10.0).round() as i64, ((x + width) * 10.0).round() as i64))
            .collect();
        edges.sort_unstable();
        edges.dedup();
        assert!(edges.len() > 100);
        assert!(edges.windows(2).all(|two| two[0].1 == two[1].0), "{edges:?}");
    }
}
