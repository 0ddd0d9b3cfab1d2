//! The summary of a run for the terminal: verdict first, then load, rules, steps, errors.
//!
//! `cli` prints it.
//! Invariant: each number has its unit; a bound is marked `≥`, a percentile of few calls `~`.

use std::fmt::Write;
use std::path::PathBuf;

use super::ansi::{BAD, BOLD, DIM, GOOD, WARN, paint, plain};
use super::quantile_text::quantile;
use super::rows::{ThresholdState, WorkloadRow};
use super::text_lines::{heading, label};
use super::text_table::{Align, TextTable};
use super::{addresses, failures, histogram_text, resilience_summary, rows, steps};
use crate::event::Report;
use crate::exit::ExitStatus;
use crate::plan::manifest::WorkloadInfo;
use crate::stats::{Departures, Latency};
use crate::units::{show_bytes, show_count, show_rate, show_us};
use crate::verdict::Trust;
use crate::verdict::trust::TrustLevel;

/// The whole summary, with ANSI colours; the caller strips them if the output is no terminal.
/// `is_verbose` adds the error texts of libraries.
pub fn render(report: &Report, files: &[PathBuf], is_verbose: bool) -> String {
    let mut out = String::new();
    verdict(&mut out, report);
    trust(&mut out, &report.trust);
    load(&mut out, report);
    thresholds(&mut out, report);
    steps::render(&mut out, report);
    phases(&mut out, report);
    answers(&mut out, report);
    failures::render(&mut out, report, is_verbose);
    let measured = &report.snapshot.measured;
    let response = measured.response(|_| true, measured.lost());
    histogram_text::render(&mut out, &response, &measured.calls());
    traffic(&mut out, report);
    resilience_summary::render(&mut out, report, !files.is_empty());
    generator(&mut out, report);
    if !files.is_empty() {
        let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
        label(&mut out, "files", &plain(&names.join("  ")));
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
        label(out, "verdict", &paint(style, &plain(why)));
    }
    if let Some(status) = only_status(report) {
        let count = show_count(report.snapshot.statuses.iter().map(|(_, count)| count).sum());
        label(out, "responses", &paint(BAD, &format!("all {count} have status {status}")));
    }
    if let Some(why) = &report.stopped {
        label(out, "stopped", &plain(why));
    }
    if let Some(description) = &plan.description {
        let _ = writeln!(out, "      {}", paint(DIM, &plain(description)));
    }
}

