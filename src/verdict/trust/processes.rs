//! Checks that compare the processes of a run: workers of one machine, or agents of a fleet.
//!
//! `Trust` runs them.
//! Invariant: a process is named only if it differs from the others by more than chance.

use super::effects::BOUND;
use super::reason::{TrustLevel, TrustReason};
use crate::stats::{ProcessFigures, Snapshot};
use crate::units::show_us;

/// How often the median of the others an outlier's median is.
const OUTLIER_FACTOR: f64 = 1.5;

/// The least difference of an outlier, µs: below, the cause may be the machine's own noise.
const OUTLIER_US: u64 = 1_000;

/// The least number of responses that a median is compared with.
const OUTLIER_RESPONSES: u64 = 200;

/// Checks whether one process measures much longer service times than all others: its machine, or
/// its way to the target, is slower.
pub(super) fn check_outlier(snapshot: &Snapshot) -> Option<TrustReason> {
    let processes = &snapshot.health.processes;
    let enough = |one: &&ProcessFigures| one.responses >= OUTLIER_RESPONSES;
    let judged: Vec<&ProcessFigures> = processes.iter().filter(enough).collect();
    let outlier = judged.iter().enumerate().filter_map(|(at, one)| {
        let others = judged.iter().enumerate().filter(|(other, _)| *other != at);
        let mut others: Vec<u64> = others.map(|(_, other)| other.service_p50_us).collect();
        others.sort_unstable();
        let median = *others.get(others.len() / 2)?;
        let limit = median as f64 * OUTLIER_FACTOR;
        let is_outlier = one.service_p50_us as f64 > limit
            && one.service_p50_us.saturating_sub(median) > OUTLIER_US;
        is_outlier.then_some((*one, median, limit))
    });
    let (one, median, limit) = outlier.max_by_key(|(one, ..)| one.service_p50_us)?;
    Some(TrustReason {
        check: "outlier",
        level: TrustLevel::Degraded,
        observed: one.service_p50_us as f64,
        limit,
        unit: "us",
        effects: BOUND,
        hint: format!(
            "{} measured a service time of {} at p50, the others {}: its machine, or its way to \
             the target, is slower",
            one.name,
            show_us(one.service_p50_us),
            show_us(median)
        ),
    })
}

/// Names the process that was late in the reasons for lateness.
pub(super) fn name_the_latest(reasons: &mut [TrustReason], snapshot: &Snapshot) {
    let latest = snapshot.health.processes.iter().max_by_key(|one| one.lag_p99_us);
    let Some(latest) = latest.filter(|latest| latest.lag_p99_us > 0) else { return };
    for reason in reasons.iter_mut().filter(|reason| ["lag", "stalls"].contains(&reason.check)) {
        let lag = show_us(latest.lag_p99_us);
        reason.hint = format!("{}; {} was the latest (p99 {lag})", reason.hint, latest.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Tally;
    use crate::stats::sample::SeriesLayout;

    fn found(processes: &[(u64, u64)]) -> Option<String> {
        let mut snapshot = Tally::new(&SeriesLayout::default(), 1, Vec::new()).snapshot(None);
        let figures = |(at, (responses, p50)): (usize, &(u64, u64))| ProcessFigures {
            name: format!("agent {at}"),
            responses: *responses,
            service_p50_us: *p50,
            lag_p99_us: 0,
        };
        snapshot.health.processes = processes.iter().enumerate().map(figures).collect();
        check_outlier(&snapshot).map(|reason| reason.hint)
    }

    #[test]
    fn the_slowest_of_those_that_differ_is_named() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[(900, 9_000)]), None, "alone");
        assert_eq!(found(&[(900, 3_000), (900, 3_100), (900, 4_000)]), None, "below the factor");
        assert_eq!(found(&[(900, 300), (900, 310), (900, 1_200)]), None, "below a millisecond");
        assert_eq!(found(&[(900, 3_000), (900, 3_100), (9, 9_000)]), None, "too few");
        let hint = found(&[(900, 3_000), (900, 12_000), (900, 3_100)]).unwrap();
        assert!(
            hint.starts_with("agent 1 measured a service time of 12.0 ms at p50, the others"),
            "{hint}"
        );
        let hint = found(&[(900, 3_000), (900, 9_000)]).unwrap();
        assert!(hint.starts_with("agent 1 "), "{hint}");
    }
}
