//! The table of steps and groups on the terminal, and the checks that failed.
//!
//! `summary` renders it.
//! Invariant: a row per series of the plan, also for those that were never called.

use super::ansi::{BAD, BOLD, DIM, paint, plain};
use super::quantile_text::{quantile, show_quantile};
use super::text_lines::{heading, label};
use super::text_table::{Align, TextTable};
use crate::event::Report;
use crate::ids::StepId;
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
    for (id, (series, step)) in StepId::number(plan.steps.iter().zip(&snapshot.measured.steps)) {
        let own = Some((series.workload, series.archetype));
        if group != own {
            group = own;
            let workload = plain(&plan.workloads[series.workload].name);
            let archetype = plain(&plan.archetypes[series.archetype.index()]);
            let title =
                if workload == archetype { workload } else { format!("{workload} · {archetype}") };
            table.title(paint(DIM, &title));
        }
        let Some(step) = step else {
            table.row([format!("  {}", plain(&series.name)), "0".to_owned()]);
            continue;
        };
        let errors = step.calls.error_share().unwrap_or(0.0) * 100.0;
        let errors = format!("{errors:.2} %");
        let errors = if step.calls.ok + step.calls.muted < step.calls.made {
            paint(BAD, &errors)
        } else {
            errors
        };
        table.row([
            format!("  {}", plain(&series.name)),
            show_count(step.calls.made),
            report.calls_per_s(id).map_or(String::new(), |rate| format!("{}/s", show_rate(rate))),
            errors,
            quantile(&step.service, 0.5),
            quantile(&step.service, 0.95),
            quantile(&step.service, 0.99),
            step.service.longest().map_or(String::new(), show_quantile),
            paint(BOLD, &quantile(&step.response, 0.99)),
        ]);
    }
    table.render(out, 2);
    for note in [lost_note(report), drain_note(report)].into_iter().flatten() {
        label(out, "", &paint(DIM, &note));
    }
    for (series, step) in plan.steps.iter().zip(&snapshot.measured.steps) {
        let muted = step.as_ref().map_or(0, |step| step.calls.muted);
        if muted > 0 {
            let text = format!("{}: {} calls not made", plain(&series.name), show_count(muted));
            label(out, "muted", &text);
        }
    }
    groups(out, report);
    failed_checks(out, report);
}

/// A note if percentiles of steps differ from those of the run: a start that was never made has no
/// step.
pub(crate) fn lost_note(report: &Report) -> Option<String> {
    let lost = report.snapshot.measured.lost().count();
    (lost > 0).then(|| {
        format!(
            "{} starts were never made: they rank above every response of the run and its \
             workloads, and are in no step's",
            show_count(lost)
        )
    })
}

/// A note about calls of the drain: iterations that go on after the load make them.
pub(crate) fn drain_note(report: &Report) -> Option<String> {
    let calls = report.calls_in_drain();
    (calls > 0).then(|| {
        format!(
            "{} calls were due after the end of the load, while iterations drained: they are in \
             every column but the rate",
            show_count(calls)
        )
    })
}

/// Groups: from the intended time of the first call to the end of the last one, without thinks.
fn groups(out: &mut String, report: &Report) {
    let (plan, measured) = (&report.info.plan, &report.snapshot.measured);
    if plan.groups.is_empty() {
        return;
    }
    heading(out, "Groups");
    let mut aligns = [Align::Right; 6];
    aligns[0] = Align::Left;
    let mut table = TextTable::new(&aligns);
    table.head(["", "times", "p50", "p95", "p99", "max"]);
    for (series, duration) in plan.groups.iter().zip(&measured.groups) {
        let workload = plain(&plan.workloads[series.workload].name);
        table.row([
            format!("{} {}", plain(&series.name), paint(DIM, &format!("({workload})"))),
            show_count(duration.count()),
            quantile(duration, 0.5),
            quantile(duration, 0.95),
            quantile(duration, 0.99),
            duration.longest().map_or(String::new(), show_quantile),
        ]);
    }
    table.render(out, 2);
}

fn failed_checks(out: &mut String, report: &Report) {
    let (plan, measured) = (&report.info.plan, &report.snapshot.measured);
    for ((names, series), step) in plan.checks.iter().zip(&plan.steps).zip(&measured.steps) {
        let counts = step.iter().flat_map(|step| &step.checks);
        for (name, [passed, failed]) in names.iter().zip(counts) {
            if *failed > 0 {
                let text = format!(
                    "{} {}: {name}, {} of {} failed",
                    paint(BAD, "✗"),
                    plain(&series.name),
                    show_count(*failed),
                    show_count(passed + failed)
                );
                label(out, "check", &text);
            }
        }
    }
}
