//! The table of steps and groups on the terminal, and the checks that failed.
//!
//! `summary` renders it.
//! Invariant: a row per series of the plan, also for those that were never called.

use super::ansi::{BAD, BOLD, DIM, paint, plain};
use super::quantile_text::{quantile, show_quantile};
use super::rows::{self, drain_note, lost_note};
use super::text_lines::{heading, label};
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::units::{show_count, show_duration, show_rate, show_us};

/// A row per step, then the groups, then the checks that failed.
pub(crate) fn render(out: &mut String, report: &Report) {
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    let warmup = if plan.warmup.is_zero() {
        String::new()
    } else {
        format!(", after a warm-up of {}", show_duration(plan.warmup))
    };
    heading(out, &format!("Steps  ({} measured{warmup})", show_us(snapshot.measured_ns / 1_000)));
    let mut aligns = [Align::Right; 9];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["", "calls", "rate", "errors", "service p50", "p95", "p99", "max", "response p99"]);
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
        let calls = step.calls();
        let errors = format!("{:.2} %", calls.error_share().unwrap_or(0.0) * 100.0);
        let is_bad = calls.ok + calls.muted < calls.made;
        let rate = step.calls_per_s.map(|rate| format!("{}/s", show_rate(rate)));
        let [p50, p95, p99, longest] =
            [0.5, 0.95, 0.99, 1.0].map(|p| step.service(p).map_or(String::new(), show_quantile));
        table.row([
            name,
            show_count(calls.made),
            rate.unwrap_or_default(),
            if is_bad { paint(BAD, &errors) } else { errors },
            p50,
            p95,
            p99,
            longest,
            paint(BOLD, &step.response(0.99).map_or(String::new(), show_quantile)),
        ]);
    }
    table.render(out, 2);
    for note in [lost_note(report), drain_note(report)].into_iter().flatten() {
        label(out, "", &paint(DIM, &note));
    }
    for step in rows::steps(report).filter(|step| step.calls().muted > 0) {
        let muted = show_count(step.calls().muted);
        label(out, "muted", &format!("{}: {muted} calls not made", plain(step.name)));
    }
    groups(out, report);
    failed_checks(out, report);
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

fn failed_checks(out: &mut String, report: &Report) {
    for check in rows::checks(report).filter(|check| check.failed > 0) {
        let text = format!(
            "{} {}: {}, {} of {} failed",
            paint(BAD, "✗"),
            plain(check.step),
            check.name,
            show_count(check.failed),
            show_count(check.made())
        );
        label(out, "check", &text);
    }
}
