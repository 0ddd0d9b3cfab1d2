//! Workloads and archetypes: scheduled and started load, and the counts of iterations.
//!
//! Invariant: the counts add up: due = started + dropped + suppressed + not reached.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::context::ViewContext;
use super::parts::{nothing, share_style, show_share, show_time, table, time, title};
use crate::ids::{StepId, WorkloadId};
use crate::report::rows::{current_step, is_measuring};
use crate::sinks::progress::users_of;
use crate::sinks::tui::draw::span;
use crate::sinks::tui::series;
use crate::sinks::tui::table::{Cell, ViewTable, numbers, words};
use crate::sinks::tui::text::clean;
use crate::stats::delta::StepWindow;
use crate::units::{counted, show_count, show_duration, show_rate};

/// Draws the view.
pub(super) fn draw(context: &ViewContext<'_>, columns: u16, _: u16) -> Buffer {
    let (theme, mut lines) = (context.theme, Vec::new());
    let loads = &context.report.info.plan.workloads;
    let shown: Vec<WorkloadId> = WorkloadId::first(loads.len())
        .filter(|at| {
            let archetypes = loads[*at].archetypes.iter().map(|(name, _)| name);
            std::iter::once(&loads[*at].name).chain(archetypes).any(|name| context.matches(name))
        })
        .collect();
    if shown.is_empty() {
        lines.push(nothing("no workload or archetype matches the filter", theme));
    } else {
        load(&mut lines, context, &shown, columns);
        ledger(&mut lines, context, &shown, columns);
        archetypes(&mut lines, context, &shown, columns);
        groups(&mut lines, context, columns);
    }
    super::context::text(&lines, columns)
}

/// Draws scheduled and started load.
fn load(
    lines: &mut Vec<Line<'static>>,
    context: &ViewContext<'_>,
    shown: &[WorkloadId],
    columns: u16,
) {
    let (report, theme) = (context.report, context.theme);
    lines.push(title("Load", columns, theme));
    let mut loads = ViewTable::new(&[
        words("workload", 0),
        words("model", 5),
        numbers("planned", 0),
        numbers("started", 0),
        numbers("users", 1),
        words("live change", 4),
        words("from – to", 6),
        numbers("errors", 2),
        numbers("response p95", 3),
    ]);
    let moment = report.timeline.gauges.last();
    for &at in shown {
        let strand = &report.info.plan.workloads[at];
        let asked = moment.and_then(|moment| moment.target.get(at.index())).copied().unwrap_or(0.0);
        let users = users_of(&report.info.plan, &report.snapshot, at);
        let rate = series::last(&series::rate(report, |point| {
            point.loads.get(at.index()).map_or(0, |load| load.started)
        }));
        let rate = format!("{}/s", show_rate(rate.map_or(0.0, |rate| rate.value)));
        let asked = if strand.open {
            format!("{}/s", show_rate(asked))
        } else {
            counted(asked.round() as u64, "user")
        };
        let whole = whole(context, at);
        let errors = whole.calls.error_share().unwrap_or(0.0);
        let load = context.state.overrides.of(at).map(str::to_owned);
        let end = strand.end.map_or("its iterations".to_owned(), show_duration);
        loads.row(vec![
            Cell(clean(&strand.name), theme.bold()),
            Cell(strand.model().to_owned(), theme.dim()),
            Cell::plain(asked),
            Cell::plain(rate),
            Cell::plain(show_count(users)),
            load.map_or(Cell("none".to_owned(), theme.dim()), |to| Cell(to, theme.warn())),
            Cell(format!("{} – {end}", show_time(strand.start)), theme.dim()),
            Cell(show_share(errors), share_style(errors, theme)),
            Cell::plain(time(&whole.response, 0.95)),
        ]);
    }
    table(lines, &loads, columns, theme);
}

/// Merges all steps of a workload.
fn whole(context: &ViewContext<'_>, workload: WorkloadId) -> StepWindow {
    let report = context.report;
    let own = |step: StepId| report.info.plan.steps[step].workload == workload;
    let warm = is_measuring(report);
    let part = if warm { &report.snapshot.measured } else { &report.snapshot.warmup };
    part.of_workload(workload, own)
}

