//! The summary of a run for the terminal: verdict first, then load, rules, steps, errors.
//!
//! `cli` prints it.
//! Invariant: each number has its unit; a bound is marked `≥`, a percentile of few calls `~`.

use std::fmt::Write;
use std::path::PathBuf;

use super::ansi::{BAD, BOLD, DIM, GOOD, WARN, paint, plain};
use super::quantile_text::quantile;
use super::text_lines::{heading, label};
use super::text_table::{Align, TextTable};
use super::threshold_text;
use super::{addresses, failures, histogram_text, resilience_summary, steps};
use crate::event::Report;
use crate::exit::ExitStatus;
use crate::ids::WorkloadId;
use crate::stats::{Latency, outcome};
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
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    let mut name = "load";
    for (at, load) in WorkloadId::number(&plan.workloads) {
        let measured_ns = plan.measured_ns(at, snapshot.until_ns);
        let seconds = (measured_ns as f64 / 1e9).max(1e-9);
        let (whole, _) = &snapshot.workloads[at];
        let window = &snapshot.measured.workloads[at];
        let text = match load.open {
            true if window.due == 0 => format!("{} starts due", show_count(whole.due)),
            true => format!(
                "{}/s due, {}/s made in time ({:.2} %); {} due, {} dropped",
                show_rate(window.due as f64 / seconds),
                show_rate(window.on_time as f64 / seconds),
                window.on_time as f64 * 100.0 / window.due as f64,
                show_count(whole.due),
                show_count(whole.dropped),
            ),
            false => format!(
                "{} iterations, {}/s{}",
                show_count(whole.started),
                show_rate(window.started as f64 / seconds),
                users(report, at),
            ),
        };
        let cut = if whole.interrupted + whole.not_reached > 0 {
            format!("; {} cut, {} not reached", whole.interrupted, whole.not_reached)
        } else {
            String::new()
        };
        label(out, name, &format!("{} ({}): {text}{cut}", plain(&load.name), load.model()));
        name = "";
        if whole.dropped > 0 {
            label(out, "", &paint(WARN, &dropped_hint(report, at)));
        }
        if let Some(why) = missing_users(report, at) {
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
fn dropped_hint(report: &Report, at: WorkloadId) -> String {
    let plan = &report.info.plan;
    let load = &plan.workloads[at];
    // `hit` has no scenario file.
    let cure = if plan.sources.is_empty() {
        "raise `-c`".to_owned()
    } else {
        format!("raise `workloads.{}.arrivals.max_users`", plain(&load.name))
    };
    let most = show_count(load.max_users);
    format!("dropped: all {most} users were at work; {cure}, or lower the rate")
}

/// The share of the users that a closed workload asked for that were there.
fn users(report: &Report, at: WorkloadId) -> String {
    let window = &report.snapshot.measured.workloads[at];
    if window.target_user_ns == 0 {
        return String::new();
    }
    let percent = window.present_user_ns as f64 * 100.0 / window.target_user_ns as f64;
    let worst = report.snapshot.worst_users[at.index()].map_or(String::new(), |worst| {
        format!(" (worst second: {} at {}s)", percent_down(worst.share * 100.0), worst.second)
    });
    format!("; users {} of the target{worst}", percent_down(percent))
}

/// A percentage rounded down, so that only all of it reads 100 %.
fn percent_down(percent: f64) -> String {
    format!("{:.2} %", (percent * 100.0 + 1e-7).floor() / 100.0)
}

/// Why users were missing: they left before their time.
fn missing_users(report: &Report, at: WorkloadId) -> Option<String> {
    let departures = &report.snapshot.departures[at];
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
    for judgement in &report.judgements {
        let mark = if judgement.passed { paint(GOOD, "✓") } else { paint(BAD, "✗") };
        let words = threshold_text::words(judgement);
        let note = words.note("  ");
        table.row([mark, plain(&judgement.threshold.rule), words.observed, paint(DIM, &note)]);
    }
    table.render(out, 2);
}

fn phases(out: &mut String, report: &Report) {
    heading(out, "Phases");
    let names = ["dns", "connect", "tls", "first byte", "body"];
    let mut table = TextTable::new(&[Align::Left, Align::Right, Align::Right, Align::Right]);
    for (name, phase) in names.iter().zip(&report.snapshot.measured.phases) {
        if phase.count() == 0 {
            continue;
        }
        let latency = Latency::from(phase.clone());
        table.row([
            (*name).to_owned(),
            format!("{} times", show_count(phase.count())),
            format!("p50 {}", quantile(&latency, 0.5)),
            format!("p99 {}", quantile(&latency, 0.99)),
        ]);
    }
    table.render(out, 2);
}

fn answers(out: &mut String, report: &Report) {
    let snapshot = &report.snapshot;
    heading(out, "Answers");
    let statuses: Vec<String> = snapshot
        .statuses
        .iter()
        .map(|(status, count)| {
            let text = format!("{status} × {}", show_count(*count));
            if *status >= 400 { paint(BAD, &text) } else { text }
        })
        .collect();
    let statuses = if statuses.is_empty() { "none".to_owned() } else { statuses.join("   ") };
    label(out, "status", &statuses);
    for (index, count) in &snapshot.errors {
        let (phase, kind, hint) = outcome::error_at(*index);
        let text = format!("{} × {phase}: {kind}", show_count(*count));
        let hint = format!("{}; {hint}", outcome::counted_as(*index));
        label(out, "error", &format!("{}  {}", paint(BAD, &text), paint(DIM, &hint)));
    }
    for (name, count) in &snapshot.unset {
        label(out, "unset", &format!("{} × {}", show_count(*count), plain(name)));
    }
    for (text, count) in &snapshot.failed_expressions {
        label(out, "expression", &format!("{} × {}", show_count(*count), plain(text)));
    }
    for (name, count) in &snapshot.ran_out {
        let text = format!("`{}` had no row left for {}", plain(name), show_count(*count));
        label(out, "data", &text);
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
