//! The load of each workload for the terminal: scheduled and started iterations, users.
//!
//! `summary` renders it.
//! Invariant: each start that was not made is counted in a line, with its reason.

use std::fmt::Write;

use super::ansi::{BAD, DIM, WARN};
use super::rows::{self, WorkloadRow};
use super::text_lines::{painted, wrapped};
use crate::event::Report;
use crate::plan::manifest::WorkloadInfo;
use crate::stats::{Departures, Iterations};
use crate::units::{counted, show_count, show_rate};

/// A line per workload, and what kept it from its schedule.
pub(super) fn render(out: &mut String, report: &Report) {
    let snapshot = &report.snapshot;
    out.push('\n');
    let mut name = "load";
    for load in rows::workloads(report) {
        let name_of = format!("{} ({})", load.info.name, load.info.model());
        let text = format!("{name_of}: {}; whole run: {}", measured(&load), whole_run(&load));
        wrapped(out, name, &text);
        name = "";
        if load.iterations.dropped > 0 {
            painted(out, "", WARN, &dropped_hint(report, load.info));
        }
        if let Some(why) = missing_users(load.departures) {
            painted(out, "", BAD, &why);
        }
    }
    let (warmup, measured) = (snapshot.warmup.calls(), snapshot.measured.calls());
    if measured.made == 0 && warmup.made > 0 {
        let calls = show_count(warmup.made);
        let text = format!("all {calls} calls belong to the warm-up: nothing was measured");
        painted(out, "", BAD, &text);
    }
    for remark in &report.info.generator.remarks {
        painted(out, "", DIM, remark);
    }
}

/// Rates after the warm-up: scheduled starts and those on time, or iterations and users.
fn measured(load: &WorkloadRow<'_>) -> String {
    let per_s = |rate: Option<f64>| show_rate(rate.unwrap_or(0.0));
    match (load.info.open, load.on_time_share()) {
        (true, None) => "no start was measured".to_owned(),
        (true, Some(share)) => format!(
            "{}/s scheduled, {}/s started on time ({:.2} %)",
            per_s(load.due_per_s()),
            per_s(load.on_time_per_s()),
            share * 100.0,
        ),
        (false, _) => format!("{} iterations/s{}", per_s(load.started_per_s()), users(load)),
    }
}

/// Counts of iterations, the warm-up included; what did not happen is left out, but for drops.
fn whole_run(load: &WorkloadRow<'_>) -> String {
    let Iterations { due, started, dropped, interrupted, not_reached, unserved, .. } =
        *load.iterations;
    let mut text = if load.info.open {
        format!("{} scheduled, {} dropped", counted(due, "start"), show_count(dropped))
    } else {
        counted(started, "iteration")
    };
    for (count, what) in
        [(interrupted, "interrupted"), (not_reached, "not reached"), (unserved, "unserved")]
    {
        if count > 0 {
            let _ = write!(text, ", {} {what}", show_count(count));
        }
    }
    text
}

/// Why starts were dropped, and the cure.
fn dropped_hint(report: &Report, load: &WorkloadInfo) -> String {
    // `hit` has no scenario file.
    let cure = if report.info.plan.sources.is_empty() {
        "raise `-c`".to_owned()
    } else {
        format!("raise `workloads.{}.arrivals.max_users`", load.name)
    };
    let most = counted(load.max_users, "user");
    format!("dropped: no free user among {most}; {cure}, or lower the rate")
}

/// The share of the users that a closed workload asked for that were there.
fn users(load: &WorkloadRow<'_>) -> String {
    let Some(share) = load.users_share() else { return String::new() };
    let worst = load.worst_users.map_or(String::new(), |worst| {
        format!(" (worst second: {} at {} s)", percent_down(worst.share * 100.0), worst.second)
    });
    format!("; {} of the planned users{worst}", percent_down(share * 100.0))
}

/// A percentage rounded down, so that only all of it reads 100 %.
fn percent_down(percent: f64) -> String {
    format!("{:.2} %", (percent * 100.0 + 1e-7).floor() / 100.0)
}

/// Why users were missing: they left before their time.
fn missing_users(departures: &Departures) -> Option<String> {
    let mut reasons = Vec::new();
    if departures.start_failed > 0 {
        let count = show_count(departures.start_failed);
        reasons.push(format!("`on_start` failed for {count}"));
    }
    if departures.out_of_rows > 0 {
        let count = show_count(departures.out_of_rows);
        reasons.push(format!("no data row was left for {count}"));
    }
    let left = departures.start_failed + departures.out_of_rows;
    (left > 0).then(|| format!("{} left early: {}", counted(left, "user"), reasons.join(", ")))
}
