//! Which figures a fault of the generator affects, and in which direction:
//! the table of docs/methodology.md.
//!
//! `Trust` reads it for each threshold.
//! Invariant: a figure that a fault moves in one direction only is never doubted in the other.

use super::super::metric::{Metric, MetricTime};
use Moves::{Any, Down, Up};

/// A figure, and the direction in which a cause may have moved it.
pub type Effect = (&'static str, Moves);

/// The direction in which a fault of the generator moves a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// The true value is not above the measured one.
    Up,
    /// The true value is not below the measured one.
    Down,
    /// The true value may lie on either side.
    Any,
}

/// Lateness of the generator, for starts, calls or responses: it is part of the times, which only
/// grow, and of the starts that were lost.
pub(super) const LATE: &[Effect] = &[
    ("response", Up),
    ("service", Up),
    ("iteration", Up),
    ("lag", Up),
    ("achieved", Down),
    ("rate", Down),
    ("dropped", Up),
    ("messages", Up),
];

pub(super) const LOST_STARTS: &[Effect] =
    &[("response", Up), ("iteration", Up), ("achieved", Down), ("rate", Down), ("dropped", Up)];

/// The load of a lost process was not served, and what it did last was not reported: whatever those
/// calls would have shown is missing.
pub(super) const LOST_WORKERS: &[Effect] = &[
    ("response", Any),
    ("service", Any),
    ("iteration", Any),
    ("checks", Any),
    ("errors", Any),
    ("achieved", Down),
    ("rate", Down),
    ("dropped", Any),
    ("users", Down),
    ("messages", Any),
    ("message counts", Any),
    ("caches", Any),
];

/// Calls that were not made: their results are missing everywhere.
pub(super) const NOT_MADE: &[Effect] = &[
    ("response", Any),
    ("service", Any),
    ("iteration", Any),
    ("checks", Any),
    ("errors", Any),
    ("rate", Any),
    ("messages", Any),
    ("message counts", Any),
    ("caches", Any),
];

pub(super) const MISSING_USERS: &[Effect] = &[
    ("response", Any),
    ("service", Any),
    ("iteration", Any),
    ("users", Down),
    ("rate", Down),
    ("messages", Any),
    ("message counts", Any),
    ("caches", Any),
];

pub(super) const BOUND: &[Effect] =
    &[("response", Up), ("service", Up), ("iteration", Up), ("rate", Down), ("messages", Up)];

/// Messages that were read late: they seem to come later, and some seem not to come. The response
/// of an `await` ends with such a message.
pub(super) const RECEIVED_LATE: &[Effect] = &[
    ("response", Up),
    ("service", Up),
    ("iteration", Up),
    ("messages", Up),
    ("message counts", Any),
];

pub(super) const ALL: &[Effect] = &[("all", Any)];

