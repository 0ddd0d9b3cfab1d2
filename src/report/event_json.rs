//! A state change as JSON: its kind, the states before and after, and its cause with figures.
//!
//! `events` puts it beside the sentence of the change.
//! Invariant: the keys of a kind are always the same; a state that a kind does not have is null.

use serde_json::{Value, json};

use crate::protocol::status::ShownStatus;
use crate::stats::{
    AttemptOutcome, Change, ChangeCause, LoadOverride, MemoryRelief, OverrideBase, Remedy,
    StateChange, TransitionCause, outcome,
};
use crate::units::nanos;

/// The parts of a change: `kind`, `from`, `to`, and `cause_data`.
pub(super) fn parts(change: &StateChange) -> [(&'static str, Value); 4] {
    let (kind, from, to) = states(&change.change);
    [("kind", json!(kind)), ("from", from), ("to", to), ("cause_data", cause(&change.cause))]
}

fn states(change: &Change) -> (&'static str, Value, Value) {
    let none = Value::Null;
    match change {
        Change::Breaker { from, to } => ("breaker", json!(from.name()), json!(to.name())),
        Change::PoolSize { from, to } => ("pool_size", json!(from), json!(to)),
        Change::Connect { accepts } => {
            let name = |accepts: bool| json!(if accepts { "accepting" } else { "refusing" });
            ("connect", name(!accepts), name(*accepts))
        }
        Change::Degradation { from, to } => ("degradation", json!(from.name()), json!(to.name())),
        Change::Admission { from, to } => ("admission", json!(from.name()), json!(to.name())),
        Change::Memory { relief: MemoryRelief::Trim } => ("trim_memory", none, json!("trimmed")),
        Change::Memory { relief: MemoryRelief::PauseAdmission } => {
            ("user_admission", json!("open"), json!("paused"))
        }
        Change::Memory { relief: MemoryRelief::ResumeAdmission } => {
            ("user_admission", json!("paused"), json!("open"))
        }
        Change::Healing { remedy } => healing(remedy),
        Change::Healed { from, to } => {
            let figure = |value: f64| json!({ from.name(): value });
            ("healed", figure(from.value()), figure(to.value()))
        }
        Change::Load { from, to } => ("load", load(*from), load(*to)),
        Change::LateLoad { to, late_ms, shard } => {
            let mut to = load(*to);
            to["late_ms"] = json!(late_ms);
            to["shard"] = json!(shard);
            ("late_load", none, to)
        }
        Change::SwitchedBreaker { to } => ("breaker_switch", none, json!(to.name())),
        Change::Mute { muted } => {
            let name = |muted: bool| json!(if muted { "muted" } else { "sent" });
            ("mute", name(!muted), name(*muted))
        }
        Change::Mark { text } => ("mark", none, json!(text)),
        Change::WorkerLost { reported_until } => {
            let until_s = reported_until.ns() as f64 / 1e9;
            ("worker_lost", json!("running"), json!({ "reported_until_s": until_s }))
        }
        Change::NoLease { since } => {
            ("no_lease", none, json!({ "since_s": since.ns() as f64 / 1e9 }))
        }
        Change::Unmerged { since, until } => {
            let (since_s, until_s) = (since.ns() as f64 / 1e9, until.ns() as f64 / 1e9);
            ("unmerged", none, json!({ "since_s": since_s, "until_s": until_s }))
        }
        Change::Redistributed { shards, from } => {
            let from_s = from.ns() as f64 / 1e9;
            ("redistributed", none, json!({ "shards": shards, "from_s": from_s }))
        }
        Change::BackendHealth { healthy } => {
            let name = |healthy: bool| json!(if healthy { "healthy" } else { "unhealthy" });
            ("backend_health", name(!healthy), name(*healthy))
        }
        Change::BackendEjected { lasts } => {
            ("backend_ejected", none, json!({ "for_s": nanos(*lasts) as f64 / 1e9 }))
        }
        Change::Shift { from, to, target } => {
            ("shift", json!({ "percent": from }), json!({ "percent": to, "target": target }))
        }
        Change::BackendReturned => ("backend_returned", none, Value::Null),
        Change::Former { .. } => ("former", none, Value::Null),
    }
}

fn healing(remedy: &Remedy) -> (&'static str, Value, Value) {
    match remedy {
        Remedy::TrimMemory => ("trim_memory", Value::Null, json!("trimmed")),
        Remedy::GrowPool { from, to } => ("grow_pool", json!(from), json!(to)),
        Remedy::RefreshService => ("refresh_service", Value::Null, json!("refreshed")),
        Remedy::None { .. } => ("no_remedy", Value::Null, Value::Null),
    }
}

/// The load of a workload: `percent` of the plan, of `users` or of `rate_per_s`.
fn load(load: LoadOverride) -> Value {
    let mut value = json!({ "percent": f64::from(load.permille) / 10.0, "paused": load.paused });
    match load.base {
        OverrideBase::Plan => {}
        OverrideBase::Users(users) => value["users"] = json!(users),
        OverrideBase::Rate(rate) => value["rate_per_s"] = json!(rate.as_f64()),
    }
    value
}

/// A cause: its kind, and its figures by name.
fn cause(cause: &ChangeCause) -> Value {
    match cause {
        ChangeCause::Breaker { why, last } => {
            let mut value = transition(*why);
            if let Some(outcome) = last {
                value["last_attempt"] = attempt(*outcome);
            }
            value
        }
        ChangeCause::Attempt { outcome } => {
            json!({ "kind": "attempt", "attempt": attempt(*outcome) })
        }
        ChangeCause::Connected => json!({ "kind": "connected" }),
        ChangeCause::PoolErrors { share } => json!({ "kind": "pool_errors", "share": share }),
        ChangeCause::PoolWait { p95_us } => json!({ "kind": "pool_wait", "p95_us": p95_us }),
        ChangeCause::PoolPredicted { share } => {
            json!({ "kind": "pool_predicted", "share": share })
        }
        ChangeCause::PoolInUse { share } => json!({ "kind": "pool_in_use", "share": share }),
        ChangeCause::CallErrors { share, calls } => {
            json!({ "kind": "call_errors", "share": share, "calls": calls })
        }
        ChangeCause::SlowCalls { p95_us, calls } => {
            json!({ "kind": "slow_calls", "p95_us": p95_us, "calls": calls })
        }
        ChangeCause::NotNeeded { lasted } => {
            json!({ "kind": "not_needed", "for_s": nanos(*lasted) as f64 / 1e9 })
        }
        ChangeCause::Overload { lag_us, cpu } => {
            json!({ "kind": "overload", "lag_p99_us": lag_us, "cpu": cpu })
        }
        ChangeCause::Well { lasted } => {
            json!({ "kind": "well", "for_s": nanos(*lasted) as f64 / 1e9 })
        }
        ChangeCause::MemoryInUse { share, full_in_s } => {
            json!({ "kind": "memory_in_use", "share": share, "full_in_s": full_in_s })
        }
        ChangeCause::IdleMemoryInUse { share } => {
            json!({ "kind": "idle_memory_in_use", "share": share })
        }
        ChangeCause::Health { figure } => {
            json!({ "kind": "health", figure.name(): figure.value() })
        }
        ChangeCause::Control { origin } => json!({ "kind": "control", "origin": origin.name() }),
        ChangeCause::BusyShard => json!({ "kind": "busy_shard" }),
        ChangeCause::NoHeartbeat => json!({ "kind": "no_heartbeat" }),
        ChangeCause::HealthChecks { checks, last } => {
            json!({ "kind": "health_checks", "checks": checks, "last": last })
        }
        ChangeCause::Decision { text } => json!({ "kind": "decision", "text": text }),
        ChangeCause::EjectionOver => json!({ "kind": "ejection_over" }),
        ChangeCause::ProcessEnded { how } => json!({ "kind": "process_ended", "how": how }),
        ChangeCause::Former { .. } => json!({ "kind": "former" }),
    }
}

fn transition(why: TransitionCause) -> Value {
    match why {
        TransitionCause::InARow { failures } => {
            json!({ "kind": "failures_in_a_row", "failures": failures })
        }
        TransitionCause::Share { failures, attempts } => {
            json!({ "kind": "failure_share", "failures": failures, "attempts": attempts })
        }
        TransitionCause::OpenTimeOver => json!({ "kind": "open_time_over" }),
        TransitionCause::ProbesSucceeded { probes } => {
            json!({ "kind": "probes_succeeded", "probes": probes })
        }
        TransitionCause::ProbeFailed => json!({ "kind": "probe_failed" }),
        TransitionCause::Forced => json!({ "kind": "forced" }),
    }
}

/// How an attempt ended: a status, or the phase and the kind of its error.
fn attempt(outcome: AttemptOutcome) -> Value {
    if let AttemptOutcome::Responded(status) = outcome {
        return json!({ "status": ShownStatus(status) });
    }
    let (phase, kind, _) = outcome::error_index(outcome).map(outcome::error_at).unwrap_or_default();
    json!({ "phase": phase, "kind": kind })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunOffset;
    use crate::stats::{BreakerState, ChangeSubject, FailureKind};

    fn shown(change: Change, cause: ChangeCause) -> Value {
        let (at, subject) = (RunOffset::ZERO, ChangeSubject::Client);
        let all = parts(&StateChange { at, subject, change, cause });
        all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    #[test]
    fn a_change_names_its_states_and_figures() {
        let refused = AttemptOutcome::Failed(outcome::AttemptPhase::Connect, FailureKind::Refused);
        let why = TransitionCause::InARow { failures: 5 };
        let breaker = Change::Breaker { from: BreakerState::Closed, to: BreakerState::Open };
        assert_eq!(
            shown(breaker, ChangeCause::Breaker { why, last: Some(refused) }),
            json!({
                "kind": "breaker", "from": "closed", "to": "open",
                "cause_data": {
                    "kind": "failures_in_a_row", "failures": 5,
                    "last_attempt": { "phase": "connect", "kind": "refused" },
                },
            })
        );
        let from = LoadOverride::PLANNED;
        let to = LoadOverride { base: OverrideBase::Users(30), permille: 500, paused: true };
        let shown = shown(Change::Load { from, to }, ChangeCause::BusyShard);
        assert_eq!(shown["from"], json!({ "percent": 100.0, "paused": false }));
        assert_eq!(shown["to"], json!({ "percent": 50.0, "paused": true, "users": 30 }));
    }
}
