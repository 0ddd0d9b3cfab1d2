//! Rows of responses and errors: statuses, attempts without a response, and their causes in the
//! scenario.
//!
//! Invariant: each attempt without a response is counted in one row.

use std::cmp::Reverse;

use super::checks::checks;
use super::steps::StepLabels;
use crate::event::Report;
use crate::protocol::status::{self, ShownStatus};
use crate::stats::outcome;

/// A status of responses.
pub(crate) struct StatusRow {
    pub(crate) status: u16,
    pub(crate) count: u64,
    /// Share of all responses of the status.
    pub(crate) share: f64,
}

impl StatusRow {
    /// Whether the status is an error of client or server: 400 or more.
    pub(crate) fn is_error(&self) -> bool {
        status::is_error(self.status)
    }
}

/// All statuses of the run, the warm-up included.
pub(crate) fn statuses(report: &Report) -> impl Iterator<Item = StatusRow> {
    let statuses = &report.snapshot.statuses;
    let all: u64 = statuses.iter().map(|(_, count)| count).sum();
    statuses.iter().map(move |&(status, count)| {
        let share = count as f64 / all.max(1) as f64;
        StatusRow { status, count, share }
    })
}

/// A kind of error of attempts.
pub(crate) struct ErrorRow {
    pub(crate) count: u64,
    pub(crate) phase: &'static str,
    pub(crate) kind: &'static str,
    /// What to do about it.
    pub(crate) hint: &'static str,
    /// What the calls count as: `failed`, `timeout` …
    pub(crate) counted_as: &'static str,
}

/// All kinds of errors of the run, the warm-up included; most frequent first.
pub(crate) fn errors(report: &Report) -> impl Iterator<Item = ErrorRow> {
    report.snapshot.errors.iter().map(|&(index, count)| {
        let (phase, kind, hint) = outcome::error_at(index);
        ErrorRow { count, phase, kind, hint, counted_as: outcome::counted_as(index) }
    })
}

/// Counts by a name from the scenario.
pub(crate) struct NamedCounts<'r> {
    /// What the names are.
    pub(crate) title: &'static str,
    /// What was wrong with one of them.
    pub(crate) problem: &'static str,
    pub(crate) counts: &'r [(String, u64)],
}

/// The causes of errors in the scenario: variables, expressions, data.
pub(crate) fn named_counts(report: &Report) -> [NamedCounts<'_>; 3] {
    let snapshot = &report.snapshot;
    let row = |title, problem, counts| NamedCounts { title, problem, counts };
    [
        row("Variables that were not set", "unset", &snapshot.unset),
        row("Expressions that failed", "expression", &snapshot.failed_expressions),
        row("Data that was used up", "data", &snapshot.ran_out),
    ]
}

/// Something that went wrong: an error, a status, or a check.
pub(crate) struct ProblemRow {
    pub(crate) count: u64,
    pub(crate) what: String,
    /// What to do about it; empty if that depends on the target.
    pub(crate) hint: &'static str,
}

/// Everything that went wrong, most frequent first.
pub(crate) fn problems(report: &Report) -> Vec<ProblemRow> {
    let mut all: Vec<ProblemRow> = Vec::new();
    all.extend(errors(report).map(|error| ProblemRow {
        count: error.count,
        what: format!("{}: {}", error.phase, error.kind),
        hint: error.hint,
    }));
    all.extend(statuses(report).filter(StatusRow::is_error).map(|status| ProblemRow {
        count: status.count,
        what: format!("status {}", ShownStatus(status.status)),
        hint: "",
    }));
    let labels = StepLabels::new(report);
    all.extend(checks(report).filter(|check| check.failed > 0).map(|check| ProblemRow {
        count: check.failed,
        what: format!("check {}: {}", labels.label(check.id), check.name),
        hint: "",
    }));
    all.sort_by_key(|problem| Reverse(problem.count));
    all
}
