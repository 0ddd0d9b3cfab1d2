//! The summary of a run for the terminal: verdict first, then load, rules, steps, errors.
//!
//! `cli` prints it.
//! Invariant: each number has its unit; a bound is marked `≥`, a percentile of few calls `~`.

use std::fmt::Write;
use std::path::PathBuf;

use anstyle::Style;

use super::ansi::{BAD, BOLD, DIM, GOOD, WARN, paint, plain};
use super::quantile_text::quantile;
use super::rows::{
    ThresholdState, WorkerRow, aggregate, prewarmed_part, usage, worker_rows, workers_in_all,
};
use super::text_lines::{WIDTH, heading, label, lines, painted, wrapped};
use super::text_table::{Align, TextTable};
use super::{
    addresses, backends, caches, contents, cost, failures, histogram_text, load_text,
    messages_text, resilience_summary, results_text, rows, shift, steps,
};
use crate::event::Report;
use crate::exit::ExitStatus;
use crate::protocol::status::{self, ShownStatus};
use crate::stats::Latency;
use crate::units::{counted, show_bytes, show_count, show_us};
use crate::verdict::Trust;
use crate::verdict::trust::TrustLevel;

/// The whole summary, with ANSI colours; the caller strips them if the output is no terminal.
/// `is_verbose` adds the error texts of libraries.
pub fn render(report: &Report, files: &[PathBuf], is_verbose: bool) -> String {
    let mut out = String::new();
    verdict(&mut out, report);
    trust(&mut out, &report.trust);
    results_text::render(&mut out, report);
    load_text::render(&mut out, report);
    thresholds(&mut out, report);
    steps::render(&mut out, report);
    backends::render(&mut out, report);
    shift::render(&mut out, report);
    messages_text::render(&mut out, report);
    phases(&mut out, report);
    responses(&mut out, report);
    failures::render(&mut out, report, is_verbose);
    let measured = &report.snapshot.measured;
    let response = measured.response(|_| true, measured.lost());
    histogram_text::render(&mut out, &response, &measured.calls());
    traffic(&mut out, report);
    contents::render(&mut out, report);
    caches::render(&mut out, report);
    resilience_summary::render(&mut out, report, !files.is_empty());
    generator(&mut out, report);
    let mut name = "files";
    for path in files {
        // A path stays on one line, to be copied.
        label(&mut out, name, &plain(&path.display().to_string()));
        name = "";
    }
    out
}

fn verdict(out: &mut String, report: &Report) {
    let plan = &report.info.plan;
    let (word, style) = match report.status {
        ExitStatus::Pass => ("PASS", GOOD),
        ExitStatus::Fail => ("FAIL", BAD),
        ExitStatus::Aborted => ("ABORTED", BAD),
        ExitStatus::Inconclusive => ("INCONCLUSIVE", WARN),
        _ => ("INTERRUPTED", WARN),
    };
    let word = if plan.thresholds.is_empty() && report.status == ExitStatus::Pass {
        paint(BOLD, "DONE")
    } else {
        paint(style, word)
    };
    let took = show_us(report.snapshot.elapsed_ns / 1_000);
    let _ = writeln!(
        out,
        "\n{word}  {}  {took}, seed {}, exit code {}",
        paint(BOLD, &plain(&plan.scenario)),
        plan.seed.value(),
        report.status.code(),
    );
    if let Some(why) = &report.why {
        painted(out, "verdict", style, why);
    }
    if report.why.is_some()
        && report.snapshot.statuses.is_empty()
        && let Some(error) = rows::errors(report).next()
    {
        let count = show_count(error.count);
        let cause = format!("{count} × {}: {}; {}", error.phase, error.kind, error.hint);
        painted(out, "cause", BAD, &cause);
    }
    if let Some(status) = only_status(report) {
        let count = show_count(report.snapshot.statuses.iter().map(|(_, count)| count).sum());
        painted(out, "responses", BAD, &format!("all {count} have status {}", ShownStatus(status)));
    }
    if let Some(why) = &report.stopped {
        wrapped(out, "stopped", why);
    }
    if let Some(description) = &plan.description {
        for line in lines(&plain(description), WIDTH - 6) {
            let _ = writeln!(out, "      {}", paint(DIM, line.trim_start()));
        }
    }
}

/// The status of all responses if it is the same error and no rule judges it.
fn only_status(report: &Report) -> Option<u16> {
    match report.snapshot.statuses[..] {
        [(status, _)] if status::is_error(status) && report.judgements.is_empty() => Some(status),
        _ => None,
    }
}

fn trust(out: &mut String, trust: &Trust) {
    let style = match trust.level {
        TrustLevel::Yes => GOOD,
        TrustLevel::Degraded => WARN,
        TrustLevel::No => BAD,
    };
    label(out, "trust", &paint(style, trust.level.name()));
    let mut reasons = trust.reasons.iter().peekable();
    while let Some(reason) = reasons.next() {
        let show = |value: f64| rows::reason_value(reason, value);
        let (name, hint) = (reason.check.replace('_', " "), &reason.hint);
        let values = format!("{} (limit {})", show(reason.observed), show(reason.limit));
        wrapped(out, "", &format!("{name} {values}: {hint}"));
        // Reasons with the same effects name them once, after the last of them.
        let affects = reason.affects();
        if reasons.peek().is_none_or(|next| next.affects() != affects) {
            wrapped(out, "", &format!("affects {}", affects.join(", ")));
        }
    }
}

