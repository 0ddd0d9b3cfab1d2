//! Mending while it runs: what is wrong, what may help, and whether it did.
//!
//! `run::steward` shows it every few seconds what it has seen. Source: seed 003 §4.3, four healers.
//! Invariant: a remedy is not tried again before its effect has been looked at; where there is none
//! it says so, once.

/// What can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthIssue {
    /// The process holds too much memory.
    Memory,
    /// A pool has no connection left to lend: its place in the plan.
    Connections(usize),
    /// A service answers much more slowly than it did: its place in the plan.
    Latency(usize),
    /// A service fails much more often than it did: its place in the plan.
    Errors(usize),
}

/// What was seen of one thing over the last interval.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthSign {
    /// What is wrong if it is high.
    pub issue: HealthIssue,
    /// How high: a share, or for latency the p95 in s; none: too little was seen.
    pub value: Option<f64>,
    /// A remedy is at hand.
    pub curable: bool,
}

/// What is to be done, or what came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum HealingStep {
    /// Apply the remedy: it was seen so high.
    Remedy(HealthIssue, f64),
    /// There is none.
    Helpless(HealthIssue, f64),
    /// What came of the remedy: before, and now.
    Outcome(HealthIssue, f64, f64),
}

/// Memory above this share of its budget.
const MEMORY: f64 = 0.85;
/// Pools of which more than this share is lent.
const CONNECTIONS: f64 = 0.9;
/// Services that take more than so many times as long as they did…
const SLOWER: f64 = 2.0;
/// …and longer than this, s: twice nothing is nothing.
const SLOW_S: f64 = 0.1;
/// Services of which more than this share of attempts fail.
const ERRORS: f64 = 0.3;
/// The best of a service's p95 is forgotten slowly, so that a target that has changed for good
/// becomes the new measure: each interval adds so much of it.
const FORGET: f64 = 0.02;
/// How many intervals a case rests after its outcome before a remedy is tried again.
const REST: u32 = 3;

/// A remedy that was tried.
#[derive(Clone, Debug)]
struct Remedy {
    issue: HealthIssue,
    before: f64,
    /// Intervals since: the outcome is told at the first.
    age: u32,
    helpless: bool,
}

/// The law at work.
#[derive(Clone, Debug, Default)]
pub struct HealingController {
    cases: Vec<Remedy>,
    /// The best p95 of each service so far, s.
    best: Vec<Option<f64>>,
}

impl HealingController {
    /// An interval has ended, and this was seen: what is to be done.
    pub fn evaluate(&mut self, signs: &[HealthSign]) -> Vec<HealingStep> {
        let mut steps = Vec::new();
        for case in &mut self.cases {
            case.age += 1;
            let sign = signs.iter().find(|sign| sign.issue == case.issue);
            if let (1, false, Some(now)) = (case.age, case.helpless, sign.and_then(|it| it.value)) {
                steps.push(HealingStep::Outcome(case.issue.clone(), case.before, now));
            }
        }
        self.cases.retain(|case| case.age <= REST);
        for sign in signs {
            let Some(value) = sign.value else { continue };
            let wrong = self.is_wrong(&sign.issue, value);
            if !wrong || self.cases.iter().any(|case| case.issue == sign.issue) {
                continue;
            }
            let issue = sign.issue.clone();
            let helpless = !sign.curable;
            self.cases.push(Remedy { issue: issue.clone(), before: value, age: 0, helpless });
            let step = if helpless { HealingStep::Helpless } else { HealingStep::Remedy };
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
                if self.best.len() <= *service {
                    self.best.resize(service + 1, None);
                }
                let best = self.best[*service].map_or(value, |best| best * (1.0 + FORGET));
                self.best[*service] = Some(best.min(value));
                value > best * SLOWER && value > SLOW_S
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(issue: HealthIssue, value: f64) -> HealthSign {
        HealthSign { issue, value: Some(value), curable: true }
    }

    #[test]
    fn each_issue_has_its_line() {
        for (issue, well, ill) in [
            (HealthIssue::Memory, 0.85, 0.86),
            (HealthIssue::Connections(0), 0.9, 0.91),
            (HealthIssue::Errors(0), 0.3, 0.31),
        ] {
            let mut heal = HealingController::default();
            assert_eq!(heal.evaluate(&[sign(issue.clone(), well)]), []);
            let steps = heal.evaluate(&[sign(issue.clone(), ill)]);
            assert_eq!(steps, [HealingStep::Remedy(issue, ill)]);
        }
        // Latency: twice the best so far, and long enough to be felt.
        let mut heal = HealingController::default();
        let mut look = |value| heal.evaluate(&[sign(HealthIssue::Latency(1), value)]);
        assert_eq!(look(0.06), []);
        assert_eq!(look(0.11), []);
        assert_eq!(look(0.2), [HealingStep::Remedy(HealthIssue::Latency(1), 0.2)]);
    }

    #[test]
    fn a_remedy_has_an_outcome_and_a_rest() {
        let mut heal = HealingController::default();
        let mut look = |value| heal.evaluate(&[sign(HealthIssue::Errors(0), value)]);
        assert_eq!(look(0.5), [HealingStep::Remedy(HealthIssue::Errors(0), 0.5)]);
        assert_eq!(look(0.4), [HealingStep::Outcome(HealthIssue::Errors(0), 0.5, 0.4)]);
        assert_eq!((look(0.4), look(0.4)), (vec![], vec![]));
        assert_eq!(look(0.4), [HealingStep::Remedy(HealthIssue::Errors(0), 0.4)]);
    }

    #[test]
    fn where_nothing_helps_it_says_so_once() {
        let mut heal = HealingController::default();
        let sign =
            HealthSign { issue: HealthIssue::Connections(2), value: Some(1.0), curable: false };
        let all: Vec<_> = (0..3).flat_map(|_| heal.evaluate(std::slice::from_ref(&sign))).collect();
        assert_eq!(all, [HealingStep::Helpless(HealthIssue::Connections(2), 1.0)]);
    }

    #[test]
    fn a_target_that_changed_for_good_becomes_the_measure() {
        let mut heal = HealingController::default();
        heal.evaluate(&[sign(HealthIssue::Latency(0), 0.2)]);
        let ill = (0..100).filter(|_| {
            let steps = heal.evaluate(&[sign(HealthIssue::Latency(0), 0.5)]);
            steps.iter().any(|step| matches!(step, HealingStep::Remedy(..)))
        });
        // 0.2 s grows by a fiftieth each time: it is half of 0.5 after 12.
        assert!((2..=4).contains(&ill.count()));
    }
}
