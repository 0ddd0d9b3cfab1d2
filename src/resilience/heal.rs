//! Self-healing during a run: what is wrong, which remedy may help, and whether it did.
//!
//! `run::supervisor` feeds it every few seconds. Source: seed 003 §4.3, four healers.
//! Invariant: a remedy is not applied again before its effect has been measured; an issue without a
//! remedy is reported once.

use crate::ids::{PoolId, ServiceId};
use crate::stats::HealthFigure;

/// An issue that a run can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthIssue {
    /// The process uses too much memory.
    Memory,
    /// A pool has no free connection.
    Connections(PoolId),
    /// A service responds much more slowly than before.
    Latency(ServiceId),
    /// A service fails much more often than before.
    Errors(ServiceId),
}

impl HealthIssue {
    /// The figure of this issue with a measured value.
    pub fn figure(&self, value: f64) -> HealthFigure {
        match self {
            Self::Memory => HealthFigure::MemoryInUse(value),
            Self::Connections(_) => HealthFigure::PoolInUse(value),
            Self::Latency(_) => HealthFigure::P95(value),
            Self::Errors(_) => HealthFigure::Failed(value),
        }
    }
}

/// A measurement over the last interval.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSign {
    /// The issue that a high value means.
    pub issue: HealthIssue,
    /// The value: a share, or for latency the p95 in s; `None` if there was too little data.
    pub value: Option<f64>,
    /// Whether there is a remedy.
    pub curable: bool,
}

/// An action to take, or a result to report.
#[derive(Clone, Debug, PartialEq)]
pub enum HealingStep {
    /// Apply the remedy; the value that was measured.
    Remedy(HealthIssue, f64),
    /// There is no remedy; the value that was measured.
    NoRemedy(HealthIssue, f64),
    /// Result of the remedy: the value before, and now.
    Outcome(HealthIssue, f64, f64),
}

/// Memory is an issue above this share of its budget.
const MEMORY: f64 = 0.85;
/// A pool is an issue if more than this share of it is in use.
const CONNECTIONS: f64 = 0.9;
/// A service is an issue if its latency exceeds this multiple of its best…
const SLOWER: f64 = 2.0;
/// …and this duration, s: twice nothing is nothing.
const SLOW_S: f64 = 0.1;
/// A service is an issue if more than this share of its attempts fail.
const ERRORS: f64 = 0.3;
/// A service's best p95 is forgotten slowly, so that a permanent change of the target becomes the
/// new baseline: the best grows by this share per interval.
const BASELINE_GROWTH: f64 = 0.02;
/// How many intervals pass after a remedy's result before it is tried again.
const PAUSE_INTERVALS: u32 = 3;

/// A remedy that was tried.
#[derive(Clone, Debug)]
struct TriedRemedy {
    issue: HealthIssue,
    before: f64,
    /// Intervals since it was tried: the result is reported at the first.
    age: u32,
    is_unfixable: bool,
}

/// The open issues, and the baselines of services.
#[derive(Clone, Debug, Default)]
pub struct HealingController {
    cases: Vec<TriedRemedy>,
    /// The best p95 of each service so far, s.
    best: Vec<Option<f64>>,
}

impl HealingController {
    /// Evaluates an interval; returns what to do.
    pub fn evaluate(&mut self, signs: &[HealthSign]) -> Vec<HealingStep> {
        let mut steps = Vec::new();
        for case in &mut self.cases {
            case.age += 1;
            let sign = signs.iter().find(|sign| sign.issue == case.issue);
            if let (1, false, Some(now)) =
                (case.age, case.is_unfixable, sign.and_then(|it| it.value))
            {
                steps.push(HealingStep::Outcome(case.issue.clone(), case.before, now));
            }
        }
        self.cases.retain(|case| case.age <= PAUSE_INTERVALS);
        for sign in signs {
            let Some(value) = sign.value else { continue };
            let wrong = self.is_wrong(&sign.issue, value);
            if !wrong || self.cases.iter().any(|case| case.issue == sign.issue) {
                continue;
            }
            let issue = sign.issue.clone();
            let is_unfixable = !sign.curable;
            self.cases.push(TriedRemedy {
                issue: issue.clone(),
                before: value,
                age: 0,
                is_unfixable,
            });
            let step = if is_unfixable { HealingStep::NoRemedy } else { HealingStep::Remedy };
            steps.push(step(issue, value));
        }
        steps
    }

