//! Markdown for job summaries and comments: verdict, thresholds, steps, errors.
//!
//! Invariant: foreign text is escaped: it adds no markup, link or mention.

use std::fmt::Write;

use crate::event::Report;
use crate::report::ansi::plain;
use crate::report::quantile_text::{quantile, show_quantile};
use crate::report::rows::{self, StepLabels, ThresholdState, lost_note};
use crate::units::{show_count, show_duration, show_rate, show_us};

/// Maximum steps, and kinds of errors.
const SHOWN: usize = 50;

pub(super) fn render(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report);
    thresholds(&mut out, report);
    load(&mut out, report);
    steps(&mut out, report);
    errors(&mut out, report);
    let _ = writeln!(out, "\n<sub>Repeat: `{}`</sub>", code(&report.command_line()));
    out
}

/// Returns the line of a run that was not carried out.
pub(super) fn not_carried_out(scenario: &str, why: &str) -> String {
    format!("❌ **{}: not carried out**: {}\n", text(scenario), text(why))
}

fn head(out: &mut String, report: &Report) {
    let plan = &report.info.plan;
    let verdict = rows::verdict(report);
    let mark = match report.status.code() {
        // Without thresholds there is no pass.
        0 if report.judgements.is_empty() => "☑️",
        0 => "✅",
        4 | 6 | 1 => "❌",
        _ => "⚠️",
    };
    let _ = writeln!(out, "## {mark} {}: {verdict}\n", text(&plan.scenario));
    if let Some(description) = &plan.description {
        let _ = writeln!(out, "{}\n", text(description));
    }
    let took = show_us(report.snapshot.elapsed_ns / 1_000);
    let (code, seed) = (report.status.code(), plan.seed.value());
    let trust = report.trust.level.name();
    let _ = writeln!(out, "{took} · exit code {code} · seed {seed} · trust **{trust}**\n");
    if let Some(why) = &report.why {
        let _ = writeln!(out, "Reason: {}\n", text(why));
    }
    if let Some(why) = &report.stopped {
        let _ = writeln!(out, "Stopped: {}\n", text(why));
    }
    for reason in &report.trust.reasons {
        let affects = reason.affects().join(", ");
        let (check, hint) = (reason.check, text(&reason.hint));
        let _ = writeln!(out, "- trust: {check} (affects {affects}): {hint}");
    }
}

fn thresholds(out: &mut String, report: &Report) {
    if report.judgements.is_empty() {
        let _ = writeln!(out, "\nNo thresholds: nothing was judged.");
        return;
    }
    let _ = writeln!(out, "\n| | threshold | observed | margin |\n|---|---|--:|---|");
    for threshold in rows::thresholds(report) {
        let mark = match threshold.state {
            ThresholdState::Holds | ThresholdState::Fails if threshold.is_undecided => "❔",
            ThresholdState::Holds => "✅",
            ThresholdState::Fails => "❌",
            ThresholdState::Waiting => "⏳",
        };
        let rule = text(threshold.rule);
        let (observed, note) = (&threshold.observed, text(&threshold.note("; ")));
        let _ = writeln!(out, "| {mark} | {rule} | {observed} | {note} |");
    }
}

fn load(out: &mut String, report: &Report) {
    let plan = &report.info.plan;
    let _ =
        writeln!(out, "\n| workload | scheduled | started on time | response p95 | p99 | errors |");
    let _ = writeln!(out, "|---|--:|--:|--:|--:|--:|");
    for row in rows::workloads(report) {
        let per_s = |rate: Option<f64>| format!("{}/s", show_rate(rate.unwrap_or_default()));
        let (scheduled, started) = if row.info.open {
            let share = row.on_time_share().unwrap_or_default() * 100.0;
            (per_s(row.due_per_s()), format!("{} ({share:.2} %)", per_s(row.on_time_per_s())))
        } else {
            ("closed".to_owned(), per_s(row.started_per_s()))
        };
        let measured = row.measured();
        let errors = measured.calls.error_share();
        let _ = writeln!(
            out,
            "| {} | {scheduled} | {started} | {} | {} | {} |",
            text(&row.info.name),
            quantile(&measured.response, 0.95),
            quantile(&measured.response, 0.99),
            errors.map_or(String::new(), |share| format!("{:.2} %", share * 100.0)),
        );
    }
    if !plan.warmup.is_zero() {
        let warmup = show_duration(plan.warmup);
        let _ = writeln!(out, "\nMeasured after a warm-up of {warmup}.");
    }
}

