//! Rows of the client's policies: suppressed and delayed calls by cause, pools, breakers, timeouts,
//! degradation.
//!
//! Invariant: `suppressed_by` adds up to `calls.suppressed`.

use crate::event::Report;
use crate::plan::policy::DegradationLevel;
use crate::resilience::sizing::WAIT_US;
use crate::stats::{BlockCause, BreakerUse, Change, Latency, PoolUse, StateChanges, outcome};

/// Suppressed calls by cause, most frequent first.
pub(crate) fn suppressed_by(report: &Report) -> Vec<(BlockCause, u64)> {
    let cause = |(index, count): &(usize, u64)| {
        let (phase, kind, _) = outcome::error_at(*index);
        let cause = BlockCause::ALL.into_iter().find(|cause| cause.name() == kind);
        Some((cause.filter(|_| phase == "suppressed")?, *count))
    };
    report.snapshot.errors.iter().filter_map(cause).collect()
}

/// Attempts beside the first of each call, by kind; kinds that did not occur are left out.
pub(crate) fn extra_attempts(report: &Report) -> impl Iterator<Item = (&'static str, u64)> {
    let attempts = &report.snapshot.attempts;
    let all = [
        ("retries", attempts.retries),
        ("hedges", attempts.hedges),
        ("cancelled for a faster one", attempts.cancelled),
        ("redirects", attempts.redirects),
        ("sent again on a fresh connection", attempts.stale_resends),
        ("denied by the budget", attempts.denied),
    ];
    all.into_iter().filter(|(_, count)| *count > 0)
}

/// Waits that the client's policies caused, by cause.
pub(crate) fn waits(report: &Report) -> impl Iterator<Item = (&'static str, Latency)> {
    report.snapshot.measured.waits.iter().map(|(cause, waits)| {
        let name = match cause {
            BlockCause::Pace => "pace (slow target)",
            cause => cause.name(),
        };
        (name, Latency::from(waits.clone()))
    })
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

/// All breakers, by name.
pub(crate) fn breakers(report: &Report) -> impl Iterator<Item = (String, BreakerUse)> {
    let names = &report.info.plan.client.breakers;
    let breakers = names.iter().zip(report.snapshot.resilience.breakers.iter().copied());
    breakers.filter(|(name, _)| name.is_configured).map(|(name, used)| (name.name.clone(), used))
}

/// Adaptive deadlines, ns, by endpoint.
pub(crate) fn timeouts(report: &Report) -> impl Iterator<Item = (String, u64)> {
    let endpoints = &report.info.plan.client.endpoints;
    let timeouts = report.snapshot.resilience.timeouts_ns.iter();
    endpoints.iter().zip(timeouts).map(|((name, _), ns)| (name.clone(), *ns))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::RunOffset;
    use crate::stats::{BreakerState, ChangeCause, ChangeSubject, StateChange};

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
        assert_eq!(lasted(&notices(&changes, 1), 30 * S), None, "what was lost is unknown");
    }
}
