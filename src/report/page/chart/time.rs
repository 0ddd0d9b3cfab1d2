//! Charts over time: series on the shared axis, with warm-up and events.
//!
//! Sections pass series; the script reads the figure's JSON for the values under the pointer.
//! Invariant: all charts of a page have the same axis, so that a place across is the same time in
//! all.

use maud::{Markup, html};
use serde_json::json;

use super::super::axis::{MARKS, TimeAxis, events, mark};
use super::path::SvgPath;
use super::scale::{AxisScale, clock, time_step};
use super::{ChartUnit, LegendEntry, Plot, WIDTH, below, caption, data, legend, tenth};
use crate::event::Report;
use crate::stats::Quantile;

/// Minimum distance between two markers of bounds.
const APART: f64 = 12.0;

/// The form of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeriesStyle {
    /// A line.
    Line,
    /// A step line.
    Steps,
    /// The area below a line.
    Area,
}

/// A series: values by column.
#[derive(Debug)]
pub struct ChartSeries {
    /// Name of the series.
    pub name: String,
    /// Class of the series in the style sheet.
    pub class: &'static str,
    /// Form of the series.
    pub look: SeriesStyle,
    /// The values; `None`: nothing is known.
    pub values: Vec<Option<f64>>,
    /// Columns whose value is a lower bound. A bound without a value: it is only known that there
    /// was no response.
    pub bounds: Vec<usize>,
    /// Columns whose value rests on few calls.
    pub thin: Vec<usize>,
}

/// A chart over time.
#[derive(Debug)]
pub struct TimeChart {
    /// Title of the chart.
    pub title: String,
    /// A remark for readers.
    pub note: String,
    /// The value scale.
    pub plot: Plot,
    /// The series.
    pub series: Vec<ChartSeries>,
}

impl ChartSeries {
    /// Creates a series of values without bounds.
    pub fn new(
        name: impl Into<String>,
        class: &'static str,
        look: SeriesStyle,
        values: Vec<Option<f64>>,
    ) -> Self {
        let (bounds, thin) = (Vec::new(), Vec::new());
        Self { name: name.into(), class, look, values, bounds, thin }
    }

    /// Creates a series of a percentile.
    pub fn quantiles(name: &str, class: &'static str, all: &[Option<Quantile>]) -> Self {
        let columns = |is: fn(&Quantile) -> bool| {
            let known = all.iter().enumerate().filter(|(_, one)| one.as_ref().is_some_and(is));
            known.map(|(column, _)| column).collect()
        };
        Self {
            name: name.to_owned(),
            class,
            look: SeriesStyle::Line,
            // A bound of zero has no information, and would look fast.
            values: all
                .iter()
                .map(|one| one.filter(|one| one.us > 0 || !one.at_least).map(|one| one.us as f64))
                .collect(),
            bounds: columns(|one| one.at_least),
            thin: columns(|one| one.thin),
        }
    }

    fn draw(&self, plot: &mut Plot, axis: &TimeAxis) {
        let points = || {
            let all = self.values.iter().enumerate();
            all.map(|(at, value)| value.map(|value| (axis.middle(at, WIDTH), plot.down(value))))
        };
        let base = f64::from(plot.height);
        let path = match self.look {
            SeriesStyle::Line => SvgPath::line(points()),
            SeriesStyle::Steps => SvgPath::steps(axis.span(WIDTH), points()),
            SeriesStyle::Area => {
                SvgPath::between(points().map(|one| one.map(|(x, y)| (x, base, y))))
            }
        };
        let (mut dots, mut last) = (SvgPath::default(), f64::NEG_INFINITY);
        for column in &self.bounds {
            let x = axis.middle(*column, WIDTH);
            // Overlapping circles would look like a band.
            if x - last < APART {
                continue;
            }
            last = x;
            // Above every response: nothing more is known.
            let value = self.values.get(*column).copied().flatten();
            let y = value.map_or(plot.above, |value| plot.down(value));
            dots.add_dot(x, y);
        }
        let kind = if self.look == SeriesStyle::Area { "fill" } else { "line" };
        let class = self.class;
        plot.draw(format!("{kind} {class}"), path);
        // An open marker: a dot of the series, with a smaller one of the background on it.
        plot.draw(format!("bound {class}"), dots.clone());
        plot.draw("hole", dots);
    }
}

impl TimeChart {
    /// Creates a chart with a linear scale from zero.
    pub fn linear(
        title: &str,
        note: &str,
        unit: ChartUnit,
        height: u32,
        series: Vec<ChartSeries>,
    ) -> Self {
        let values = series.iter().flat_map(|one| one.values.iter().copied().flatten());
        let scale = match unit {
            ChartUnit::Bytes => AxisScale::bytes(values),
            _ => AxisScale::linear(values),
        };
        let plot = Plot::new(title, height, scale, unit);
        Self { title: title.to_owned(), note: note.to_owned(), plot, series }
    }

    /// Renders the figure.
    pub fn render(self, report: &Report, axis: &TimeAxis) -> Markup {
        let Self { title, note, mut plot, series } = self;
        series.iter().for_each(|one| one.draw(&mut plot, axis));
        let keys: Vec<LegendEntry> = (series.iter())
            .map(|one| LegendEntry { class: one.class, name: one.name.clone() })
            .collect();
        let values = json!({ "unit": plot.unit.name(), "series": series.iter().map(|one| json!({
            "values": one.values.iter().map(|value| value.map(tenth)).collect::<Vec<_>>(),
            "bounds": one.bounds, "thin": one.thin,
        })).collect::<Vec<_>>() });
        figure(report, axis, &title, &note, plot, &keys, &values)
    }
}

/// A figure on the time axis: shapes, the warm-up below them, and events above.
pub fn figure(
    report: &Report,
    axis: &TimeAxis,
    title: &str,
    note: &str,
    mut plot: Plot,
    keys: &[LegendEntry],
    values: &serde_json::Value,
) -> Markup {
    let height = f64::from(plot.height);
    let drawn = std::mem::take(&mut plot.layers);
    let mut warmup = SvgPath::default();
    if axis.warmup_s > 0.0 {
        warmup.add_bar(0.0, 0.0, axis.place(axis.warmup_s, WIDTH), height);
    }
    plot.draw("warmup", warmup);
    plot.layers.extend(drawn);
    let mut marks: [SvgPath; MARKS.len()] = Default::default();
    let mut last = [f64::NEG_INFINITY; MARKS.len()];
    for notice in events(report) {
        let (kind, x) = (mark(notice.kind()), axis.place(notice.at.ns() as f64 / 1e9, WIDTH));
        // Events at the same place share a line.
        if x - last[kind] >= WIDTH / super::super::axis::COLUMNS as f64 {
            marks[kind].add_upright(x, height);
            last[kind] = x;
        }
    }
    for ((class, _), path) in MARKS.iter().zip(marks) {
        plot.draw(format!("mark {class}"), path);
    }
    html! {
        figure.chart.time data-seconds=(axis.seconds) data-step=(axis.step_s) {
            (caption(title, note, true))
            div.plot {
                (plot.upward())
                (plot.area())
                (below(&across(axis)))
            }
            (legend(keys))
            (data(values))
        }
    }
}

/// Returns round times, at most eight.
fn across(axis: &TimeAxis) -> Vec<(f64, String)> {
    let seconds = f64::from(axis.seconds);
    let step = time_step(seconds, 7.0);
    let ticks = (0..).map(|at| at * step).take_while(|second| f64::from(*second) <= seconds);
    ticks.map(|second| (f64::from(second) / seconds, clock(second))).collect()
}
