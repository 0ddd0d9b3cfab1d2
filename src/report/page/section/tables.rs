//! Tables of workloads, steps and groups: a row for each series of the plan.
//!
//! Invariant: a row per series, also for those that were never called.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent, spread};
use super::caches;
use super::cells::{count, errors, owner, sortable, time};
use crate::report::rows::{self, BackendRow, StepRow, WorkloadRow, drain_note, lost_note};
use crate::report::shift::p95;
use crate::stats::Calls;
use crate::stats::delta::BackendWindow;
use crate::stats::shift::SideFigures;
use crate::units::show_rate;

/// Percentiles of a row.
const AT: [f64; 3] = [0.5, 0.95, 0.99];

/// Maximum rows that a browser can sort and show.
const ROWS: usize = 1_000;

pub fn render(view: &PageView<'_>) -> Markup {
    let plan = view.plan;
    let columns = [
        ("workload", false),
        ("model", false),
        ("iterations", true),
        ("rate", true),
        ("on time", true),
        ("not started", true),
        ("calls", true),
        ("errors", true),
        ("response p50", true),
        ("p95", true),
        ("p99", true),
        ("max", true),
        ("service p99", true),
    ];
    let report = view.report;
    let workloads = html! { @for row in rows::workloads(report).take(ROWS) { (workload(&row)) } };
    html! {
        h3 { "Workloads" }
        (sortable("workloads", &columns, &workloads))
        h3 { "Steps" }
        (steps(view))
        @if plan.steps.len() > ROWS {
            p.note { (plan.steps.len() - ROWS) " more steps are in steps.csv." }
        }
        (shift(view))
        (backends(view))
        (caches::caches(view))
        (groups(view))
        p.note { "Calls scheduled after the warm-up. Response: scheduled start to last byte; "
            "service: sending to last byte. ≥: lower bound, because some calls have no known "
            "time. ~: fewer than ten calls lie above, so the value may change." }
        @for note in [lost_note(view.report), drain_note(view.report)].into_iter().flatten() {
            p.note { (note) "." }
        }
    }
}

fn workload(row: &WorkloadRow<'_>) -> Markup {
    let (measured, rate) = (row.measured(), row.started_per_s().unwrap_or_default());
    html! {
        tr {
            th scope="row" { (HtmlText(&row.info.name)) }
            td { (row.info.model()) }
            (count(row.window.started))
            td.n data-v=(rate) { (show_rate(rate)) "/s" }
            td.n data-v=[row.on_time_share()] {
                @match row.on_time_share() {
                    Some(share) => (percent(share)),
                    None => span.none { "–" },
                }
            }
            (count(row.window.lost))
            (count(measured.calls.made))
            (errors(measured.calls.error_share()))
            @for one in spread(&measured.response, &AT) { (time(one)) }
            (time(measured.service.quantile(0.99)))
        }
    }
}

