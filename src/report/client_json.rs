//! The client's policies in JSON: suppressed and delayed calls by cause, pools, breakers, timeouts,
//! degradation.
//!
//! `json` puts them into `summary.json`.
//! Invariant: a policy that the plan does not have is an empty list or null, and is not left out.

use serde_json::{Map, Value, json};

use super::events;
use super::json_parts::latency;
use super::rows::client::{breakers, hint, levels, shared_pools, suppressed_by, timeouts};
use crate::event::Report;
use crate::plan::policy::DegradationLevel;
use crate::stats::{BreakerState, BreakerUse, PoolUse};

/// The keys of `summary.json` about the client.
pub(crate) fn document(report: &Report) -> [(&'static str, Value); 9] {
    let (plan, snapshot) = (&report.info.plan, &report.snapshot);
    let waits = snapshot.measured.waits.iter();
    let blocked: Map<_, _> = waits
        .map(|(cause, waits)| (cause.name().to_owned(), latency(&waits.clone().into())))
        .collect();
    let suppressed: Map<_, _> = suppressed_by(report)
        .into_iter()
        .map(|(cause, count)| (cause.name().to_owned(), json!(count)))
        .collect();
    let client = json!({ "kind": plan.client.kind, "parts": plan.client.parts });
    [
        ("client", client),
        ("blocked_by_us", blocked.into()),
        ("suppressed_by", suppressed.into()),
        ("pools", shared_pools(report).map(|(name, used)| pool(name, used)).collect()),
        ("breakers", breakers(report).map(|(name, used)| breaker(&name, used)).collect()),
        ("timeouts", timeouts(report).map(timeout).collect()),
        ("degradation", degradation(report)),
        ("events", events::document(report).into()),
        ("events_lost", snapshot.changes.lost.into()),
    ]
}

fn pool(name: &str, used: &PoolUse) -> Value {
    json!({
        "name": name, "size": used.size, "lent": used.in_use, "idle": used.idle,
        "waiting": used.waiting, "leases": used.leases, "gave_up": used.gave_up,
        "failed": used.failed, "utilisation": used.utilisation().map(share),
        "wait_us": latency(&used.waits.clone().into()), "hint": hint(name, used),
    })
}

fn breaker(name: &str, used: BreakerUse) -> Value {
    json!({
        "name": name, "state": used.state.map(BreakerState::name),
        "opened": used.opened, "refused": used.refused,
    })
}

fn timeout((endpoint, ns): (String, u64)) -> Value {
    json!({ "endpoint": endpoint, "limit_us": ns / 1_000 })
}

fn degradation(report: &Report) -> Value {
    if !report.info.plan.client.degrades {
        return Value::Null;
    }
    let known = levels(report);
    let seconds = known.map(|(lasted, _)| {
        let of = |level: DegradationLevel| (lasted[level as usize] / 1_000_000) as f64 / 1e3;
        DegradationLevel::ALL
            .into_iter()
            .map(|level| (level.name().to_owned(), json!(of(level))))
            .collect()
    });
    let level = known.map(|(_, level)| level.name());
    json!({ "level": level, "seconds": seconds.map(Value::Object) })
}

/// A share rounded to four digits.
fn share(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
