//! Runs of the history as JSON.
//!
//! `cli` prints it with `--json`.
//! Invariant: values are those of the database, in the units of the metrics.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::stored::{StoredFigure, StoredRun};
use super::text::date;

/// Returns a list of runs.
pub fn listed(runs: &[StoredRun]) -> Value {
    runs.iter().map(head).collect()
}

/// Returns a run with everything that is stored of it.
pub fn shown(run: &StoredRun) -> Value {
    let mut document = head(run);
    document["command"] = json!(run.command);
    document["machine"] = json!(run.machine.lines().collect::<Vec<_>>());
    let thresholds = run.thresholds.iter().map(|one| {
        json!({
            "rule": one.rule, "observed": one.observed, "limit": one.limit, "passed": one.passed,
        })
    });
    document["thresholds"] = thresholds.collect();
    let intervals = run.intervals.iter().map(|one| {
        json!({
            "step": one.step, "kind": one.kind, "start_s": one.start_s, "length_s": one.length_s,
            "histogram": STANDARD.encode(&one.histogram),
        })
    });
    document["intervals"] = intervals.collect();
    document["summary"] = run.summary.clone();
    document
}

/// What a list has of a run.
pub(super) fn head(run: &StoredRun) -> Value {
    let tags: Map<String, Value> =
        run.tags.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({
        "id": run.id, "scenario": run.scenario,
        "started_at": format!("{}Z", date(run.started_ms).replace(' ', "T")),
        "started_ms": run.started_ms, "duration_s": run.duration_s, "verdict": run.verdict,
        "exit_code": run.exit_code, "trust": run.trust, "reason": run.reason,
        "commit": run.commit, "branch": run.branch, "scenario_changed": run.is_changed,
        "version": run.version, "tags": tags,
        "figures": run.figures.iter().map(figure).collect::<Vec<_>>(),
    })
}

fn figure(one: &StoredFigure) -> Value {
    json!({
        "scope": one.scope, "metric": one.metric, "value": one.value, "unit": one.unit,
        "at_least": one.at_least,
    })
}