/// A column of counts: its title, and its count of a step.
type CountColumn = (&'static str, fn(&Calls) -> u64);

/// Counts of calls that a run may lack; their columns are shown where one is above zero.
const RARE: [CountColumn; 3] = [
    ("timeouts", |calls| calls.timeout),
    ("suppressed", |calls| calls.suppressed),
    ("muted", |calls| calls.muted),
];

/// The table of steps: response beside service.
fn steps(view: &PageView<'_>) -> Markup {
    let report = view.report;
    let occurs = |count: fn(&Calls) -> u64| rows::steps(report).any(|row| count(row.calls()) > 0);
    let rare: Vec<_> = RARE.into_iter().filter(|(_, count)| occurs(*count)).collect();
    let mut columns = vec![
        ("step", false),
        ("workload", false),
        ("calls", true),
        ("rate", true),
        ("errors", true),
    ];
    columns.extend(rare.iter().map(|(name, _)| (*name, true)));
    for first in ["response p50", "service p50"] {
        columns.extend([(first, true), ("p95", true), ("p99", true), ("max", true)]);
    }
    let rows = html! {
        @for row in rows::steps(report).take(ROWS) { (step(&row, &rare)) }
    };
    sortable("steps", &columns, &rows)
}

fn step(row: &StepRow<'_>, rare: &[CountColumn]) -> Markup {
    let (calls, rate) = (row.calls(), row.calls_per_s.unwrap_or_default());
    html! {
        tr.never[!row.was_called()] {
            th scope="row" { (HtmlText(row.name)) }
            td { (owner(row.workload, row.archetype)) }
            (count(calls.made))
            td.n data-v=(rate) { (show_rate(rate)) "/s" }
            (errors(calls.error_share()))
            @for (_, of) in rare { (count(of(calls))) }
            @for p in [0.5, 0.95, 0.99, 1.0] { (time(row.response(p))) }
            @for p in [0.5, 0.95, 0.99, 1.0] { (time(row.service(p))) }
        }
    }
}

/// A row for each step of a shift.
fn shift(view: &PageView<'_>) -> Markup {
    let Some(shift) = &view.report.shift else { return html! {} };
    let columns = [
        ("new target", true),
        ("old: calls", true),
        ("errors", true),
        ("p95", true),
        ("new: calls", true),
        ("errors", true),
        ("p95", true),
        ("decision", false),
    ];
    let side = |side: &SideFigures| {
        html! {
            (count(side.calls))
            (errors(side.errors))
            td.n.open[side.at_least[1]] data-v=[side.response_us[1]] { (p95(*side)) }
        }
    };
    let body = html! {
        @for step in &shift.steps {
            tr {
                th scope="row" { (step.percent) " %" }
                @for one in &step.sides { (side(one)) }
                td { (step.decision()) ": " (HtmlText(&step.why)) }
            }
        }
    };
    let [old, new] = &shift.targets;
    html! {
        h3 { "Shift" }
        p { "Users of " (HtmlText(&shift.service)) " from " (HtmlText(old)) " to " (HtmlText(new))
            ": " (shift.outcome.name()) ". " (HtmlText(&shift.why)) }
        (sortable("shift", &columns, &body))
    }
}

/// A row for each backend, and one for each step that called it.
fn backends(view: &PageView<'_>) -> Markup {
    let all = rows::backends(view.report);
    if all.is_empty() {
        return html! {};
    }
    let columns = [
        ("backend", false),
        ("service", false),
        ("step", false),
        ("attempts", true),
        ("failed attempts", true),
        ("calls", true),
        ("errors", true),
        ("response p50", true),
        ("p95", true),
        ("p99", true),
        ("max", true),
    ];
    let names = rows::StepLabels::new(view.report);
    let row = |one: &BackendRow<'_>, step: &str, window: &BackendWindow| {
        let calls = &window.calls;
        html! {
            tr.never[window.attempts == 0] {
                th scope="row" { (HtmlText(one.name)) }
                td { (HtmlText(one.service)) }
                td { (HtmlText(step)) }
                (count(window.attempts))
                (count(window.failed))
                (count(calls.calls.made))
                (errors(calls.calls.error_share()))
                @for p in [0.5, 0.95, 0.99, 1.0] { (time(rows::percentile(&calls.response, p))) }
            }
        }
    };
    let body = html! {
        @for one in &all {
            (row(one, "all", &one.whole))
            @if one.steps.len() > 1 {
                @for (step, window) in &one.steps { (row(one, &names.label(*step), window)) }
            }
        }
    };
    html! {
        h3 { "Backends" }
        (sortable("backends", &columns, &body))
    }
}

fn groups(view: &PageView<'_>) -> Markup {
    let columns = [
        ("group", false),
        ("workload", false),
        ("times", true),
        ("p50", true),
        ("p95", true),
        ("p99", true),
        ("max", true),
    ];
    let rows = html! {
        @for group in rows::groups(view.report).take(ROWS) {
            tr {
                th scope="row" { (HtmlText(group.name)) }
                td { (owner(group.workload, group.archetype)) }
                (count(group.duration.count()))
                @for one in spread(group.duration, &AT) { (time(one)) }
            }
        }
    };
    html! {
        @if !view.plan.groups.is_empty() { h3 { "Groups" } (sortable("groups", &columns, &rows)) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::made_up;
    use super::*;

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
