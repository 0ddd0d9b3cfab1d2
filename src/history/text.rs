//! Runs of the history as text for the terminal.
//!
//! `cli` prints it.
//! Invariant: every text of the database passes `plain`; a value that is not known is `–`.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use super::stored::{StoredFigure, StoredRun};
use crate::report::ansi::{BAD, BOLD, DIM, GOOD, WARN, paint, plain};
use crate::report::text_table::{Align, TextTable};
use crate::units::{counted, show_bytes, show_count, show_duration, show_rate, show_us};
use crate::verdict::Threshold;

/// The figures of a list.
pub const LISTED: [&str; 3] = ["rate", "response.p95", "errors"];

/// The figures of a run that `show` prints, of the run, its workloads and its steps.
const SHOWN: [&str; 5] = ["calls", "errors", "response.p50", "response.p95", "response.p99"];

/// Returns a table of runs, latest first.
pub fn list(runs: &[StoredRun]) -> String {
    if runs.is_empty() {
        return "no runs\n".to_owned();
    }
    let mut table = TextTable::new(&[
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Left,
    ])
    .with_names_in(2);
    table.head(["run", "started", "scenario", "verdict", "starts", "p95", "errors", "commit"]);
    for run in runs {
        let [rate, p95, errors] = LISTED.map(|metric| shown(run.figure(metric)));
        table.row([
            plain(run.short_id()),
            date(run.started_ms),
            plain(&run.scenario),
            verdict(run),
            rate,
            p95,
            errors,
            plain(&run.short_commit()),
        ]);
        if let Some(note) = tags(run) {
            table.note(&format!("tags: {note}"));
        }
    }
    let mut out = String::new();
    table.render(&mut out, 0);
    out.push_str(&paint(DIM, "times in UTC; * the measurement is not trusted, or only in part\n"));
    out
}

/// Returns a run with its figures.
pub fn show(run: &StoredRun) -> String {
    let mut out = format!("{} {}\n", paint(BOLD, &plain(&run.scenario)), plain(&run.id));
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(out, "  {} {value}", paint(DIM, &format!("{name:<9}")));
        }
    };
    let length = Duration::from_secs_f64(run.duration_s.clamp(0.0, 1e9));
    let length = Duration::from_millis(length.as_millis() as u64);
    line("started", format!("{} UTC, for {}", date(run.started_ms), show_duration(length)));
    let reason = run.reason.as_deref().map_or(String::new(), |why| format!(": {}", plain(why)));
    line("verdict", format!("{} (exit code {}){reason}", verdict(run), run.exit_code));
    line("trust", plain(&run.trust));
    line("tags", tags(run).unwrap_or_default());
    let branch = run.branch.as_deref().map_or(String::new(), |name| format!(" on {}", plain(name)));
    let changed =
        if run.is_changed == Some(true) { "; the scenario's file was changed since" } else { "" };
    if let Some(commit) = &run.commit {
        line("commit", format!("{}{branch}{changed}", plain(commit)));
    }
    line("command", plain(&run.command));
    line("version", plain(&run.version));
    for one in run.machine.lines() {
        line("machine", plain(one));
    }
    out.push('\n');
    figures(run, &mut out);
    if !run.thresholds.is_empty() {
        out.push('\n');
        for one in &run.thresholds {
            let mark = if one.passed { paint(GOOD, "✓") } else { paint(BAD, "✗") };
            let observed = one.observed.and_then(|value| {
                let known = Threshold::parse(&one.rule).ok()?;
                Some(format!("  {}", paint(DIM, &plain(&known.metric.show(value)))))
            });
            let _ = writeln!(out, "  {mark} {}{}", plain(&one.rule), observed.unwrap_or_default());
        }
    }
    out
}

fn figures(run: &StoredRun, out: &mut String) {
    let mut scopes: Vec<&str> = run.figures.iter().map(|one| one.scope.as_str()).collect();
    scopes.dedup();
    let mut table = TextTable::new(&[
        Align::Left,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Right,
        Align::Right,
    ]);
    table.head(["scope", "calls", "errors", "p50", "p95", "p99"]);
    for scope in scopes {
        let of = |metric: &str| {
            shown(run.figures.iter().find(|one| one.scope == scope && one.metric == metric))
        };
        let [calls, errors, half, most, nearly_all] = SHOWN.map(of);
        let name = if scope.is_empty() { "run".to_owned() } else { plain(scope) };
        table.row([name, calls, errors, half, most, nearly_all]);
    }
    table.render(out, 2);
}

fn tags(run: &StoredRun) -> Option<String> {
    let tags: Vec<String> =
        run.tags.iter().map(|(name, value)| format!("{}={}", plain(name), plain(value))).collect();
    (!tags.is_empty()).then(|| tags.join(" "))
}

fn verdict(run: &StoredRun) -> String {
    let word = run.verdict.as_deref().unwrap_or("broken");
    let style = match word {
        "pass" => GOOD,
        "fail" | "broken" | "aborted" => BAD,
        _ => WARN,
    };
    let mark = if run.trust == "yes" { "" } else { "*" };
    paint(style, &format!("{}{mark}", plain(word)))
}

/// A point in time as `2026-11-30 02:31`, in UTC.
pub(super) fn date(ms: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0).min(1 << 47));
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.get(..16).unwrap_or(&text).replace('T', " ")
}

fn shown(figure: Option<&StoredFigure>) -> String {
    match figure.and_then(|one| Some((one, one.value?))) {
        Some((one, value)) => show_value(value, &one.unit, one.at_least),
        None => "–".to_owned(),
    }
}

/// A value in its unit.
pub(super) fn show_value(value: f64, unit: &str, at_least: bool) -> String {
    let bound = if at_least { "≥ " } else { "" };
    let text = match unit {
        "us" => show_us(value.round() as u64),
        "share" => format!("{} %", (value * 1e4).round() / 1e2),
        "bytes" => show_bytes(value as u64),
        "per_s" => show_rate(value),
        _ => show_count(value as u64),
    };
    format!("{bound}{text}")
}

/// Returns the number of deleted runs as a sentence.
pub fn deleted(count: usize) -> String {
    format!("deleted {}\n", counted(count as u64, "run"))
}
