//! A metric over several runs as a page: a chart, and a table of the runs.
//!
//! `history` calls it.
//! Invariant: runs are at equal distances, oldest first; a value that is only a bound is drawn as
//! one.

use maud::{Markup, html};

use super::chart::path::SvgPath;
use super::chart::scale::AxisScale;
use super::chart::{ChartUnit, LegendEntry, Plot, WIDTH, figure};
use super::document::{RenderedSection, sections_page};
use super::section::sortable;
use super::words::HtmlText;

/// The unit of the values.
pub use super::chart::ChartUnit as TrendUnit;

/// Maximum names of runs below the chart.
const NAMES: usize = 8;

/// A run with its value.
#[derive(Clone, Debug)]
pub struct TrendPoint {
    /// The id of the run, shortened.
    pub run: String,
    /// When it started.
    pub started: String,
    /// The scenario's name.
    pub scenario: String,
    /// The verdict.
    pub verdict: String,
    /// The trust verdict.
    pub trust: String,
    /// The commit, shortened; empty if it is not known.
    pub commit: String,
    /// Whether the run before had another commit.
    pub is_new_commit: bool,
    /// Tags as `name=value`.
    pub tags: Vec<String>,
    /// The value, of shares in percent.
    pub value: f64,
    /// The value as text.
    pub shown: String,
    /// The change against the run before, as text.
    pub change: String,
    /// Whether the value is only a lower bound.
    pub at_least: bool,
}

/// Returns the page.
pub fn trend(metric: &str, unit: ChartUnit, points: &[TrendPoint]) -> String {
    let parts = [
        RenderedSection { id: "trend", title: "Trend", inner: Some(chart(metric, unit, points)) },
        RenderedSection { id: "runs", title: "Runs", inner: Some(table(points)) },
    ];
    sections_page(&format!("trend · {metric}"), &parts)
}

fn chart(metric: &str, unit: ChartUnit, points: &[TrendPoint]) -> Markup {
    if points.is_empty() {
        return html! { p.empty { "No run has this metric." } };
    }
    let values = points.iter().map(|point| point.value);
    let scale = match unit {
        ChartUnit::Bytes => AxisScale::bytes(values),
        _ => AxisScale::linear(values),
    };
    let mut plot = Plot::new(format!("{metric} by run"), 240, scale, unit);
    let x = |at: usize| (at as f64 + 0.5) / points.len() as f64;
    let (mut commits, mut dots, mut bounds) =
        (SvgPath::default(), SvgPath::default(), SvgPath::default());
    for (at, point) in points.iter().enumerate() {
        let (left, down) = (x(at) * WIDTH, plot.down(point.value));
        if point.is_new_commit {
            commits.add_upright((at as f64 / points.len() as f64) * WIDTH, 240.0);
        }
        if point.at_least { bounds.add_dot(left, down) } else { dots.add_dot(left, down) }
    }
    let line = points.iter().enumerate();
    let line = SvgPath::line(line.map(|(at, one)| Some((x(at) * WIDTH, plot.down(one.value)))));
    plot.draw("mark client", commits);
    plot.draw("line c0", line);
    plot.draw("bound c0", dots);
    plot.draw("bound bad", bounds);
    let each = points.len().div_ceil(NAMES);
    let named = points.iter().enumerate().step_by(each.max(1));
    let across: Vec<(f64, String)> =
        named.map(|(at, point)| (x(at), super::words::short(&point.run))).collect();
    let mut keys = vec![LegendEntry { class: "c0", name: metric.to_owned() }];
    if points.iter().any(|point| point.is_new_commit) {
        keys.push(LegendEntry { class: "client", name: "a new commit begins".to_owned() });
    }
    if points.iter().any(|point| point.at_least) {
        keys.push(LegendEntry { class: "bad", name: "lower bound".to_owned() });
    }
    figure(metric, "by run, oldest first", plot, &across, &keys)
}

fn table(points: &[TrendPoint]) -> Markup {
    let columns = [
        ("run", false),
        ("started (UTC)", false),
        ("scenario", false),
        ("value", true),
        ("change", true),
        ("verdict", false),
        ("trust", false),
        ("commit", false),
        ("tags", false),
    ];
    let rows = html! {
        @for point in points {
            tr {
                td { code { (HtmlText(&point.run)) } }
                td { (HtmlText(&point.started)) }
                td { (HtmlText(&point.scenario)) }
                td.n.open[point.at_least] data-v=(point.value) { (HtmlText(&point.shown)) }
                td.n { (HtmlText(&point.change)) }
                td { (HtmlText(&point.verdict)) }
                td { (HtmlText(&point.trust)) }
                td {
                    code { (HtmlText(&point.commit)) }
                    @if point.is_new_commit { " new" }
                }
                td { (HtmlText(&point.tags.join(" "))) }
            }
        }
    };
    sortable("runs", &columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_database_are_escaped() {
        let hostile = "<script>alert(1)</script>";
        let point = TrendPoint {
            run: hostile.to_owned(),
            started: hostile.to_owned(),
            scenario: hostile.to_owned(),
            verdict: hostile.to_owned(),
            trust: hostile.to_owned(),
            commit: hostile.to_owned(),
            is_new_commit: true,
            tags: vec![hostile.to_owned()],
            value: 7.0,
            shown: hostile.to_owned(),
            change: hostile.to_owned(),
            at_least: true,
        };
        let page = trend(hostile, ChartUnit::Micros, &[point.clone(), point]);
        assert!(!page.contains("<script>alert"), "{page}");
        assert!(page.contains("&lt;script&gt;alert"), "{page}");
        assert!(page.contains("Content-Security-Policy"));
        assert!(trend("x", ChartUnit::Count, &[]).contains("No run has this metric"));
    }
}
