//! The head of a page: verdict, scenario, trust, and the most important figures.
//!
//! Invariant: the trust level is beside the verdict, with its reasons.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent};
use super::cells::fact;
use crate::event::Report;
use crate::exit::ExitStatus;
use crate::report::quantile_text::show_quantile;
use crate::report::rows;
use crate::stats::Latency;
use crate::stats::delta::LoadWindow;
use crate::units::{counted, show_count, show_rate, show_us};
use crate::verdict::trust::{TrustLevel, TrustReason};

/// The verdict, or `running`, as a word.
pub fn word(report: &Report) -> &'static str {
    let judged = !report.info.plan.thresholds.is_empty();
    match report.status {
        _ if report.is_running => "RUNNING",
        ExitStatus::Pass if !judged => "DONE",
        ExitStatus::Pass => "PASS",
        ExitStatus::Fail => "FAIL",
        ExitStatus::Aborted => "ABORTED",
        ExitStatus::Inconclusive => "INCONCLUSIVE",
        ExitStatus::Broken => "BROKEN",
        _ => "INTERRUPTED",
    }
}

/// The verdict's class in the style sheet.
fn colour(report: &Report) -> &'static str {
    match report.status {
        _ if report.is_running => "running",
        ExitStatus::Pass if report.info.plan.thresholds.is_empty() => "done",
        ExitStatus::Pass => "good",
        ExitStatus::Fail | ExitStatus::Aborted | ExitStatus::Broken => "bad",
        _ => "warn",
    }
}

pub fn render(view: &PageView<'_>) -> Markup {
    let PageView { report, plan, snapshot, .. } = view;
    let started = humantime::format_rfc3339_seconds(report.info.started_at).to_string();
    let shown = started.replace('T', " ");
    let took = show_us(snapshot.elapsed_ns / 1_000);
    let stands = report.status.verdict().filter(|_| report.is_running);
    html! {
        div.hero {
            div {
                p.word.(colour(report)) { (word(report)) }
                h1 { (HtmlText(&plan.scenario)) }
                @if let Some(description) = &plan.description {
                    p.about { (HtmlText(description)) }
                }
                @if let Some(why) = &report.why { p.stopped { "Reason: " (HtmlText(why)) } }
                @if let Some(why) = &report.stopped { p.stopped { "Stopped: " (HtmlText(why)) } }
                @if let Some(verdict) = stands { p.note { "Verdict so far: " (verdict) } }
            }
            dl.facts {
                @if !report.is_running { (fact("exit code", &html! { (report.status.code()) })) }
                (fact("started", &html! { time datetime=(started) { (shown) } }))
                (fact(if report.is_running { "elapsed" } else { "duration" }, &html! { (took) }))
                (fact("seed", &html! { (plan.seed.value()) }))
            }
        }
        (trust(report))
        (tiles(view))
    }
}

fn trust(report: &Report) -> Markup {
    let (class, says) = match report.trust.level {
        TrustLevel::Yes => ("good", "The measurement can be trusted"),
        TrustLevel::Degraded => ("warn", "The measurement is degraded"),
        TrustLevel::No => ("bad", "The measurement cannot be trusted"),
    };
    let reasons = &report.trust.reasons;
    let name = report.trust.level.name();
    let level = html! { strong { (says) } " " span.note { "trust: " (name) } };
    let more = html! {
        @if !reasons.is_empty() { ul { @for reason in reasons { (why(reason)) } } }
        @for remark in &report.info.generator.remarks { p.note { (HtmlText(remark)) } }
    };
    let names: Vec<_> = reasons.iter().map(|reason| reason.check.replace('_', " ")).collect();
    html! {
        div.trust.(class) {
            // While the run goes on, the charts below come first.
            @if report.is_running {
                details data-key="trust" {
                    summary { (level) @if !names.is_empty() { ": " (names.join(", ")) } }
                    (more)
                }
            } @else { p { (level) } (more) }
        }
    }
}

fn why(reason: &TrustReason) -> Markup {
    let show = |value: f64| match reason.unit {
        "us" => show_us(value as u64),
        "share" => percent(value),
        _ => show_count(value as u64),
    };
    html! {
        li {
            strong { (reason.check.replace('_', " ")) } " "
            (show(reason.observed)) " (limit " (show(reason.limit)) "), affects "
            (reason.affects().join(", ")) ": " (HtmlText(&reason.hint))
        }
    }
}

/// The most important figures; the note of a tile belongs to its figure.
fn tiles(view: &PageView<'_>) -> Markup {
    let PageView { report, snapshot, .. } = view;
    let calls = snapshot.measured.calls();
    let rate = report.all_calls_per_s().unwrap_or_default();
    let tile = |name: &str, value: &str, more: &str| {
        html! { div.tile {
            dt { (name) }
            dd { (value) }
            @if !more.is_empty() { dd.note { (more) } }
        } }
    };
    let response = |p: f64| or_none(&response_text(&view.response, p)).to_owned();
    let service = |p: f64| format!("service {}", or_none(&response_text(&view.service, p)));
    let failed = calls.made - calls.ok - calls.muted - calls.cancelled;
    let errors = calls.error_share().map_or("–".to_owned(), percent);
    let failed = format!("{} of {}", show_count(failed), counted(calls.made, "call"));
    let when = if report.is_running { "now" } else { "at the end" };
    let users = format!("{} {when}", show_count(snapshot.users));
    html! {
        dl.tiles {
            (tile("calls", &format!("{}/s", show_rate(rate)), &counted(calls.made, "call")))
            (tile("errors", &errors, &failed))
            @for (name, p) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)] {
                (tile(&format!("response {name}"), &response(p), &service(p)))
            }
            @if let Some((share, starts)) = started_on_time(view) {
                (tile("started on time", &percent(share), &starts))
            }
            (tile("users, peak", &show_count(snapshot.users_peak), &users))
        }
        @if report.is_running {
            p.note { "The last ten seconds may still change: calls scheduled in them are running." }
        }
    }
}

/// The share of the scheduled starts that began on time, and how many; `None` without a schedule.
fn started_on_time(view: &PageView<'_>) -> Option<(f64, String)> {
    let share = crate::verdict::judge::achieved(view.snapshot)?;
    let loads = &view.snapshot.measured.workloads;
    let sum = |count: fn(&LoadWindow) -> u64| -> u64 {
        loads.iter().filter(|load| load.due > 0).map(count).sum()
    };
    let (on_time, due) = (sum(|load| load.on_time), sum(|load| load.due));
    Some((share, format!("{} of {}", show_count(on_time), counted(due, "start"))))
}

fn response_text(latency: &Latency, p: f64) -> String {
    rows::percentile(latency, p).map_or(String::new(), show_quantile)
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}