fn steps(out: &mut String, report: &Report) {
    let _ = writeln!(
        out,
        "\n| step | calls | rate | errors | response p50 | p95 | p99 | max | service p95 | p99 |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    );
    let labels = StepLabels::new(report);
    for row in rows::steps(report).take(SHOWN) {
        let name = labels.label(row.id);
        if !row.was_called() {
            let _ = writeln!(out, "| {} | 0 | | | | | | | | |", text(&name));
            continue;
        }
        let calls = row.calls();
        let rate = row.calls_per_s.map(|rate| format!("{}/s", show_rate(rate)));
        let times = [0.5, 0.95, 0.99, 1.0].map(|p| row.response(p));
        let times = times.into_iter().chain([0.95, 0.99].map(|p| row.service(p)));
        let times: Vec<_> = times.map(|time| time.map_or(String::new(), show_quantile)).collect();
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} % | {} |",
            text(&name),
            show_count(calls.made),
            rate.unwrap_or_default(),
            calls.error_share().unwrap_or(0.0) * 100.0,
            times.join(" | "),
        );
    }
    let more = report.info.plan.steps.len().saturating_sub(SHOWN);
    if more > 0 {
        let _ = writeln!(out, "\n{more} more steps in steps.csv.");
    }
    if let Some(note) = lost_note(report) {
        let _ = writeln!(out, "\n{note}.");
    }
}

fn errors(out: &mut String, report: &Report) {
    if report.snapshot.errors.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n| errors | | what to do |\n|--:|---|---|");
    for row in rows::errors(report).take(SHOWN) {
        let (count, hint) = (show_count(row.count), text(row.hint));
        let _ = writeln!(out, "| {count} | {}: {} | {hint} |", row.phase, row.kind);
    }
}

/// Escapes a text for Markdown and HTML.
fn text(words: &str) -> String {
    let mut out = String::new();
    for c in plain(words).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // Mentions and references are looked for in what was rendered: an entity hides nothing
            // there, a space without width beside the sign does.
            '@' | '#' => {
                out.push(c);
                out.push_str("&#8203;");
            }
            // A bare address becomes a link by its colon.
            ':' => out.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '!' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

/// The inside of a code span: no backtick ends it.
fn code(words: &str) -> String {
    plain(words).replace('`', "'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::page::tests::made_up;
    use crate::stats::Calls;

    #[test]
    fn a_workload_is_shown_of_the_time_that_counts() {
        let mut report = made_up(3, "shop");
        let mut snapshot = (*report.snapshot).clone();
        // All that failed was due in the warm-up.
        snapshot.workloads[0].1 = Calls { made: 9, failed: 9, ..Calls::default() };
        for step in snapshot.measured.steps.iter_mut().flatten() {
            step.calls = Calls { made: 4, ok: 4, ..Calls::default() };
        }
        report.snapshot = std::sync::Arc::new(snapshot);
        let mut out = String::new();
        load(&mut out, &report);
        assert!(out.contains("| 0.00 % |") && !out.contains("100.00 % |\n"), "{out}");
    }

    #[test]
    fn what_others_wrote_is_text() {
        for (words, shown) in [
            ("a|b", "a\\|b"),
            ("[x](javascript:y)", "\\[x\\]\\(javascript&#58;y\\)"),
            ("<img src=x>", "&lt;img src=x&gt;"),
            ("@all https://evil", "@&#8203;all https&#58;//evil"),
            ("a\n#1 b", "a\u{fffd}#&#8203;1 b"),
            ("# b", "#&#8203; b"),
        ] {
            assert_eq!(text(words), shown);
        }
        assert_eq!(code("a ` b"), "a ' b");
    }
}
