//! The table of steps and groups on the terminal, and the checks that failed.
//!
//! `summary` renders it.
//! Invariant: a row per series of the plan, also for those that were never called.

use super::ansi::{BAD, DIM, paint, plain};
use super::quantile_text::{quantile, short_quantile, show_quantile, signs_legend};
use super::results_text::error_share;
use super::rows::{self, StepLabels, StepRow, drain_note, lost_note};
use super::text_lines::{heading, painted, wrapped};
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::units::{counted, show_count, show_rate};

/// A row per step, then the groups, then the checks that failed.
pub(crate) fn render(out: &mut String, report: &Report) {
    heading(out, "Steps");
    let mut aligns = [Align::Right; 8];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["", "calls", "rate", "errors", "p50", "p95", "p99", "max"]);
    let mut group = None;
    for step in rows::steps(report) {
        let own = Some((step.workload, step.archetype));
        if group != own {
            group = own;
            let (workload, archetype) = (plain(step.workload), plain(step.archetype));
            let title =
                if workload == archetype { workload } else { format!("{workload} · {archetype}") };
            table.title(paint(DIM, &title));
        }
        let name = format!("  {}", plain(step.name));
        if !step.was_called() {
            table.row([name, "0".to_owned()]);
            continue;
        }
        let rate = step.calls_per_s.map_or(String::new(), |rate| format!("{}/s", show_rate(rate)));
        let errors = error_share(step.calls());
        let [p50, p95, p99, max] =
            QUANTILES.map(|p| step.response(p).map_or(String::new(), short_quantile));
        table.row([name, show_count(step.calls().made), rate, errors, p50, p95, p99, max]);
        if waited(&step) {
            let [p50, p95, p99, max] = QUANTILES
                .map(|p| step.service(p).map_or(String::new(), short_quantile))
                .map(|text| paint(DIM, &text));
            let (none, service) = (String::new(), paint(DIM, "service"));
            table.row([none.clone(), none.clone(), none, service, p50, p95, p99, max]);
        }
    }
    table.render(out, 2);
    painted(out, "", DIM, LEGEND);
    if let Some(signs) = signs_legend(out) {
        painted(out, "", DIM, &signs);
    }
    for note in [lost_note(report), drain_note(report)].into_iter().flatten() {
        painted(out, "", DIM, &note);
    }
    let labels = StepLabels::new(report);
    for step in rows::steps(report).filter(|step| step.calls().muted > 0) {
        let muted = counted(step.calls().muted, "call");
        wrapped(out, "muted", &format!("{}: {muted} not sent", labels.label(step.id)));
    }
    groups(out, report);
    failed_checks(out, report, &labels);
}

/// The percentiles of a row; 1 is the longest time.
const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 1.0];

/// The legend of the times.
const LEGEND: &str = "response: scheduled start to last byte; service: sending to last byte, on a \
                      second line where they are more than 10 % apart";

/// Whether calls of a step waited: a service time is more than 10 % apart from its response time.
fn waited(step: &StepRow<'_>) -> bool {
    QUANTILES.into_iter().any(|p| match (step.response(p), step.service(p)) {
        (Some(response), Some(service)) => {
            response.at_least != service.at_least
                || response.us.abs_diff(service.us) * 10 > response.us.max(service.us)
        }
        (response, service) => response.is_some() != service.is_some(),
    })
}

/// Groups: from the intended time of the first call to the end of the last one, without thinks.
fn groups(out: &mut String, report: &Report) {
    if report.info.plan.groups.is_empty() {
        return;
    }
    heading(out, "Groups");
    let mut aligns = [Align::Right; 6];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["", "times", "p50", "p95", "p99", "max"]);
    for group in rows::groups(report) {
        let workload = paint(DIM, &format!("({})", plain(group.workload)));
        table.row([
            format!("{} {workload}", plain(group.name)),
            show_count(group.duration.count()),
            quantile(group.duration, 0.5),
            quantile(group.duration, 0.95),
            quantile(group.duration, 0.99),
            group.duration.longest().map_or(String::new(), show_quantile),
        ]);
    }
    table.render(out, 2);
}

fn failed_checks(out: &mut String, report: &Report, labels: &StepLabels<'_>) {
    for check in rows::checks(report).filter(|check| check.failed > 0) {
        let text = format!(
            "✗ {}: {}, {} of {} failed",
            labels.label(check.id),
            check.name,
            show_count(check.failed),
            show_count(check.made())
        );
        painted(out, "check", BAD, &text);
    }
}
