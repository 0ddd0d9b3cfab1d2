//! The generator's own lateness: late starts, event-loop stalls, users admitted late.
//!
//! `Trust` runs these checks.
//! Invariant: one slow moment among few values has no effect: the judged quantile has ten values
//! above it.

use super::checks::check_saturation;
use super::effects::{LATE, MISSING_USERS};
use super::reason::{
    LAG, LATE_USERS, RUN_QUEUE, TrustContext, TrustLevel, TrustReason, WAKE_UP_US,
};
use crate::ids::{StepId, WorkloadId};
use crate::stats::latency::rank;
use crate::stats::{Histogram, Snapshot};

/// A quantile with fewer values above it is chance.
pub(super) const ABOVE: u64 = 10;

/// Returns the worst reason that a check finds in any workload.
pub(super) fn worst(
    snapshot: &Snapshot,
    context: &TrustContext,
    check: fn(&Snapshot, &TrustContext, WorkloadId) -> Option<TrustReason>,
) -> Option<TrustReason> {
    let workloads = WorkloadId::first(snapshot.measured.workloads.len());
    workloads.filter_map(|workload| check(snapshot, context, workload)).max_by(|one, other| {
        one.level.cmp(&other.level).then(one.observed.total_cmp(&other.observed))
    })
}

/// Lateness at a quantile of `count` values.
#[derive(Clone, Copy)]
struct Late {
    us: f64,
    quantile: f64,
    count: u64,
}

/// The quantile at which `count` values are judged: p99, or the one with ten values above it if
/// there are fewer than a thousand, so that a single pause among few starts has no effect. Never
/// below the median.
pub(super) fn judged_quantile(count: u64) -> f64 {
    (1.0 - ABOVE as f64 / count.max(1) as f64).clamp(0.5, 0.99)
}

/// The name of a quantile: `p99`, or a lower one such as `p94.4` with its reason.
pub(super) fn quantile_name(quantile: f64, values: &str) -> String {
    if quantile >= 0.99 {
        return "p99".to_owned();
    }
    format!("p{}, since {values} are few", (quantile * 1_000.0).floor() / 10.0)
}

/// Checks how late the generator picked up starts or calls, whichever is worse: steps that follow
/// at once are never late and would only dilute it.
pub(super) fn check_lag(
    snapshot: &Snapshot,
    context: &TrustContext,
    workload: WorkloadId,
) -> Option<TrustReason> {
    let window = &snapshot.measured.workloads[workload];
    let late = |lag: &Histogram| {
        let quantile = judged_quantile(lag.count());
        Late { us: lag.at_rank(rank(quantile, lag.count())) as f64, quantile, count: lag.count() }
    };
    let (starts, calls) = (late(&window.start_lag), late(&window.lag));
    let late = if starts.us > calls.us { starts } else { calls };
    let (level, limit) = judge_lateness(snapshot, context, workload, late)?;
    let Late { us: observed, quantile, .. } = late;
    Some(TrustReason {
        check: "lag",
        level,
        observed,
        limit,
        unit: "us",
        effects: LATE,
        hint: format!(
            "the generator sent starts or calls late ({}): use more cores (--shards) or less load",
            quantile_name(quantile, "calls")
        ),
    })
}

/// Checks how long the generator's event loop stalled while calls were running.
pub(super) fn check_stalls(
    snapshot: &Snapshot,
    context: &TrustContext,
    workload: WorkloadId,
) -> Option<TrustReason> {
    let window = &snapshot.measured.workloads[workload];
    let own = |(step, _): &(StepId, _)| context.workload_of.get(step.index()) == Some(&workload);
    let steps = StepId::number(&snapshot.measured.steps).filter(own);
    let calls: u64 = steps.filter_map(|(_, step)| step.as_ref()).map(|step| step.calls.made).sum();
    let quantile = judged_quantile(calls);
    // The histogram counts only calls that overlap a stall.
    let healthy = calls.saturating_sub(window.stall.count());
    let observed = match rank(quantile, calls).checked_sub(healthy) {
        Some(rank) if rank > 0 => window.stall.at_rank(rank) as f64,
        _ => return None,
    };
    let late = Late { us: observed, quantile, count: calls };
    let (level, limit) = judge_lateness(snapshot, context, workload, late)?;
    Some(TrustReason {
        check: "stalls",
        level,
        observed,
        limit,
        unit: "us",
        effects: LATE,
        hint: format!(
            "the generator's event loop stalled during calls ({}): stop other programs on its \
             cores, use more cores (--shards), or simplify captures and templates",
            quantile_name(quantile, "calls")
        ),
    })
}

