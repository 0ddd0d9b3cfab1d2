//! Latency over time: percentiles of response and service time on one axis, and the heat map.
//!
//! Invariant: percentiles are never averaged, and bounds are drawn as bounds.

use maud::{Markup, html};

use super::super::axis::TimeAxis;
use super::super::chart::scale::AxisScale;
use super::super::chart::time::{ChartSeries, TimeChart};
use super::super::chart::{ChartUnit, Plot};
use super::super::view::PageView;
use super::heat;
use crate::event::Report;
use crate::stats::timeline::{BAND, PercentileBand};

/// Styles of the percentiles, in the order of [`BAND`].
const LOOKS: [&str; BAND.len()] = ["p50", "p95", "p99", "max"];

pub fn render(view: &PageView<'_>) -> Markup {
    let PageView { report, axis, .. } = view;
    let response = axis.worst(report, |point| point.response);
    let service = axis.worst(report, |point| point.service);
    let known = |all: &[PercentileBand]| {
        let known = all.iter().flatten().flatten().filter(|one| one.us > 0 || !one.at_least);
        known.map(|one| one.us as f64).collect::<Vec<_>>()
    };
    // One scale for both, so that the distance between them is visible.
    let scale = AxisScale::log([known(&response), known(&service)].concat().into_iter());
    html! {
        div.grid.wide {
        (percentiles(report, axis, scale, "Response time", "scheduled start", &response))
        (percentiles(report, axis, scale, "Service time", "sending", &service))
        }
        (heat::render(report, &view.coarse))
    }
}

fn percentiles(
    report: &Report,
    axis: &TimeAxis,
    scale: AxisScale,
    title: &str,
    from: &str,
    all: &[PercentileBand],
) -> Markup {
    let series: Vec<ChartSeries> = (BAND.iter().zip(LOOKS).enumerate().rev())
        .map(|(at, ((name, _), class))| {
            let column: Vec<_> = all.iter().map(|band| band[at]).collect();
            ChartSeries::quantiles(name, class, &column)
        })
        .collect();
    let thin = series.iter().filter(|one| one.class == "p99").map(|one| one.thin.len()).sum();
    let bounds: usize = series.iter().map(|one| one.bounds.len()).sum();
    let note = note(from, axis, thin, bounds);
    let plot = Plot::new(format!("{title}: percentiles over time"), 240, scale, ChartUnit::Micros);
    TimeChart { title: title.to_owned(), note, plot, series }.render(report, axis)
}

/// A remark on the lines.
fn note(from: &str, axis: &TimeAxis, thin: usize, bounds: usize) -> String {
    let mut parts = vec![format!("{from} to the last byte; worst second per column")];
    if thin > 0 {
        let all = axis.columns;
        parts.push(format!("p99 of few calls (~) in {thin} of {all} columns"));
    }
    if bounds > 0 {
        parts.push("○ lower bound (≥); at the top: no known time".to_owned());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_what_the_lines_are() {
        let axis = TimeAxis { seconds: 9, columns: 9, step_s: 1, width_s: 1, warmup_s: 0.0 };
        let plain = note("from x", &axis, 0, 0);
        assert_eq!(plain, "from x to the last byte; worst second per column");
        let all = note("from x", &axis, 4, 1);
        assert!(all.contains("few calls (~) in 4 of 9") && all.contains("○ lower bound"), "{all}");
    }
}
