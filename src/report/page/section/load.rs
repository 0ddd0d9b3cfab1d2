//! Load over time: scheduled and started iterations of each workload, calls, users, connections.
//!
//! Invariant: scheduled and started iterations share a scale.

use maud::{Markup, html};

use super::super::chart::ChartUnit;
use super::super::chart::time::{ChartSeries, SeriesStyle, TimeChart};
use super::super::view::PageView;
use crate::stats::GaugeSample;
use crate::stats::timeline::StartCounts;

/// Maximum workloads with a chart of their own.
const SHOWN: usize = 8;
/// Maximum workloads with a line of their own in the chart of users.
const LINES: usize = 5;

/// The colours of lines.
const COLOURS: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

pub fn render(view: &PageView<'_>) -> Markup {
    let open: Vec<usize> = workloads(view, true).collect();
    let closed: Vec<usize> = workloads(view, false).collect();
    html! {
        (calls(view))
        div.grid {
            @for at in open.iter().take(SHOWN) { (starts(view, *at)) }
            @if !closed.is_empty() { (users(view, &closed)) (iterations(view, &closed)) }
            (flight(view))
        }
        @if open.len() > SHOWN {
            p.note { "And " (open.len() - SHOWN) " more open workloads: see their table." }
        }
    }
}

fn workloads<'a>(view: &'a PageView<'_>, open: bool) -> impl Iterator<Item = usize> + 'a {
    let all = view.plan.workloads.iter().enumerate();
    all.filter(move |(_, load)| load.open == open).map(|(at, _)| at)
}

fn calls(view: &PageView<'_>) -> Markup {
    let PageView { report, axis, .. } = view;
    let ended = axis.rates(report, |point| point.calls.ended());
    let bad = axis.rates(report, |point| {
        point.calls.ended().saturating_sub(point.calls.ok + point.calls.cancelled)
    });
    let series = vec![
        ChartSeries::new("calls", "c0", SeriesStyle::Area, ended),
        ChartSeries::new("errors", "bad", SeriesStyle::Area, bad),
    ];
    let note =
        "by scheduled second, warm-up included; a column of several seconds shows their mean";
    TimeChart::linear("Calls", note, ChartUnit::PerSecond, 200, series).render(report, axis)
}

/// An open workload: starts due, started on time, and lost.
fn starts(view: &PageView<'_>, at: usize) -> Markup {
    let PageView { report, coarse: axis, .. } = view;
    let of = |count: fn(&StartCounts) -> u64| {
        axis.rates(report, |point| point.loads.get(at).map_or(0, count))
    };
    let lost = of(|load| load.lost);
    let mut series = vec![
        ChartSeries::new("started on time", "c0", SeriesStyle::Area, of(|load| load.on_time)),
        ChartSeries::new("scheduled", "c1", SeriesStyle::Line, of(|load| load.due)),
        ChartSeries::new("planned rate", "asked", SeriesStyle::Steps, asked(view, at)),
    ];
    if lost.iter().flatten().any(|rate| *rate > 0.0) {
        series.push(ChartSeries::new(
            "dropped, suppressed or unserved",
            "bad",
            SeriesStyle::Line,
            lost,
        ));
    }
    let title = format!("Starts of {}", view.plan.workloads[at].name);
    TimeChart::linear(&title, "open model", ChartUnit::PerSecond, 160, series).render(report, axis)
}

fn asked(view: &PageView<'_>, at: usize) -> Vec<Option<f64>> {
    view.coarse.most(view.report, |moment| moment.target.get(at).copied())
}

/// Scheduled users of the closed model, and all busy users.
fn users(view: &PageView<'_>, closed: &[usize]) -> Markup {
    let PageView { report, coarse: axis, plan, .. } = view;
    let all = axis.most(report, |moment| Some(moment.users as f64));
    let mut series = vec![ChartSeries::new("active users", "c0", SeriesStyle::Area, all)];
    for (at, colour) in closed.iter().take(LINES).zip(&COLOURS[1..]) {
        let name = format!("planned for {}", plan.workloads[*at].name);
        series.push(ChartSeries::new(name, colour, SeriesStyle::Steps, asked(view, *at)));
    }
    let rest = &closed[closed.len().min(LINES)..];
    if !rest.is_empty() {
        let sum =
            |moment: &GaugeSample| Some(rest.iter().filter_map(|at| moment.target.get(*at)).sum());
        series.push(ChartSeries::new(
            "planned for others",
            "c7",
            SeriesStyle::Steps,
            axis.most(report, sum),
        ));
    }
    TimeChart::linear("Users", "closed model; peak per column", ChartUnit::Count, 160, series)
        .render(report, axis)
}

fn iterations(view: &PageView<'_>, closed: &[usize]) -> Markup {
    let PageView { report, coarse: axis, plan, .. } = view;
    let of =
        |at: usize| axis.rates(report, |point| point.loads.get(at).map_or(0, |one| one.started));
    let mut series: Vec<ChartSeries> = (closed.iter().take(LINES).zip(&COLOURS[1..]))
        .map(|(at, colour)| {
            ChartSeries::new(&plan.workloads[*at].name, colour, SeriesStyle::Line, of(*at))
        })
        .collect();
    let rest = &closed[closed.len().min(LINES)..];
    if !rest.is_empty() {
        let others = axis.rates(report, |point| {
            rest.iter().filter_map(|at| point.loads.get(*at)).map(|one| one.started).sum()
        });
        series.push(ChartSeries::new("others", "c7", SeriesStyle::Line, others));
    }
    TimeChart::linear("Iterations started", "closed model", ChartUnit::PerSecond, 160, series)
        .render(report, axis)
}

/// Gauges at the ends of seconds.
fn flight(view: &PageView<'_>) -> Markup {
    let PageView { report, coarse: axis, .. } = view;
    let series = vec![
        ChartSeries::new(
            "connections",
            "c4",
            SeriesStyle::Line,
            axis.most(report, |moment| Some(moment.connections as f64)),
        ),
        ChartSeries::new(
            "calls in flight",
            "c0",
            SeriesStyle::Line,
            axis.most(report, |moment| Some(moment.running as f64)),
        ),
    ];
    TimeChart::linear(
        "Connections and calls in flight",
        "sampled each second; peak per column",
        ChartUnit::Count,
        160,
        series,
    )
    .render(report, axis)
}