/// A note on how to keep the report of a run that leaves no folder.
pub fn nothing_kept() -> String {
    let mut out = String::new();
    let text = "only this summary is kept; `--out DIR` keeps the report too: report.html, \
                summary.json, steps.csv, timeline.csv, latency.hlog, health.csv, run.record";
    painted(&mut out, "files", DIM, text);
    out
}

fn thresholds(out: &mut String, report: &Report) {
    if report.judgements.is_empty() {
        label(out, "thresholds", "none: nothing was judged");
        return;
    }
    heading(out, "Thresholds");
    let mut table = TextTable::new(&[Align::Left, Align::Left, Align::Right]).with_names_in(1);
    for threshold in rows::thresholds(report) {
        let mark = match threshold.state {
            ThresholdState::Holds | ThresholdState::Fails if threshold.is_undecided => {
                paint(WARN, "?")
            }
            ThresholdState::Holds => paint(GOOD, "✓"),
            ThresholdState::Fails => paint(BAD, "✗"),
            ThresholdState::Waiting => paint(DIM, "…"),
        };
        let note = threshold.note("  ");
        table.row([mark, plain(threshold.rule), threshold.observed]);
        table.note(&note);
    }
    table.render(out, 2);
}

fn phases(out: &mut String, report: &Report) {
    heading(out, "Phases");
    let mut table = TextTable::new(&[Align::Left, Align::Right, Align::Right, Align::Right]);
    for phase in rows::phases(report).into_iter().filter(|phase| phase.times.count() > 0) {
        let latency = Latency::from(phase.times.clone());
        table.row([
            phase.name.to_owned(),
            counted(latency.count(), "time"),
            format!("p50 {}", quantile(&latency, 0.5)),
            format!("p99 {}", quantile(&latency, 0.99)),
        ]);
    }
    table.render(out, 2);
}

fn responses(out: &mut String, report: &Report) {
    heading(out, "Responses");
    let statuses: Vec<String> = rows::statuses(report)
        .map(|row| format!("{} × {}", ShownStatus(row.status), show_count(row.count)))
        .collect();
    let statuses = if statuses.is_empty() { "none".to_owned() } else { statuses.join("   ") };
    let is_bad = rows::statuses(report).any(|row| row.is_error());
    painted(out, "status", if is_bad { BAD } else { Style::new() }, &statuses);
    for error in rows::errors(report) {
        let text = format!("{} × {}: {}", show_count(error.count), error.phase, error.kind);
        painted(out, "error", BAD, &text);
        painted(out, "", DIM, &format!("{} (counts {})", error.hint, error.counted_as));
    }
    let [unset, expressions, ran_out] = rows::named_counts(report);
    for causes in [unset, expressions] {
        for (name, count) in causes.counts {
            wrapped(out, causes.problem, &format!("{} × {name}", show_count(*count)));
        }
    }
    for (name, count) in ran_out.counts {
        let text = format!("`{name}` had no row left for {}", counted(*count, "user"));
        wrapped(out, ran_out.problem, &text);
    }
}

fn traffic(out: &mut String, report: &Report) {
    let snapshot = &report.snapshot;
    let connections = &snapshot.connections;
    let held = report.connections_at_load_end();
    let _ = writeln!(out);
    wrapped(
        out,
        "connections",
        &format!(
            "{} opened{}, {} failed, {} reused, {} peak{}",
            show_count(connections.opened),
            prewarmed_part(connections),
            show_count(connections.failed),
            show_count(connections.reused),
            show_count(snapshot.connections_peak),
            held.map_or(String::new(), |count| format!(
                ", {} at the end of the load",
                show_count(count)
            ))
        ),
    );
    addresses::render(out, report);
    label(
        out,
        "bytes",
        &format!(
            "{} sent, {} received",
            show_bytes(connections.bytes_sent),
            show_bytes(connections.bytes_received)
        ),
    );
}

fn generator(out: &mut String, report: &Report) {
    let snapshot = &report.snapshot;
    let generator = &report.info.generator;
    let mut lag = crate::stats::Histogram::default();
    snapshot.measured.workloads.iter().for_each(|load| lag.merge(&load.lag));
    let shown = |name: &str, lag: crate::stats::Histogram| match lag.count() {
        0 => String::new(),
        _ => format!(", {name} p99 {}", quantile(&lag.into(), 0.99)),
    };
    let received = shown("receive lag", snapshot.measured.receive_lag.clone());
    let lag = shown("lag", lag) + &received;
    let memory = report.rss_peak.map_or(String::new(), |bytes| format!(", {}", show_bytes(bytes)));
    let size = generator.size();
    wrapped(
        out,
        "generator",
        &format!(
            "{}, {size} ({}), busiest {:.0} % of a core{lag}{memory}",
            generator.tier, generator.reason, snapshot.health.cpu_percent_max,
        ),
    );
    if let Some(used) = usage::usage(report).text() {
        wrapped(out, "used", &used);
    }
    cost::render_report(out, report);
    for missing in usage::left_out(report) {
        wrapped(out, "not written", &missing);
    }
    if let Some(all) = workers_in_all(report) {
        let is_fleet = report.workers.iter().any(|worker| worker.agent.is_some());
        wrapped(out, if is_fleet { "agents" } else { "workers" }, &all);
    }
    if let Some(aggregate) = aggregate(report) {
        wrapped(out, "aggregate", &aggregate);
    }
    for row in worker_rows(report) {
        if row.is_fault {
            let WorkerRow { name, shards, end, .. } = row;
            wrapped(out, "", &format!("{name} (shard {shards}) {end}"));
        }
    }
}
