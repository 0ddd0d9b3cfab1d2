//! Events of a run as entries of a log: start and end, state changes, commands, notes, thresholds.
//!
//! The sink calls it with the events of the run.
//! Invariant: an entry says what summary and reports say of the same event.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::entry::RunLogEntry;
use super::kind_counts::KindCount;
use super::options::LogLevel;
use crate::clock::{self, RunOffset};
use crate::event::{Report, RunInfo, StopCause};
use crate::exit::ExitStatus;
use crate::report::{events, rows};
use crate::stats::StateChange;
use crate::units::{counted, show_count};
use crate::verdict::trust::TrustLevel;

/// An entry without fields of its own.
pub(super) fn plain(
    at: SystemTime,
    level: LogLevel,
    kind: &'static str,
    text: &str,
) -> RunLogEntry {
    RunLogEntry { at, level, kind, text: text.to_owned(), fields: Vec::new() }
}

/// The wall clock at an offset of a run; now if it has not started.
pub(super) fn wall(info: Option<&RunInfo>, at: RunOffset) -> SystemTime {
    info.map_or_else(clock::wall, |info| info.started_at + Duration::from_nanos(at.ns()))
}

/// The start of a run.
pub(super) fn started(info: &RunInfo) -> RunLogEntry {
    let (plan, generator) = (&info.plan, &info.generator);
    let text = format!("run of {} started: {}", plan.scenario, generator.size());
    let fields = vec![
        ("seed", json!(plan.seed.value())),
        ("shards", json!(generator.shards)),
        ("processes", json!(generator.processes)),
    ];
    RunLogEntry { fields, ..plain(info.started_at, LogLevel::Info, "started", &text) }
}

/// A state change, or a command of live control.
pub(super) fn changed(info: Option<&RunInfo>, change: &StateChange) -> RunLogEntry {
    let mut entry = events::entry(change);
    let mut fields = Vec::new();
    for key in ["subject", "change", "from", "to", "cause"] {
        fields.push((key, entry[key].take()));
    }
    let (level, kind) = (LogLevel::of_change(&change.change), change.kind().name());
    RunLogEntry { fields, ..plain(wall(info, change.at), level, kind, &change.to_string()) }
}

/// The run stops before its load is over.
pub(super) fn stopped(info: Option<&RunInfo>, cause: &StopCause, at: RunOffset) -> RunLogEntry {
    let text = format!("stopping before the load is over: {cause}");
    plain(wall(info, at), LogLevel::of_stop(cause), "stopped", &text)
}

/// The thresholds of a finished run.
pub(super) fn thresholds(report: &Report) -> Vec<RunLogEntry> {
    let at = wall(Some(&report.info), RunOffset::from_ns(report.snapshot.elapsed_ns));
    let entry = |row: rows::ThresholdRow<'_>| {
        let (passed, rule) = (row.judgement.passed, row.rule);
        let what = if passed { "holds" } else { "fails" };
        let doubt = if row.is_undecided { ", which decides nothing" } else { "" };
        let text = format!("threshold `{rule}` {what}: {}{doubt}", row.observed);
        let fields = vec![
            ("rule", json!(rule)),
            ("passed", json!(passed)),
            ("observed", json!(row.observed)),
            ("limit", json!(row.limit)),
        ];
        let level = LogLevel::of_threshold(passed);
        RunLogEntry { fields, ..plain(at, level, "threshold", &text) }
    };
    rows::thresholds(report).map(entry).collect()
}

/// The end of a run with its verdict.
pub(super) fn ended(report: &Report) -> RunLogEntry {
    let status = report.status;
    let level = LogLevel::of_end(status);
    let verdict = status.verdict().unwrap_or("broken");
    let reasons = report.broken.iter().chain(&report.stopped).chain(&report.why);
    let why = reasons.map(String::as_str).collect::<Vec<_>>().join("; ");
    let mut text = format!("run of {} ended: {verdict}", report.info.plan.scenario);
    if !why.is_empty() {
        text = format!("{text} ({why})");
    }
    let at = wall(Some(&report.info), RunOffset::from_ns(report.snapshot.elapsed_ns));
    let trusted = report.trust.level == TrustLevel::Yes;
    let fields = end_fields(verdict, status, Some(trusted));
    RunLogEntry { fields, ..plain(at, level, "ended", &text) }
}

/// The end of a run that has no report.
pub(super) fn not_carried_out(scenario: &str, why: &str, status: ExitStatus) -> RunLogEntry {
    let text = format!("run of {scenario} was not carried out: {why}");
    let fields = end_fields(status.verdict().unwrap_or("broken"), status, None);
    RunLogEntry { fields, ..plain(clock::wall(), LogLevel::Error, "ended", &text) }
}

fn end_fields(
    verdict: &str,
    status: ExitStatus,
    trusted: Option<bool>,
) -> Vec<(&'static str, Value)> {
    vec![
        ("verdict", json!(verdict)),
        ("exit_code", json!(status.code())),
        ("trusted", json!(trusted)),
    ]
}

/// The number of entries of a kind that were left out in a second.
pub(super) fn left_out(at: SystemTime, kind: &'static str, count: u64) -> RunLogEntry {
    let text = format!("{} of kind {kind} left out", counted(count, "line"));
    let fields = vec![("of", json!(kind)), ("count", json!(count))];
    RunLogEntry { fields, ..plain(at, LogLevel::Warn, "left_out", &text) }
}

/// The counts of a kind over the whole run.
pub(super) fn total(at: SystemTime, kind: &'static str, count: KindCount) -> RunLogEntry {
    let KindCount { written, left_out, lost, .. } = count;
    let all = written + left_out + lost;
    let (lines, written_text) = (counted(all, "line"), show_count(written));
    let text = match all {
        0 => format!("no lines of kind {kind}"),
        _ => format!("{written_text} of {lines} of kind {kind} written"),
    };
    let fields = vec![
        ("of", json!(kind)),
        ("count", json!(all)),
        ("written", json!(written)),
        ("left_out", json!(left_out)),
        ("lost", json!(lost)),
    ];
    RunLogEntry { fields, ..plain(at, LogLevel::Info, "total", &text) }
}
