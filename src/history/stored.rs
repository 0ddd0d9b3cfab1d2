//! A run as it was read from the history.
//!
//! `read` makes it; text, JSON and trends show it.
//! Invariant: it has what the database has, in the units of the metrics.

use serde_json::Value;

use super::entry::JudgedRule;

/// A stored run.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// Its id.
    pub id: String,
    /// The scenario's name.
    pub scenario: String,
    pub(super) started_ms: i64,
    pub(super) duration_s: f64,
    pub(super) verdict: Option<String>,
    pub(super) exit_code: i64,
    pub(super) trust: String,
    pub(super) reason: Option<String>,
    pub(super) command: String,
    pub(super) commit: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) is_changed: Option<bool>,
    pub(super) machine: String,
    pub(super) version: String,
    pub(super) tags: Vec<(String, String)>,
    pub(super) figures: Vec<StoredFigure>,
    pub(super) thresholds: Vec<JudgedRule>,
    pub(super) intervals: Vec<StoredInterval>,
    /// `Null` in a list of runs.
    pub(super) summary: Value,
}

/// A figure of a stored run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredFigure {
    pub(super) scope: String,
    pub(super) metric: String,
    pub(super) value: Option<f64>,
    pub(super) unit: String,
    pub(super) at_least: bool,
}

/// A histogram of a stored run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StoredInterval {
    pub(super) step: i64,
    pub(super) kind: String,
    pub(super) start_s: i64,
    pub(super) length_s: i64,
    pub(super) histogram: Vec<u8>,
}

impl StoredRun {
    /// The figure of a metric of the whole run, if it was read.
    pub(super) fn figure(&self, metric: &str) -> Option<&StoredFigure> {
        self.figures.iter().find(|one| one.scope.is_empty() && one.metric == metric)
    }

    /// The first characters of the commit, with `+` if the scenario was changed since.
    pub(super) fn short_commit(&self) -> String {
        let Some(commit) = &self.commit else { return String::new() };
        let changed = if self.is_changed == Some(true) { "+" } else { "" };
        format!("{}{changed}", commit.get(..7).unwrap_or(commit))
    }

    /// The first part of the id, by which it is found again: the time of the start.
    pub fn short_id(&self) -> &str {
        self.id.split('-').next().unwrap_or(&self.id)
    }
}
