//! Reads runs from the history.
//!
//! `cli` calls it for `manada history`.
//! Invariant: what is read is bounded by the number of runs that is requested.

use std::io::Read;

use flate2::read::ZlibDecoder;
use serde_json::Value;

use super::entry::JudgedRule;
use super::stored::{StoredFigure, StoredInterval, StoredRun};
use super::tables::VERSIONS;
use super::trend::{TrendMetric, TrendRow};
use crate::store::{self, Access, Database, Row, StoreError, StorePlace, StoreValue};
use crate::suggest::did_you_mean;

/// Maximum size of a summary that is read, bytes.
const MAX_SUMMARY: u64 = 64 << 20;
/// Maximum known ids that a wrong one is compared with.
const MAX_IDS: i64 = 1_000;

/// Which runs are read.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// The scenario; `None`: all.
    pub scenario: Option<String>,
    /// Tags that a run must have.
    pub tags: Vec<(String, String)>,
    /// The number of runs: the latest ones.
    pub last: u32,
}

/// The values of a metric, oldest run first.
#[derive(Clone, Debug)]
pub struct StoredTrend {
    /// The metric.
    pub metric: TrendMetric,
    /// A row for each run with the metric.
    pub rows: Vec<TrendRow>,
    /// The number of runs without it.
    pub without: usize,
}

/// Why there is no trend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrendError {
    /// The database failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The scope of the metric selects several series.
    #[error("{0}")]
    Ambiguous(String),
}

/// The columns of [`stored`].
const COLUMNS: &str = "r.id, r.scenario, r.started_ms, r.duration_s, r.verdict, r.exit_code, \
    r.trust, r.reason, r.command, r.commit_id, r.branch, r.is_changed, r.machine, r.version";

/// Opens the history to read it, or to change it.
///
/// # Errors
/// If there is none, or it cannot be used.
pub fn open(place: &StorePlace, access: Access) -> Result<Box<dyn Database>, StoreError> {
    // A command that deletes does not create a file for it.
    let mut database = store::open(place, Access::Read)?;
    match database.version()? {
        0 => return Err(StoreError::Missing),
        found if found > VERSIONS.len() => {
            return Err(StoreError::Newer { found, known: VERSIONS.len() });
        }
        found if found == VERSIONS.len() && access == Access::Read => return Ok(database),
        _ => {}
    }
    drop(database);
    let mut database = store::open(place, Access::Write)?;
    database.migrate(&VERSIONS)?;
    Ok(database)
}

/// Returns runs, latest first, with the figures of `metrics` of the whole run.
///
/// # Errors
/// If the database fails.
pub fn runs(
    database: &mut dyn Database,
    filter: &RunFilter,
    metrics: &[&str],
) -> Result<Vec<StoredRun>, StoreError> {
    let (mut sql, mut values) = (format!("SELECT {COLUMNS} FROM manada_runs r"), Vec::new());
    let mut word = " WHERE ";
    let mut clause = |sql: &mut String, text: String| {
        sql.push_str(word);
        sql.push_str(&text);
        word = " AND ";
    };
    if let Some(scenario) = &filter.scenario {
        values.push(StoreValue::from(scenario.as_str()));
        clause(&mut sql, "r.scenario = ?1".to_owned());
    }
    for (name, value) in &filter.tags {
        let at = values.len() + 1;
        values.extend([name.as_str().into(), value.as_str().into()]);
        let tag = format!(
            "EXISTS (SELECT 1 FROM manada_tags t WHERE t.run = r.id AND t.name = ?{at} \
             AND t.value = ?{})",
            at + 1
        );
        clause(&mut sql, tag);
    }
    sql = format!("{sql} ORDER BY r.started_ms DESC, r.id LIMIT {}", filter.last);
    let mut found = Vec::new();
    for row in database.query(&sql, &values)? {
        let mut run = stored(&row)?;
        run.tags = tags(database, &run.id)?;
        for metric in metrics {
            let figures = figures(database, &run.id, Some(metric))?;
            run.figures.extend(figures.into_iter().filter(|one| one.scope.is_empty()));
        }
        found.push(run);
    }
    Ok(found)
}

/// Returns the id that begins with `prefix`.
///
/// # Errors
/// If there is none, or there are several, with what was most likely meant.
pub fn find(database: &mut dyn Database, prefix: &str) -> Result<String, StoreError> {
    let sql = "SELECT id FROM manada_runs ORDER BY started_ms DESC, id";
    let rows = database.query(&format!("{sql} LIMIT {MAX_IDS}"), &[])?;
    let mut ids: Vec<String> = rows.iter().map(|row| row.get(0)).collect::<Result<_, _>>()?;
    if !ids.iter().any(|id| id.starts_with(prefix)) {
        // It may be older than those.
        let sql = "SELECT id FROM manada_runs WHERE id = ?1";
        let rows = database.query(sql, &[prefix.into()])?;
        ids.extend(rows.iter().map(|row| row.get(0)).collect::<Result<Vec<String>, _>>()?);
    }
    let found: Vec<&String> = ids.iter().filter(|id| id.starts_with(prefix)).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        _ if ids.iter().any(|id| id == prefix) => Ok(prefix.to_owned()),
        [] => {
            let length = prefix.chars().count().max(4);
            let short: Vec<String> =
                ids.iter().map(|id| id.chars().take(length).collect()).collect();
            let near = did_you_mean(prefix, short.iter().map(String::as_str));
            Err(StoreError::NoSuchRun(format!(
                "no run `{prefix}`; expected the id of a run, or the beginning of one, as `manada \
                 history` lists them{near}"
            )))
        }
        several => {
            let shown: Vec<&str> = several.iter().take(5).map(|id| id.as_str()).collect();
            Err(StoreError::NoSuchRun(format!(
                "`{prefix}` is the beginning of {} runs, such as {}; write more of it",
                several.len(),
                shown.join(", ")
            )))
        }
    }
}

