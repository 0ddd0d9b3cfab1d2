//! Trust checks on lost starts, generator errors, full CPUs and ledgers.
//!
//! `evaluate` runs them; `lateness` holds the checks on time.
//! Invariant: a check returns a reason only if its limit was exceeded.

use super::effects::{ALL, BOUND, Effect, LOST_STARTS, LOST_WORKERS, NOT_MADE};
use super::reason::{LITTLE, LOST, SATURATED, TrustLevel, TrustReason};
use crate::stats::outcome::error_at;
use crate::stats::{Change, Snapshot, StateChange};

/// Checks for starts that were lost because the generator was late.
pub(super) fn check_lost_starts(snapshot: &Snapshot) -> Option<TrustReason> {
    let workloads = &snapshot.measured.workloads;
    let lost: u64 = workloads.iter().map(|workload| workload.lost_to_us).sum();
    let due: u64 = workloads.iter().map(|workload| workload.due).sum();
    reason_for_share("lost_starts", lost, due, LOST_STARTS, || {
        "the generator was late and found no free user for these starts: give it more cores, or \
         raise `max_users`"
            .to_owned()
    })
}

/// Checks for workers that were lost, and agents without a lease: their load was not served, and
/// what lost ones did since their last delta is not in the report.
pub(super) fn check_lost_workers(snapshot: &Snapshot) -> Option<TrustReason> {
    let is_lost = |change: &&StateChange| {
        matches!(change.change, Change::WorkerLost { .. } | Change::Unmerged { .. })
    };
    let is_idle = |change: &&StateChange| matches!(change.change, Change::NoLease { .. });
    let changes = || snapshot.changes.list.iter();
    let mut lost: Vec<&StateChange> = changes().filter(is_lost).collect();
    let check = if lost.is_empty() { "lost_lease" } else { "lost_workers" };
    if lost.is_empty() {
        lost.extend(changes().filter(is_idle));
    }
    let last = lost.last()?;
    let iterations = snapshot.iterations();
    let loads = &snapshot.measured.workloads;
    let target: u64 = loads.iter().map(|load| load.target_user_ns).sum();
    let present: u64 = loads.iter().map(|load| load.present_user_ns).sum();
    let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
    let due = iterations.due.max(iterations.started + iterations.unserved);
    let observed =
        share(iterations.unserved, due).max(share(target.saturating_sub(present), target));
    let unmerged = changes().filter_map(|change| match change.change {
        Change::Unmerged { since, until } => Some(until.since(since)),
        _ => None,
    });
    let observed = observed.max(share(unmerged.max().unwrap_or(0), snapshot.elapsed_ns).min(1.0));
    let level = if observed > LOST { TrustLevel::No } else { TrustLevel::Degraded };
    let limit = if observed > LOST { LOST } else { 0.0 };
    let others = match lost.len() {
        1 => String::new(),
        all => format!(" ({all} times in all)"),
    };
    let moved = |change: &&StateChange| {
        matches!(change.change, Change::Redistributed { .. }) && change.subject == last.subject
    };
    let load = match snapshot.changes.list.iter().find(moved) {
        _ if matches!(last.change, Change::Unmerged { .. }) => "all figures lack it".to_owned(),
        Some(moved) => format!("{}; what was due before is unserved", moved.change),
        None if check == "lost_lease" => "it serves its load again".to_owned(),
        None => "its load was not served from then on".to_owned(),
    };
    Some(TrustReason {
        check,
        level,
        observed,
        limit,
        unit: "share",
        effects: LOST_WORKERS,
        hint: format!("{last}{others}; {load}"),
    })
}

pub(super) fn check_generator_errors(snapshot: &Snapshot) -> Option<TrustReason> {
    let calls = snapshot.calls();
    // Including errors between calls: a condition that reads an unset variable makes no call at
    // all.
    let ours = |(index, _): &&(usize, u64)| error_at(*index).0 == "generator";
    let own: u64 = snapshot.errors.iter().filter(ours).map(|(_, count)| count).sum();
    let own = own.max(calls.generator_errors);
    let all = calls.made + own - calls.generator_errors;
    reason_for_share("generator_errors", own, all, NOT_MADE, || {
        let unset: Vec<&str> = snapshot.unset.iter().map(|(name, _)| name.as_str()).collect();
        let failed = snapshot.failed_expressions.iter().max_by_key(|(_, count)| *count);
        if let (true, Some((text, _))) = (unset.is_empty(), failed) {
            format!("expressions failed: {text}")
        } else if unset.is_empty() {
            "see the errors of phase `generator`: each has a hint".to_owned()
        } else {
            format!("calls used variables that were not set: {}", unset.join(", "))
        }
    })
}

fn reason_for_share(
    check: &'static str,
    bad: u64,
    all: u64,
    effects: &'static [Effect],
    hint: impl FnOnce() -> String,
) -> Option<TrustReason> {
    if bad == 0 {
        return None;
    }
    let observed = bad as f64 / all.max(1) as f64;
    let (level, limit) =
        if observed > LOST { (TrustLevel::No, LOST) } else { (TrustLevel::Degraded, 0.0) };
    Some(TrustReason { check, level, observed, limit, unit: "share", effects, hint: hint() })
}

/// Checks whether a closed, unpaced run had a shard at full CPU: then it measured itself as much as
/// the target.
pub(super) fn check_saturation(snapshot: &Snapshot) -> Option<TrustReason> {
    let seconds = snapshot.elapsed_ns as f64 / 1e9;
    let observed = snapshot.health.saturated_seconds as f64 / seconds.max(1.0);
    (observed > SATURATED).then(|| TrustReason {
        check: "generator_bound",
        level: TrustLevel::Degraded,
        observed,
        limit: SATURATED,
        unit: "share",
        effects: BOUND,
        hint:
            "a generator thread used its whole CPU core: throughput is valid, latency includes the \
               generator's own; use more cores or less load"
                .to_owned(),
    })
}

pub(super) fn check_ledger(snapshot: &Snapshot) -> Option<TrustReason> {
    let broken = &snapshot.health.ledger;
    (!broken.is_empty()).then(|| TrustReason {
        check: "ledger",
        level: TrustLevel::No,
        observed: broken.len() as f64,
        limit: 0.0,
        unit: "count",
        effects: ALL,
        hint: format!(
            "internal counts disagree, a bug in Manada; please report it: {}",
            broken.join("; ")
        ),
    })
}

pub(super) fn check_littles_law(snapshot: &Snapshot) -> Option<TrustReason> {
    let observed = snapshot.health.little_error.abs();
    (observed > LITTLE).then(|| TrustReason {
        check: "littles_law",
        level: TrustLevel::No,
        observed,
        limit: LITTLE,
        unit: "share",
        effects: ALL,
        hint: "calls in flight and their times violate Little's law, a bug in Manada; please \
               report it"
            .to_owned(),
    })
}