    fn is_wrong(&mut self, issue: &HealthIssue, value: f64) -> bool {
        match issue {
            HealthIssue::Memory => value > MEMORY,
            HealthIssue::Connections(_) => value > CONNECTIONS,
            HealthIssue::Errors(_) => value > ERRORS,
            HealthIssue::Latency(service) => {
                let service = service.index();
                if self.best.len() <= service {
                    self.best.resize(service + 1, None);
                }
                let best = self.best[service].map_or(value, |best| best * (1.0 + BASELINE_GROWTH));
                self.best[service] = Some(best.min(value));
                value > best * SLOWER && value > SLOW_S
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: ServiceId = ServiceId::new(0);

    fn sign(issue: HealthIssue, value: f64) -> HealthSign {
        HealthSign { issue, value: Some(value), curable: true }
    }

    #[test]
    fn each_issue_has_a_threshold() {
        for (issue, well, issues) in [
            (HealthIssue::Memory, 0.85, 0.86),
            (HealthIssue::Connections(PoolId::new(0)), 0.9, 0.91),
            (HealthIssue::Errors(FIRST), 0.3, 0.31),
        ] {
            let mut heal = HealingController::default();
            assert_eq!(heal.evaluate(&[sign(issue.clone(), well)]), []);
            let steps = heal.evaluate(&[sign(issue.clone(), issues)]);
            assert_eq!(steps, [HealingStep::Remedy(issue, issues)]);
        }
        // Latency: twice the best so far, and long enough to matter.
        let mut heal = HealingController::default();
        let mut look =
            |value| heal.evaluate(&[sign(HealthIssue::Latency(ServiceId::new(1)), value)]);
        assert_eq!(look(0.06), []);
        assert_eq!(look(0.11), []);
        assert_eq!(look(0.2), [HealingStep::Remedy(HealthIssue::Latency(ServiceId::new(1)), 0.2)]);
    }

    #[test]
    fn remedy_has_a_result_and_a_pause() {
        let mut heal = HealingController::default();
        let mut look = |value| heal.evaluate(&[sign(HealthIssue::Errors(FIRST), value)]);
        assert_eq!(look(0.5), [HealingStep::Remedy(HealthIssue::Errors(FIRST), 0.5)]);
        assert_eq!(look(0.4), [HealingStep::Outcome(HealthIssue::Errors(FIRST), 0.5, 0.4)]);
        assert_eq!((look(0.4), look(0.4)), (vec![], vec![]));
        assert_eq!(look(0.4), [HealingStep::Remedy(HealthIssue::Errors(FIRST), 0.4)]);
    }

    #[test]
    fn missing_remedy_is_reported_once() {
        let mut heal = HealingController::default();
        let sign = HealthSign {
            issue: HealthIssue::Connections(PoolId::new(2)),
            value: Some(1.0),
            curable: false,
        };
        let all: Vec<_> = (0..3).flat_map(|_| heal.evaluate(std::slice::from_ref(&sign))).collect();
        assert_eq!(all, [HealingStep::NoRemedy(HealthIssue::Connections(PoolId::new(2)), 1.0)]);
    }

    #[test]
    fn permanent_change_becomes_the_baseline() {
        let mut heal = HealingController::default();
        heal.evaluate(&[sign(HealthIssue::Latency(FIRST), 0.2)]);
        let issues = (0..100).filter(|_| {
            let steps = heal.evaluate(&[sign(HealthIssue::Latency(FIRST), 0.5)]);
            steps.iter().any(|step| matches!(step, HealingStep::Remedy(..)))
        });
        // 0.2 s grows by a fiftieth each time: it is half of 0.5 after 12.
        assert!((2..=4).contains(&issues.count()));
    }
}
