//! The sums that hold in every report, whatever happened in its run.

use serde_json::Value;

use crate::harness::count;

/// Returns the complete responses of a run, whatever their status.
pub(crate) fn answered(report: &Value) -> u64 {
    let statuses = report["status"].as_object().unwrap().values();
    let responses: u64 = statuses.map(|count| count.as_u64().unwrap()).sum();
    responses + report["messages"]["received"].as_u64().unwrap_or(0)
}

/// Returns the ledger sums that do not hold (MEASURING, "Nothing vanishes").
pub(crate) fn wrong_sums(report: &Value) -> Vec<String> {
    let sums: [(&str, &[&str]); 3] = [
        (
            "iterations.started",
            &["iterations.completed", "iterations.ended_early", "iterations.interrupted"],
        ),
        (
            "calls.made",
            &[
                "calls.ok",
                "calls.failed",
                "calls.timeout",
                "calls.suppressed",
                "calls.muted",
                "calls.cancelled",
                "calls.generator_errors",
                "calls.unfinished",
            ],
        ),
        (
            "attempts.started",
            &[
                "attempts.first",
                "attempts.retries",
                "attempts.hedges",
                "attempts.redirects",
                "attempts.stale_resends",
            ],
        ),
    ];
    let mut wrong: Vec<String> = sums
        .iter()
        .filter_map(|(whole, parts)| {
            let sum: u64 = parts.iter().map(|part| count(report, part)).sum();
            (count(report, whole) != sum).then(|| format!("{whole} ≠ {sum}"))
        })
        .collect();
    if report["iterations"]["due"].is_u64() {
        let parts = ["started", "dropped", "suppressed", "not_reached", "unserved"];
        let sum: u64 = parts.iter().map(|part| count(&report["iterations"], part)).sum();
        if count(report, "iterations.due") != sum {
            wrong.push(format!("iterations.due ≠ {sum}"));
        }
    }
    if report["trust"].to_string().contains("ledger") {
        wrong.push("the run itself found its ledgers wrong".to_owned());
    }
    wrong
}