/// Returns the trust level of a workload with this lateness, and the limit that was exceeded.
fn judge_lateness(
    snapshot: &Snapshot,
    context: &TrustContext,
    workload: WorkloadId,
    Late { us: observed, quantile, count }: Late,
) -> Option<(TrustLevel, f64)> {
    let measured = &snapshot.measured;
    let own = |step: StepId| context.workload_of.get(step.index()) == Some(&workload);
    let response = measured.response(own, measured.workloads[workload].lost_starts());
    let response_us = response.quantile(quantile).map_or(0.0, |quantile| quantile.us as f64);
    let limit = |(us, share): (f64, f64)| us.max(share * response_us);
    let (degraded, no) = (limit(LAG[0]), limit(LAG[1]));
    // Under an unthrottled load a generator at full CPU is late for each response: that is reported
    // as `generator_bound`, and its throughput is valid.
    let unthrottled = context.unthrottled.get(workload.index()).copied().unwrap_or(false);
    let is_bound = unthrottled && check_saturation(snapshot).is_some();
    match observed {
        _ if observed > no && is_bound => Some((TrustLevel::Degraded, degraded)),
        // With so few values no quantile has enough above it.
        _ if observed > no && count >= 2 * ABOVE => Some((TrustLevel::No, no)),
        _ if observed > degraded => Some((TrustLevel::Degraded, degraded)),
        _ => None,
    }
}

/// Checks for users that were admitted late, or not at all, because of the generator.
pub(super) fn check_late_users(snapshot: &Snapshot, context: &TrustContext) -> Option<TrustReason> {
    let loads = &snapshot.measured.workloads;
    let late: u64 = loads.iter().map(|load| load.late_user_ns).sum();
    let target: u64 = loads.iter().map(|load| load.target_user_ns).sum();
    if target == 0 {
        return None;
    }
    let observed = late as f64 / target as f64;
    let mut late_loads = (0..loads.len()).filter(|load| loads[*load].late_user_ns > 0);
    let unthrottled = |load: usize| context.unthrottled.get(load).copied().unwrap_or(false);
    let is_bound = check_saturation(snapshot).is_some() && late_loads.all(unthrottled);
    let (level, limit) = match observed {
        _ if observed > LATE_USERS[1] && !is_bound => (TrustLevel::No, LATE_USERS[1]),
        _ if observed > LATE_USERS[0] => (TrustLevel::Degraded, LATE_USERS[0]),
        _ => return None,
    };
    Some(TrustReason {
        check: "late_users",
        level,
        observed,
        limit,
        unit: "share",
        effects: MISSING_USERS,
        hint: "the generator started users late or paused admission: use more cores, more memory \
               or a slower ramp"
            .to_owned(),
    })
}

pub(super) fn check_run_queue(snapshot: &Snapshot) -> Option<TrustReason> {
    let observed = snapshot.health.run_queue_share;
    (observed > RUN_QUEUE).then(|| TrustReason {
        check: "run_queue",
        level: TrustLevel::Degraded,
        observed,
        limit: RUN_QUEUE,
        unit: "share",
        effects: LATE,
        hint: "other programs use the generator's cores: stop them, or run on another machine"
            .to_owned(),
    })
}

/// Rare wake-ups may each wait long and still add up to a small share of the run.
pub(super) fn check_wake_ups(snapshot: &Snapshot) -> Option<TrustReason> {
    let observed = snapshot.health.run_queue_wait_us;
    (observed > WAKE_UP_US).then(|| TrustReason {
        check: "run_queue_wait",
        level: TrustLevel::Degraded,
        observed,
        limit: WAKE_UP_US,
        unit: "us",
        effects: LATE,
        hint: "mean wait of a generator thread for a core per wake-up: stop other programs on its \
               cores, or run on another machine"
            .to_owned(),
    })
}
