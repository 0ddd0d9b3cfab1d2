//! The head of a page: verdict, scenario, trust, and the most important figures.
//!
//! Invariant: the trust level is beside the verdict, with its reasons.

use maud::{Markup, html};

use super::super::view::PageView;
use super::super::words::{HtmlText, percent};
use super::cells::fact;
use crate::event::Report;
use crate::exit::ExitStatus;
use crate::report::quantile_text::{quantile, show_quantile};
use crate::units::{show_count, show_rate, show_us};
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
                @if let Some(why) = &report.why { p.stopped { "Why: " (HtmlText(why)) } }
                @if let Some(why) = &report.stopped { p.stopped { "Stopped: " (HtmlText(why)) } }
                @if let Some(verdict) = stands { p.note { "As it stands: " (verdict) } }
            }
            dl.facts {
                @if !report.is_running { (fact("exit code", &html! { (report.status.code()) })) }
                (fact("began", &html! { time datetime=(started) { (started.replace('T', " ")) } }))
                (fact(if report.is_running { "so far" } else { "took" }, &html! { (took) }))
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
    html! {
        div.trust.(class) {
            p { strong { (says) } " " span.note { "trust: " (report.trust.level.name()) } }
            @if !report.trust.reasons.is_empty() {
                ul { @for reason in &report.trust.reasons { (why(reason)) } }
            }
            @for remark in &report.info.generator.remarks { p.note { (HtmlText(remark)) } }
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

/// The most important figures.
fn tiles(view: &PageView<'_>) -> Markup {
    let PageView { report, snapshot, .. } = view;
    let calls = snapshot.calls();
    let measured = &snapshot.measured;
    let rate = report.all_calls_per_s().unwrap_or_default();
    let errors = measured.calls().error_share();
    let achieved = crate::verdict::judge::achieved(snapshot);
    let tile = |name: &str, value: &str, more: &str| {
        html! { div.tile {
            dt { (name) }
            dd { (value) }
            @if !more.is_empty() { dd.note { (more) } }
        } }
    };
    let service = |p: f64| format!("service {}", or_none(&quantile(&view.service, p)));
    let response = |p: f64| or_none(&quantile(&view.response, p)).to_owned();
    let longest = view.response.longest().map_or("–".to_owned(), show_quantile);
    let achieved =
        achieved.map_or(String::new(), |share| format!("{} made in time", percent(share)));
    let made = format!("{} in all", show_count(calls.made));
    let users = format!("{} users at most", show_count(snapshot.users_peak));
    html! {
        dl.tiles {
            (tile("calls", &format!("{}/s", show_rate(rate)), &made))
            (tile("errors", &errors.map_or("–".to_owned(), percent), &achieved))
            (tile("response p50", &response(0.5), &service(0.5)))
            (tile("response p95", &response(0.95), &service(0.95)))
            (tile("response p99", &response(0.99), &service(0.99)))
            (tile("longest", &longest, &users))
        }
        @if report.is_running {
            p.note { "The last ten seconds may still change: calls due in them still run." }
        }
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}
