//! The tables of the history: their versions, what writes rows, and what deletes them.
//!
//! `writing` stores runs, `cli` prunes.
//! Invariant: a run is stored or deleted as a whole.

use std::time::Duration;

use super::entry::RunEntry;
use crate::store::{Database, Statement, StoreError, StoreValue};

/// Statements that lead from each version of the tables to the next.
pub(super) const VERSIONS: [&str; 1] = ["
CREATE TABLE manada_runs (
    id TEXT NOT NULL PRIMARY KEY,
    scenario TEXT NOT NULL,
    started_ms BIGINT NOT NULL,
    duration_s DOUBLE PRECISION NOT NULL,
    verdict TEXT,
    exit_code BIGINT NOT NULL,
    trust TEXT NOT NULL,
    reason TEXT,
    command TEXT NOT NULL,
    commit_id TEXT,
    branch TEXT,
    is_changed BIGINT,
    machine TEXT NOT NULL,
    version TEXT NOT NULL,
    summary BYTEA NOT NULL
);
CREATE INDEX manada_runs_by_scenario ON manada_runs (scenario, started_ms);
CREATE TABLE manada_tags (
    run TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL
);
CREATE INDEX manada_tags_by_run ON manada_tags (run);
CREATE TABLE manada_figures (
    run TEXT NOT NULL,
    scope TEXT NOT NULL,
    metric TEXT NOT NULL,
    value DOUBLE PRECISION,
    unit TEXT NOT NULL,
    at_least BIGINT NOT NULL
);
CREATE INDEX manada_figures_by_run ON manada_figures (run, metric);
CREATE TABLE manada_thresholds (
    run TEXT NOT NULL,
    position BIGINT NOT NULL,
    rule TEXT NOT NULL,
    observed DOUBLE PRECISION,
    bound DOUBLE PRECISION NOT NULL,
    passed BIGINT NOT NULL
);
CREATE INDEX manada_thresholds_by_run ON manada_thresholds (run);
CREATE TABLE manada_intervals (
    run TEXT NOT NULL,
    step BIGINT NOT NULL,
    kind TEXT NOT NULL,
    start_s BIGINT NOT NULL,
    length_s BIGINT NOT NULL,
    histogram BYTEA NOT NULL
);
CREATE INDEX manada_intervals_by_run ON manada_intervals (run);
"];

/// What deletes a run: its rows in each table.
const DELETES: [&str; 5] = [
    "DELETE FROM manada_tags WHERE run = ?1",
    "DELETE FROM manada_figures WHERE run = ?1",
    "DELETE FROM manada_thresholds WHERE run = ?1",
    "DELETE FROM manada_intervals WHERE run = ?1",
    "DELETE FROM manada_runs WHERE id = ?1",
];

/// How long runs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The number of runs that are kept of each scenario: the latest ones.
    pub runs: u64,
    /// The age up to which runs are kept.
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self { runs: 1_000, age: Duration::from_hours(2 * 365 * 24) }
    }
}

/// Stores a run; one with the same id is replaced.
pub(super) fn insert(database: &mut dyn Database, entry: &RunEntry) -> Result<(), StoreError> {
    let run = || StoreValue::from(entry.id.as_str());
    let mut all = deletes(&entry.id);
    let commit = entry.commit.as_ref();
    all.push(Statement {
        sql: "INSERT INTO manada_runs (id, scenario, started_ms, duration_s, verdict, exit_code, \
              trust, reason, command, commit_id, branch, is_changed, machine, version, summary) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        values: vec![
            run(),
            entry.scenario.as_str().into(),
            entry.started_ms.into(),
            entry.duration_s.into(),
            entry.verdict.into(),
            i64::from(entry.exit_code).into(),
            entry.trust.into(),
            entry.reason.as_deref().into(),
            entry.command.as_str().into(),
            commit.map(|commit| commit.id.as_str()).into(),
            commit.and_then(|commit| commit.branch.as_deref()).into(),
            commit.and_then(|commit| commit.is_changed).map(i64::from).into(),
            entry.machine.as_str().into(),
            entry.version.into(),
            entry.summary.clone().into(),
        ],
    });
    all.extend(entry.tags.iter().map(|(name, value)| Statement {
        sql: "INSERT INTO manada_tags (run, name, value) VALUES (?1, ?2, ?3)",
        values: vec![run(), name.as_str().into(), value.as_str().into()],
    }));
    all.extend(entry.figures.iter().map(|one| Statement {
        sql: "INSERT INTO manada_figures (run, scope, metric, value, unit, at_least) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        values: vec![
            run(),
            one.scope.as_str().into(),
            one.metric.as_str().into(),
            one.value.into(),
            one.unit.into(),
            i64::from(one.at_least).into(),
        ],
    }));
    all.extend(entry.thresholds.iter().enumerate().map(|(at, one)| Statement {
        sql: "INSERT INTO manada_thresholds (run, position, rule, observed, bound, passed) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        values: vec![
            run(),
            (at as i64).into(),
            one.rule.as_str().into(),
            one.observed.into(),
            one.limit.into(),
            i64::from(one.passed).into(),
        ],
    }));
    all.extend(entry.intervals.iter().map(|one| Statement {
        sql: "INSERT INTO manada_intervals (run, step, kind, start_s, length_s, histogram) \
              VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        values: vec![
            run(),
            (one.step as i64).into(),
            one.kind.into(),
            i64::from(one.start_s).into(),
            i64::from(one.length_s).into(),
            one.histogram.clone().into(),
        ],
    }));
    database.transact(&all).map(drop)
}

/// Deletes runs that are not kept, of one scenario or of all; returns their number.
pub(super) fn prune(
    database: &mut dyn Database,
    scenario: Option<&str>,
    keep: Retention,
    now_ms: i64,
) -> Result<usize, StoreError> {
    let oldest = now_ms.saturating_sub(i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX));
    let runs = i64::try_from(keep.runs).unwrap_or(i64::MAX);
    let sql = "SELECT id FROM (SELECT id, started_ms, row_number() OVER \
               (PARTITION BY scenario ORDER BY started_ms DESC, id) AS place FROM manada_runs \
               WHERE CAST(?1 AS TEXT) IS NULL OR scenario = CAST(?1 AS TEXT)) AS ranked \
               WHERE place > CAST(?2 AS BIGINT) OR started_ms < CAST(?3 AS BIGINT)";
    let rows = database.query(sql, &[scenario.into(), runs.into(), oldest.into()])?;
    let ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    for id in &ids {
        database.transact(&deletes(id))?;
    }
    Ok(ids.len())
}

/// Deletes a run.
///
/// # Errors
/// If the database fails.
pub fn delete(database: &mut dyn Database, id: &str) -> Result<(), StoreError> {
    database.transact(&deletes(id)).map(drop)
}

fn deletes(id: &str) -> Vec<Statement> {
    DELETES.iter().map(|sql| Statement { sql, values: vec![id.into()] }).collect()
}