/// Returns a run with everything that is stored of it.
///
/// # Errors
/// If the database fails.
pub fn run(database: &mut dyn Database, id: &str) -> Result<StoredRun, StoreError> {
    let sql = format!("SELECT {COLUMNS}, r.summary FROM manada_runs r WHERE r.id = ?1");
    let rows = database.query(&sql, &[id.into()])?;
    // It may have been deleted meanwhile.
    let row = rows.first().ok_or_else(|| StoreError::Failed(format!("no run `{id}`")))?;
    let mut run = stored(row)?;
    run.summary = summary(&row.get::<Vec<u8>>(14)?)?;
    run.tags = tags(database, id)?;
    run.figures = figures(database, id, None)?;
    let sql = "SELECT rule, observed, bound, passed FROM manada_thresholds WHERE run = ?1 \
               ORDER BY position";
    for row in database.query(sql, &[id.into()])? {
        run.thresholds.push(JudgedRule {
            rule: row.get(0)?,
            observed: row.get(1)?,
            limit: row.get(2)?,
            passed: row.get::<i64>(3)? != 0,
        });
    }
    let sql = "SELECT step, kind, start_s, length_s, histogram FROM manada_intervals \
               WHERE run = ?1 ORDER BY start_s, step, kind";
    for row in database.query(sql, &[id.into()])? {
        run.intervals.push(StoredInterval {
            step: row.get(0)?,
            kind: row.get(1)?,
            start_s: row.get(2)?,
            length_s: row.get(3)?,
            histogram: row.get(4)?,
        });
    }
    Ok(run)
}

/// Returns the values of a metric over the latest runs.
///
/// # Errors
/// If the database fails, or the scope selects several series.
pub fn trend(
    database: &mut dyn Database,
    metric: &TrendMetric,
    filter: &RunFilter,
) -> Result<StoredTrend, TrendError> {
    let mut all = runs(database, filter, &[])?;
    all.reverse();
    let (mut rows, mut without) = (Vec::new(), 0);
    for run in all {
        let figures = figures(database, &run.id, Some(metric.name()))?;
        let scopes: Vec<&str> = figures.iter().map(|one| one.scope.as_str()).collect();
        let chosen = metric.choose(&scopes).map_err(TrendError::Ambiguous)?;
        match chosen.map(|at| &figures[at]).and_then(|one| Some((one, one.value?))) {
            Some((figure, value)) => {
                rows.push(TrendRow { run, value, at_least: figure.at_least });
            }
            None => without += 1,
        }
    }
    Ok(StoredTrend { metric: metric.clone(), rows, without })
}

fn stored(row: &Row) -> Result<StoredRun, StoreError> {
    Ok(StoredRun {
        id: row.get(0)?,
        scenario: row.get(1)?,
        started_ms: row.get(2)?,
        duration_s: row.get(3)?,
        verdict: row.get(4)?,
        exit_code: row.get(5)?,
        trust: row.get(6)?,
        reason: row.get(7)?,
        command: row.get(8)?,
        commit: row.get(9)?,
        branch: row.get(10)?,
        is_changed: row.get::<Option<i64>>(11)?.map(|number| number != 0),
        machine: row.get(12)?,
        version: row.get(13)?,
        tags: Vec::new(),
        figures: Vec::new(),
        thresholds: Vec::new(),
        intervals: Vec::new(),
        summary: Value::Null,
    })
}

fn tags(database: &mut dyn Database, id: &str) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT name, value FROM manada_tags WHERE run = ?1 ORDER BY name, value";
    let rows = database.query(sql, &[id.into()])?;
    rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
}

fn figures(
    database: &mut dyn Database,
    id: &str,
    metric: Option<&str>,
) -> Result<Vec<StoredFigure>, StoreError> {
    let sql = "SELECT scope, metric, value, unit, at_least FROM manada_figures WHERE run = ?1 \
               AND (CAST(?2 AS TEXT) IS NULL OR metric = CAST(?2 AS TEXT)) ORDER BY scope, metric";
    let rows = database.query(sql, &[id.into(), metric.into()])?;
    let figure = |row: &Row| {
        Ok(StoredFigure {
            scope: row.get(0)?,
            metric: row.get(1)?,
            value: row.get(2)?,
            unit: row.get(3)?,
            at_least: row.get::<i64>(4)? != 0,
        })
    };
    rows.iter().map(figure).collect()
}

/// Decompresses a summary.
fn summary(bytes: &[u8]) -> Result<Value, StoreError> {
    let damaged = |_| StoreError::Failed("the summary of the run is damaged".to_owned());
    let mut text = Vec::new();
    ZlibDecoder::new(bytes).take(MAX_SUMMARY).read_to_end(&mut text).map_err(damaged)?;
    serde_json::from_slice(&text)
        .map_err(|_| StoreError::Failed("the summary of the run is damaged".to_owned()))
}