/// The name of a metric's figure, as reasons name it.
pub(super) fn figure(metric: Metric) -> &'static str {
    match metric {
        Metric::Time(MetricTime::Response | MetricTime::OkResponse, _) => "response",
        Metric::Time(MetricTime::Service | MetricTime::OkService, _) => "service",
        Metric::Time(MetricTime::Lag, _) => "lag",
        Metric::Time(MetricTime::Blocked, _) => "blocked",
        Metric::Time(MetricTime::Iteration, _) => "iteration",
        Metric::Time(MetricTime::Messages(_), _) => "messages",
        Metric::Messages(_) | Metric::Good => "message counts",
        Metric::Checks => "checks",
        Metric::Errors
        | Metric::Failed
        | Metric::Timeouts
        | Metric::GeneratorErrors
        | Metric::Statuses(..)
        | Metric::StatusShare(..) => "errors",
        Metric::Achieved => "achieved",
        Metric::AchievedUsers => "users",
        Metric::Dropped => "dropped",
        Metric::Rate | Metric::Calls | Metric::Iterations | Metric::Bytes => "rate",
        Metric::Recovery => "recovery",
        Metric::Cache(_) => "caches",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::trust::{Trust, TrustLevel, TrustReason};
    use crate::verdict::{Judgement, Threshold};

    /// By cause, as docs/methodology.md names it.
    const CAUSES: &[(&str, &[Effect])] = &[
        ("`lag`; `stalls`; `run_queue`; `run_queue_wait`", LATE),
        ("`lost_starts`", LOST_STARTS),
        ("`lost_workers`; `lost_lease`", LOST_WORKERS),
        ("`generator_errors`", NOT_MADE),
        ("`late_users`", MISSING_USERS),
        ("`generator_bound`; `outlier`", BOUND),
        ("`receiver_bound`", RECEIVED_LATE),
        ("`ledger`, `littles_law`", ALL),
    ];

    /// By figure, as docs/methodology.md names it: a threshold with an upper limit on it.
    const RULES: &[(&str, &[&str])] = &[
        ("response", &["response.p95 < 1s"]),
        ("service", &["service.p95 < 1s"]),
        ("iteration", &["iteration.p95 < 1s"]),
        ("lag", &["lag.p95 < 1s"]),
        ("checks, errors", &["checks < 50%", "errors < 1%", "timeouts < 9", "status(5xx) < 9"]),
        ("achieved", &["achieved < 50%"]),
        ("rate", &["rate < 9/s", "iterations < 9", "calls < 9", "bytes < 9MB"]),
        ("dropped", &["dropped < 9"]),
        ("achieved.users", &["achieved.users < 50%"]),
        ("messages", &["delivery.p95 < 1s", "gap.p95 < 1s", "first.p95 < 1s"]),
        ("message counts", &["lost < 9", "delivered < 9", "good < 50%"]),
        ("caches", &["cache(\"c\").hits < 50%", "cache(\"c\").errors < 9"]),
    ];

    fn judged(rule: &str, passed: bool) -> Judgement {
        let threshold = Threshold::parse(rule).unwrap();
        let observed = Some(1.0);
        Judgement { observed, passed, ..Judgement::nothing_observed(&threshold) }
    }

    /// The tables of docs/methodology.md equal the code, cell by cell, for limits on both sides.
    #[test]
    fn documented_tables_equal_the_code() {
        let page = include_str!("../../../docs/methodology.md");
        let cells = |line: &str| -> Vec<String> {
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        let rows: Vec<Vec<String>> =
            page.lines().filter(|line| line.starts_with('|')).map(cells).collect();
        let heads: Vec<usize> = (0..rows.len()).filter(|at| rows[*at][0] == "cause").collect();
        let columns: usize = heads.iter().map(|at| rows[*at].len() - 1).sum();
        assert_eq!(columns, RULES.len(), "each figure has a column");
        let looked_at: usize = heads.into_iter().map(|at| table(&rows[at..])).sum();
        assert!(looked_at > 100, "{looked_at}");
    }

    /// Compares the table that begins with `rows`. Returns the number of comparisons.
    fn table(rows: &[Vec<String>]) -> usize {
        let (head, mut looked_at) = (&rows[0], 0);
        for (cause, effects) in CAUSES {
            let row = rows
                .iter()
                .find(|row| row[0] == *cause && row.len() == head.len())
                .unwrap_or_else(|| panic!("{cause}"));
            let reason = |level| TrustReason {
                check: "test",
                level,
                observed: 1.0,
                limit: 0.0,
                unit: "us",
                effects,
                hint: String::new(),
            };
            let trust = |level| Trust { level, reasons: vec![reason(level)] };
            for (at, figure) in head.iter().enumerate().skip(1) {
                let (_, rules) = RULES.iter().find(|(name, _)| name == figure).unwrap();
                // Is an upper limit in doubt when it fails, and when it holds?
                let wanted = match row[at].as_str() {
                    "↑" => [true, false],
                    "↓" => [false, true],
                    "↕" => [true, true],
                    "" => [false, false],
                    other => panic!("{other}"),
                };
                for upper in *rules {
                    let lower = upper.replace('<', ">");
                    for passed in [false, true] {
                        let doubts = |rule: &str, level| trust(level).doubts(&judged(rule, passed));
                        let is_wanted = wanted[usize::from(passed)];
                        assert_eq!(
                            doubts(upper, TrustLevel::No),
                            is_wanted,
                            "{cause} {upper} {passed}"
                        );
                        let is_wanted = wanted[usize::from(!passed)];
                        assert_eq!(
                            doubts(&lower, TrustLevel::No),
                            is_wanted,
                            "{cause} {lower} {passed}"
                        );
                        assert!(
                            !doubts(upper, TrustLevel::Degraded),
                            "degraded alone decides nothing"
                        );
                        looked_at += 1;
                    }
                }
            }
        }
        looked_at
    }
}
