//! What was asked and what came of it, over time: each workload, calls, users, connections.
//!
//! Invariant: what was asked and what was made are on the same scale.

use maud::{Markup, html};

use super::super::View;
use super::super::chart::Unit;
use super::super::chart::time::{Chart, Look, Series};
use crate::stats::GaugeSample;
use crate::stats::timeline::StartCounts;

/// Workloads that have a chart of their own.
const SHOWN: usize = 8;
/// Workloads that are told apart in the chart of users.
const LINES: usize = 5;

/// Colours of lines that are told apart.
const COLOURS: [&str; 8] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"];

pub fn render(view: &View<'_>) -> Markup {
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
            p.note { "And " (open.len() - SHOWN) " open workloads more: see their table." }
        }
    }
}

fn workloads<'a>(view: &'a View<'_>, open: bool) -> impl Iterator<Item = usize> + 'a {
    let all = view.plan.workloads.iter().enumerate();
    all.filter(move |(_, load)| load.open == open).map(|(at, _)| at)
}

fn calls(view: &View<'_>) -> Markup {
    let View { report, axis, .. } = view;
    let ended = axis.rates(report, |point| point.calls.ended());
    let bad = axis.rates(report, |point| {
        point.calls.ended().saturating_sub(point.calls.ok + point.calls.cancelled)
    });
    let series = vec![
        Series::new("calls", "c0", Look::Area, ended),
        Series::new("not ok", "bad", Look::Area, bad),
    ];
    let note = "by the second in which each was intended; means over a column of pixels";
    Chart::linear("Calls", note, Unit::PerSecond, 200, series).render(report, axis)
}

/// An open workload: starts due, made in time, and lost.
fn starts(view: &View<'_>, at: usize) -> Markup {
    let View { report, coarse: axis, .. } = view;
    let of = |count: fn(&StartCounts) -> u64| {
        axis.rates(report, |point| point.loads.get(at).map_or(0, count))
    };
    let lost = of(|load| load.lost);
    let mut series = vec![
        Series::new("made in time", "c0", Look::Area, of(|load| load.on_time)),
        Series::new("due", "c1", Look::Line, of(|load| load.due)),
        Series::new("asked", "asked", Look::Steps, asked(view, at)),
    ];
    if lost.iter().flatten().any(|rate| *rate > 0.0) {
        series.push(Series::new("dropped or held back", "bad", Look::Line, lost));
    }
    let title = format!("Starts of {}", view.plan.workloads[at].name);
    Chart::linear(&title, "open model; means over a column", Unit::PerSecond, 160, series)
        .render(report, axis)
}

fn asked(view: &View<'_>, at: usize) -> Vec<Option<f64>> {
    view.coarse.most(view.report, |moment| moment.asked.get(at).copied())
}

/// Users asked for in the closed model, and all at work.
fn users(view: &View<'_>, closed: &[usize]) -> Markup {
    let View { report, coarse: axis, plan, .. } = view;
    let all = axis.most(report, |moment| Some(moment.users as f64));
    let mut series = vec![Series::new("at work", "c0", Look::Area, all)];
    for (at, colour) in closed.iter().take(LINES).zip(&COLOURS[1..]) {
        let name = format!("{} asked", plan.workloads[*at].name);
        series.push(Series::new(name, colour, Look::Steps, asked(view, *at)));
    }
    let rest = &closed[closed.len().min(LINES)..];
    if !rest.is_empty() {
        let sum =
            |moment: &GaugeSample| Some(rest.iter().filter_map(|at| moment.asked.get(*at)).sum());
        series.push(Series::new("others asked", "c7", Look::Steps, axis.most(report, sum)));
    }
    Chart::linear("Users", "closed model; the most of a column", Unit::Count, 160, series)
        .render(report, axis)
}

fn iterations(view: &View<'_>, closed: &[usize]) -> Markup {
    let View { report, coarse: axis, plan, .. } = view;
    let of =
        |at: usize| axis.rates(report, |point| point.loads.get(at).map_or(0, |one| one.started));
    let mut series: Vec<Series> = (closed.iter().take(LINES).zip(&COLOURS[1..]))
        .map(|(at, colour)| Series::new(&plan.workloads[*at].name, colour, Look::Line, of(*at)))
        .collect();
    let rest = &closed[closed.len().min(LINES)..];
    if !rest.is_empty() {
        let others = axis.rates(report, |point| {
            rest.iter().filter_map(|at| point.loads.get(*at)).map(|one| one.started).sum()
        });
        series.push(Series::new("others", "c7", Look::Line, others));
    }
    Chart::linear(
        "Iterations begun",
        "closed model; means over a column",
        Unit::PerSecond,
        160,
        series,
    )
    .render(report, axis)
}

/// What was open at the ends of seconds.
fn flight(view: &View<'_>) -> Markup {
    let View { report, coarse: axis, .. } = view;
    let series = vec![
        Series::new(
            "connections",
            "c4",
            Look::Line,
            axis.most(report, |moment| Some(moment.connections as f64)),
        ),
        Series::new(
            "calls in flight",
            "c0",
            Look::Line,
            axis.most(report, |moment| Some(moment.running as f64)),
        ),
    ];
    Chart::linear(
        "In flight",
        "at the ends of seconds, the most of a column",
        Unit::Count,
        160,
        series,
    )
    .render(report, axis)
}