/// Draws the counts of iterations by result.
fn ledger(
    lines: &mut Vec<Line<'static>>,
    context: &ViewContext<'_>,
    shown: &[WorkloadId],
    columns: u16,
) {
    let (report, theme) = (context.report, context.theme);
    lines.push(Line::default());
    lines.push(title("Iterations", columns, theme));
    let mut ledger = ViewTable::new(&[
        words("workload", 0),
        numbers("scheduled", 0),
        numbers("started", 0),
        numbers("completed", 1),
        numbers("ended early", 2),
        numbers("running", 5),
        numbers("dropped", 0),
        numbers("suppressed", 3),
        numbers("interrupted", 6),
        numbers("p95", 4),
    ]);
    for &at in shown {
        let strand = &report.info.plan.workloads[at];
        let (all, _) = &report.snapshot.workloads[at];
        let part = &report.snapshot.measured.workloads[at].iteration;
        let count = |count: u64| Cell::plain(show_count(count));
        let alarm = |count: u64| {
            let style = if count > 0 { theme.bad() } else { Style::new() };
            Cell(show_count(count), style)
        };
        ledger.row(vec![
            Cell(clean(&strand.name), theme.bold()),
            if strand.open { count(all.due) } else { Cell("-".to_owned(), theme.dim()) },
            count(all.started),
            count(all.completed),
            alarm(all.ended_early),
            count(all.running()),
            alarm(all.dropped),
            alarm(all.suppressed),
            count(all.interrupted),
            Cell::plain(time(part, 0.95)),
        ]);
    }
    table(lines, &ledger, columns, theme);
}

/// Draws the archetypes of each workload.
fn archetypes(
    lines: &mut Vec<Line<'static>>,
    context: &ViewContext<'_>,
    shown: &[WorkloadId],
    columns: u16,
) {
    let (report, theme) = (context.report, context.theme);
    let plan = &report.info.plan;
    lines.push(Line::default());
    lines.push(title("Archetypes", columns, theme));
    let mut all = ViewTable::new(&[
        words("archetype", 0),
        words("workload", 3),
        numbers("share", 1),
        numbers("calls", 0),
        numbers("errors", 0),
        numbers("service p95", 0),
        numbers("response p95", 2),
    ]);
    for &at in shown {
        let strand = &plan.workloads[at];
        let sum: f64 = strand.archetypes.iter().map(|(_, weight)| weight).sum();
        for (name, weight) in &strand.archetypes {
            let own = |step: &StepId| {
                let series = &plan.steps[*step];
                series.workload == at && &plan.archetypes[series.archetype.index()] == name
            };
            let mut whole = StepWindow::default();
            let steps = StepId::first(plan.steps.len()).filter(own);
            steps.map(|step| current_step(report, step).window).for_each(|step| {
                whole.calls.add(&step.calls);
                whole.response.merge(&step.response);
                whole.service.merge(&step.service);
            });
            let errors = whole.calls.error_share().unwrap_or(0.0);
            all.row(vec![
                Cell::plain(clean(name)),
                Cell(clean(&strand.name), theme.dim()),
                Cell(format!("{:.0} %", weight * 100.0 / sum.max(1e-9)), theme.dim()),
                Cell::plain(show_count(whole.calls.made)),
                Cell(show_share(errors), share_style(errors, theme)),
                Cell::plain(time(&whole.service, 0.95)),
                Cell::plain(time(&whole.response, 0.95)),
            ]);
        }
    }
    table(lines, &all, columns, theme);
}

/// Draws the groups.
fn groups(lines: &mut Vec<Line<'static>>, context: &ViewContext<'_>, columns: u16) {
    let (report, theme) = (context.report, context.theme);
    let plan = &report.info.plan;
    let mut groups = ViewTable::new(&[
        words("group", 0),
        words("workload", 3),
        numbers("times", 0),
        numbers("p50", 0),
        numbers("p95", 0),
        numbers("p99", 1),
        numbers("max", 2),
    ]);
    for (series, took) in plan.groups.iter().zip(&report.snapshot.measured.groups) {
        let mut cells = vec![
            Cell::plain(clean(&series.name)),
            Cell(clean(&plan.workloads[series.workload].name), theme.dim()),
            Cell::plain(show_count(took.count())),
        ];
        cells.extend([0.5, 0.95, 0.99, 1.0].map(|p| Cell::plain(time(took, p))));
        groups.row(cells);
    }
    if !groups.is_empty() {
        lines.push(Line::default());
        lines.push(title("Groups", columns, theme));
        table(lines, &groups, columns, theme);
    }
    let ran_out = &report.snapshot.ran_out;
    for (name, count) in ran_out {
        let text = format!("`{}` had no row left for {}", clean(name), counted(*count, "user"));
        lines.push(Line::from(vec![Span::raw("  "), span(text, theme.warn())]));
    }
}
