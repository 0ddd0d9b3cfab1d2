//! Tables of workloads, steps and groups: a row for each series of the plan.
//!
//! Invariant: a row per series, also for those that were never called.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent, spread};
use super::cells::{count, errors, sortable, time};
use crate::ids::{StepId, WorkloadId};
use crate::plan::Series;
use crate::report::steps::{drain_note, lost_note};
use crate::stats::delta::StepWindow;
use crate::units::show_rate;

/// Percentiles of a row.
const AT: [f64; 3] = [0.5, 0.95, 0.99];

/// Rows of a table: what a browser can still sort and show.
const ROWS: usize = 1_000;

pub fn render(view: &PageView<'_>) -> Markup {
    let PageView { plan, snapshot, .. } = view;
    let columns = [
        ("workload", false),
        ("model", false),
        ("iterations", true),
        ("rate", true),
        ("in time", true),
        ("dropped", true),
        ("calls", true),
        ("errors", true),
        ("response p50", true),
        ("p95", true),
        ("p99", true),
        ("max", true),
        ("service p99", true),
    ];
    let shown = WorkloadId::first(plan.workloads.len().min(ROWS));
    let workloads = html! { @for at in shown { (workload(view, at)) } };
    let steps = plan.steps.iter().zip(&snapshot.measured.steps).take(ROWS);
    let nothing = StepWindow::default();
    let steps = html! {
        @for (id, (series, window)) in StepId::number(steps) {
            (step(view, (id, series), window.as_deref().unwrap_or(&nothing)))
        }
    };
    html! {
        h3 { "Workloads" }
        (sortable("workloads", &columns, &workloads))
        h3 { "Steps" }
        (sortable("steps", &STEPS, &steps))
        @if plan.steps.len() > ROWS {
            p.note { (plan.steps.len() - ROWS) " steps more are in steps.csv." }
        }
        (groups(view))
        p.note { "Of what was due after the warm-up. ≥ is a lower bound: a call has no known time; "
            "~ rests on fewer than ten calls and may move." }
        @for note in [lost_note(view.report), drain_note(view.report)].into_iter().flatten() {
            p.note { (note) "." }
        }
    }
}

fn workload(view: &PageView<'_>, at: WorkloadId) -> Markup {
    let PageView { plan, snapshot, .. } = view;
    let load = &plan.workloads[at];
    let window = &snapshot.measured.workloads[at];
    let whole = snapshot.measured.of_workload(at, |step| plan.steps[step].workload == at);
    let seconds = (plan.measured_ns(at, snapshot.until_ns) as f64 / 1e9).max(1e-9);
    let in_time = (window.due > 0).then(|| window.on_time as f64 / window.due as f64);
    let rate = window.started as f64 / seconds;
    html! {
        tr {
            th scope="row" { (HtmlText(&load.name)) }
            td { (load.model()) }
            (count(window.started))
            td.n data-v=(rate) { (show_rate(rate)) "/s" }
            td.n data-v=[in_time] {
                @match in_time { Some(share) => (percent(share)), None => span.none { "–" } }
            }
            (count(window.lost))
            (count(whole.calls.made))
            (errors(whole.calls.error_share()))
            @for one in spread(&whole.response, &AT) { (time(one)) }
            (time(whole.service.quantile(0.99)))
        }
    }
}

const STEPS: [(&str, bool); 15] = [
    ("step", false),
    ("of", false),
    ("calls", true),
    ("rate", true),
    ("errors", true),
    ("timeouts", true),
    ("suppressed", true),
    ("muted", true),
    ("response p50", true),
    ("p95", true),
    ("p99", true),
    ("max", true),
    ("service p50", true),
    ("p99", true),
    ("max", true),
];

fn step(view: &PageView<'_>, (id, series): (StepId, &Series), window: &StepWindow) -> Markup {
    let calls = &window.calls;
    let rate = view.report.calls_per_s(id).unwrap_or_default();
    html! {
        tr.never[calls.made == 0] {
            th scope="row" { (HtmlText(&series.name)) }
            td { (owner(view, series)) }
            (count(calls.made))
            td.n data-v=(rate) { (show_rate(rate)) "/s" }
            (errors(calls.error_share()))
            (count(calls.timeout))
            (count(calls.suppressed))
            (count(calls.muted))
            @for one in spread(&window.response, &AT) { (time(one)) }
            @for one in spread(&window.service, &[0.5, 0.99]) { (time(one)) }
        }
    }
}

/// The workload of a series, and its archetype where that has a name of its own.
fn owner(view: &PageView<'_>, series: &Series) -> Markup {
    let workload = &view.plan.workloads[series.workload].name;
    let archetype = &view.plan.archetypes[series.archetype.index()];
    html! {
        (HtmlText(workload))
        @if archetype != workload { span.note { " · " (HtmlText(archetype)) } }
    }
}

fn groups(view: &PageView<'_>) -> Markup {
    let PageView { plan, snapshot, .. } = view;
    let columns = [
        ("group", false),
        ("of", false),
        ("times", true),
        ("p50", true),
        ("p95", true),
        ("p99", true),
        ("max", true),
    ];
    let rows = html! {
        @for (series, duration) in plan.groups.iter().zip(&snapshot.measured.groups).take(ROWS) {
            tr {
                th scope="row" { (HtmlText(&series.name)) }
                td { (owner(view, series)) }
                (count(duration.count()))
                @for one in spread(duration, &AT) { (time(one)) }
            }
        }
    };
    html! {
        @if !plan.groups.is_empty() { h3 { "Groups" } (sortable("groups", &columns, &rows)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::made_up;
    use super::*;
    use crate::stats::Calls;

    #[test]
    fn what_was_due_in_the_warm_up_is_in_no_row() {
        let mut report = made_up(3, "shop");
        let mut snapshot = (*report.snapshot).clone();
        snapshot.workloads[0].0.started = 777_777;
        snapshot.workloads[0].0.dropped = 777_777;
        snapshot.workloads[0].1 = Calls { made: 777_777, ..Calls::default() };
        report.snapshot = std::sync::Arc::new(snapshot);
        let shown = render(&PageView::new(&report)).into_string();
        assert!(!shown.contains("777"), "{shown}");
    }
}
