//! The client's policies in numbers: suppressed and delayed calls by cause, pools, breakers,
//! deadlines, degradation.
//!
//! `json` puts them into `summary.json`; `resilience_summary`, the page and the dashboard show
//! some.
//! Invariant: `suppressed_by` adds up to `calls.suppressed`; a policy that the plan does not have
//! is an empty list or null, and is not left out.

use serde_json::{Map, Value, json};

use super::events;
use super::json_parts::latency;
use crate::event::Report;
use crate::plan::policy::DegradationLevel;
use crate::resilience::sizing::WAIT_US;
use crate::stats::{BlockCause, BreakerState, BreakerUse, Change, PoolUse, StateChanges, outcome};

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

/// Suppressed calls by cause, most frequent first.
pub(crate) fn suppressed_by(report: &Report) -> Vec<(BlockCause, u64)> {
    let cause = |(index, count): &(usize, u64)| {
        let (phase, kind, _) = outcome::error_at(*index);
        let cause = BlockCause::ALL.into_iter().find(|cause| cause.name() == kind);
        Some((cause.filter(|_| phase == "suppressed")?, *count))
    };
    report.snapshot.errors.iter().filter_map(cause).collect()
}

/// The pools that users share.
pub(crate) fn shared_pools(report: &Report) -> impl Iterator<Item = (&str, &PoolUse)> {
    let names = &report.info.plan.client.pools;
    let pools = names.iter().zip(&report.snapshot.pools);
    pools.filter(|((_, shared), _)| *shared).map(|((name, _), used)| (name.as_str(), used))
}

/// A cure for a pool whose calls wait for long; `None` if they do not.
pub(crate) fn hint(name: &str, used: &PoolUse) -> Option<String> {
    let slow = used.waits.percentile_us(95.0) > WAIT_US || used.gave_up > 0;
    slow.then(|| format!("raise pools.{name}.connections if the target can take more"))
}

fn pool(name: &str, used: &PoolUse) -> Value {
    json!({
        "name": name, "size": used.size, "lent": used.in_use, "idle": used.idle,
        "waiting": used.waiting, "leases": used.leases, "gave_up": used.gave_up,
        "failed": used.failed, "utilisation": used.utilisation().map(share),
        "wait_us": latency(&used.waits.clone().into()), "hint": hint(name, used),
    })
}

/// All breakers, by name.
pub(crate) fn breakers(report: &Report) -> impl Iterator<Item = (String, BreakerUse)> {
    let names = &report.info.plan.client.breakers;
    let breakers = names.iter().zip(report.snapshot.resilience.breakers.iter().copied());
    breakers.filter(|(name, _)| name.is_configured).map(|(name, used)| (name.name.clone(), used))
}

fn breaker(name: &str, used: BreakerUse) -> Value {
    json!({
        "name": name, "state": used.state.map(BreakerState::name),
        "opened": used.opened, "refused": used.refused,
    })
}

/// Adaptive deadlines, ns, by endpoint.
pub(crate) fn timeouts(report: &Report) -> impl Iterator<Item = (String, u64)> {
    let endpoints = &report.info.plan.client.endpoints;
    let timeouts = report.snapshot.resilience.timeouts_ns.iter();
    endpoints.iter().zip(timeouts).map(|((name, _), ns)| (name.clone(), *ns))
}

fn timeout((endpoint, ns): (String, u64)) -> Value {
    json!({ "endpoint": endpoint, "limit_us": ns / 1_000 })
}

/// The time at each degradation level, ns, and the current level; `None` if the plan has no
/// degradation, or too many state changes were lost.
pub(crate) fn levels(report: &Report) -> Option<([u64; 4], DegradationLevel)> {
    if !report.info.plan.client.degrades {
        return None;
    }
    lasted(&report.snapshot.changes, report.snapshot.elapsed_ns)
}

fn lasted(notices: &StateChanges, elapsed_ns: u64) -> Option<([u64; 4], DegradationLevel)> {
    if notices.lost > 0 {
        return None;
    }
    let (mut level, mut since, mut lasted) = (DegradationLevel::Normal, 0, [0; 4]);
    let mut changes: Vec<(u64, DegradationLevel)> = (notices.list.iter())
        .filter_map(|notice| match notice.change {
            Change::Degradation { to, .. } => Some((notice.at.ns(), to)),
            _ => None,
        })
        .collect();
    changes.sort_by_key(|(at, _)| *at);
    for (at, to) in changes {
        lasted[level as usize] += at - since;
        (level, since) = (to, at);
    }
    lasted[level as usize] += elapsed_ns.saturating_sub(since);
    Some((lasted, level))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunOffset;
    use crate::stats::{ChangeCause, ChangeSubject, StateChange};

    const S: u64 = 1_000_000_000;

    fn notices(changes: &[(u64, Change)], lost: u64) -> StateChanges {
        let notice = |(at, change): &(u64, Change)| StateChange {
            at: RunOffset::from_ns(at * S),
            subject: ChangeSubject::Client,
            change: change.clone(),
            cause: ChangeCause::BusyShard,
        };
        StateChanges { list: changes.iter().map(notice).collect(), lost }
    }

    #[test]
    fn each_second_is_at_one_level() {
        use DegradationLevel::{Emergency, Heavy, Light, Normal};
        let changes = [
            (5, Change::Degradation { from: Normal, to: Light }),
            (6, Change::Breaker { from: BreakerState::Closed, to: BreakerState::Open }),
            // Told later than what came after it.
            (20, Change::Degradation { from: Emergency, to: Heavy }),
            (8, Change::Degradation { from: Light, to: Emergency }),
        ];
        let found = lasted(&notices(&changes, 0), 30 * S);
        assert_eq!(found, Some(([5 * S, 3 * S, 10 * S, 12 * S], DegradationLevel::Heavy)));
        assert_eq!(
            lasted(&notices(&[], 0), 9 * S),
            Some(([9 * S, 0, 0, 0], DegradationLevel::Normal))
        );
        assert_eq!(lasted(&notices(&changes, 1), 30 * S), None, "nobody knows what was lost");
    }
}