/// The status of all responses if it is the same error and no rule judges it.
fn only_status(report: &Report) -> Option<u16> {
    match report.snapshot.statuses[..] {
        [(status @ 400.., _)] if report.judgements.is_empty() => Some(status),
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
    for reason in &trust.reasons {
        let show = |value: f64| match reason.unit {
            "us" => show_us(value as u64),
            "share" => format!("{:.2} %", value * 100.0),
            _ => show_count(value as u64),
        };
        let text = format!(
            "{} {} (limit {}), affects {}: {}",
            reason.check,
            show(reason.observed),
            show(reason.limit),
            reason.affects().join(", "),
            plain(&reason.hint)
        );
        label(out, "", &text);
    }
}

/// A note on how to keep the report of a run that leaves no folder.
pub fn nothing_kept() -> String {
    let mut out = String::new();
    let text = "only this summary is kept; `--out DIR` keeps the report too: report.html, \
                summary.json, steps.csv, timeline.csv, latency.hlog, health.csv, run.record";
    label(&mut out, "files", &paint(DIM, text));
    out
}

/// Scheduled and made starts, or users, a line per workload.
fn load(out: &mut String, report: &Report) {
    let snapshot = &report.snapshot;
    let mut name = "load";
    for load in rows::workloads(report) {
        let whole = load.iterations;
        let per_s = |rate: Option<f64>| show_rate(rate.unwrap_or(0.0));
        let text = match (load.info.open, load.on_time_share()) {
            (true, None) => format!("{} starts due", show_count(whole.due)),
            (true, Some(share)) => format!(
                "{}/s due, {}/s made in time ({:.2} %); {} due, {} dropped",
                per_s(load.due_per_s()),
                per_s(load.on_time_per_s()),
                share * 100.0,
                show_count(whole.due),
                show_count(whole.dropped),
            ),
            (false, _) => format!(
                "{} iterations, {}/s{}",
                show_count(whole.started),
                per_s(load.started_per_s()),
                users(&load),
            ),
        };
        let cut = if whole.interrupted + whole.not_reached > 0 {
            format!("; {} cut, {} not reached", whole.interrupted, whole.not_reached)
        } else {
            String::new()
        };
        let (own, model) = (plain(&load.info.name), load.info.model());
        label(out, name, &format!("{own} ({model}): {text}{cut}"));
        name = "";
        if whole.dropped > 0 {
            label(out, "", &paint(WARN, &dropped_hint(report, load.info)));
        }
        if let Some(why) = missing_users(load.departures) {
            label(out, "", &paint(BAD, &why));
        }
    }
    let (warmup, measured) = (snapshot.warmup.calls(), snapshot.measured.calls());
    if measured.made == 0 && warmup.made > 0 {
        let calls = show_count(warmup.made);
        let text = format!("all {calls} calls were due in the warm-up: nothing was measured");
        label(out, "", &paint(BAD, &text));
    }
    for remark in &report.info.generator.remarks {
        label(out, "", &paint(DIM, &plain(remark)));
    }
}

/// Why starts were dropped, and the cure.
fn dropped_hint(report: &Report, load: &WorkloadInfo) -> String {
    // `hit` has no scenario file.
    let cure = if report.info.plan.sources.is_empty() {
        "raise `-c`".to_owned()
    } else {
        format!("raise `workloads.{}.arrivals.max_users`", plain(&load.name))
    };
    let most = show_count(load.max_users);
    format!("dropped: all {most} users were at work; {cure}, or lower the rate")
}

/// The share of the users that a closed workload asked for that were there.
fn users(load: &WorkloadRow<'_>) -> String {
    let Some(share) = load.users_share() else { return String::new() };
    let worst = load.worst_users.map_or(String::new(), |worst| {
        format!(" (worst second: {} at {}s)", percent_down(worst.share * 100.0), worst.second)
    });
    format!("; users {} of the target{worst}", percent_down(share * 100.0))
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
    let users = if left == 1 { "user" } else { "users" };
    (left > 0).then(|| format!("{} {users} left early: {}", show_count(left), reasons.join(", ")))
}

fn thresholds(out: &mut String, report: &Report) {
    if report.judgements.is_empty() {
        label(out, "thresholds", "none: nothing was judged");
        return;
    }
    heading(out, "Thresholds");
    let mut table = TextTable::new(&[Align::Left, Align::Left, Align::Right, Align::Left]);
    for threshold in rows::thresholds(report) {
        let mark = match threshold.state {
            ThresholdState::Holds => paint(GOOD, "✓"),
            ThresholdState::Fails => paint(BAD, "✗"),
            ThresholdState::Waiting => paint(DIM, "…"),
        };
        let note = paint(DIM, &threshold.note("  "));
        table.row([mark, plain(threshold.rule), threshold.observed, note]);
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
            format!("{} times", show_count(latency.count())),
            format!("p50 {}", quantile(&latency, 0.5)),
            format!("p99 {}", quantile(&latency, 0.99)),
        ]);
    }
    table.render(out, 2);
}

fn answers(out: &mut String, report: &Report) {
    heading(out, "Responses");
    let statuses: Vec<String> = rows::statuses(report)
        .map(|row| {
            let text = format!("{} × {}", row.status, show_count(row.count));
            if row.is_error() { paint(BAD, &text) } else { text }
        })
        .collect();
    let statuses = if statuses.is_empty() { "none".to_owned() } else { statuses.join("   ") };
    label(out, "status", &statuses);
    for error in rows::errors(report) {
        let text = format!("{} × {}: {}", show_count(error.count), error.phase, error.kind);
        let hint = format!("{}; {}", error.counted_as, error.hint);
        label(out, "error", &format!("{}  {}", paint(BAD, &text), paint(DIM, &hint)));
    }
    let [unset, expressions, ran_out] = rows::named_counts(report);
    for causes in [unset, expressions] {
        for (name, count) in causes.counts {
            label(out, causes.problem, &format!("{} × {}", show_count(*count), plain(name)));
        }
    }
    for (name, count) in ran_out.counts {
        let text = format!("`{}` had no row left for {}", plain(name), show_count(*count));
        label(out, ran_out.problem, &text);
    }
}

fn traffic(out: &mut String, report: &Report) {
    let snapshot = &report.snapshot;
    let connections = &snapshot.connections;
    let held = report.connections_at_load_end();
    let _ = writeln!(out);
    label(
        out,
        "connections",
        &format!(
            "{} opened, {} failed, {} reused, {} peak{}",
            show_count(connections.opened),
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
    let lag = match lag.count() {
        0 => String::new(),
        _ => format!(", lag p99 {}", quantile(&lag.into(), 0.99)),
    };
    let memory = report.rss_peak.map_or(String::new(), |bytes| format!(", {}", show_bytes(bytes)));
    let shards = if generator.shards == 1 { "shard" } else { "shards" };
    label(
        out,
        "generator",
        &format!(
            "{}, {} {shards} ({}), busiest {:.0} % of a core{lag}{memory}",
            generator.tier, generator.shards, generator.reason, snapshot.health.cpu_percent_max,
        ),
    );
}
