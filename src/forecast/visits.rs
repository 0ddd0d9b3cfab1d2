//! Expected visits of each step of a flow.
//!
//! `pass` computes them for each section of an archetype.
//! Invariant: exact for weights, fixed conditions, fixed loops and Markov states (v = e + vP, the
//! expected visits of an absorbing chain); [`VisitAssumptions`] decide the rest.

use std::collections::BTreeMap;

use crate::plan::flow::Step;

/// Assumptions about conditions and loops that only a run can decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VisitAssumptions {
    /// Probability that a condition holds, 0 to 1.
    pub condition_holds: f64,
    /// Rounds of a loop whose `times` is not constant.
    pub rounds: f64,
    /// Whether a `while` takes all its possible rounds, or none.
    pub takes_while_rounds: bool,
}

impl VisitAssumptions {
    /// The assumptions of a forecast.
    pub const EXPECTED: Self = Self { condition_holds: 0.5, rounds: 1.0, takes_while_rounds: true };
    /// Another probability and number of rounds: figures that change under it are guesses.
    pub const ALTERNATIVE: Self = Self { condition_holds: 0.25, rounds: 2.0, ..Self::EXPECTED };
    /// A `while` takes no round: figures that change under it are upper bounds.
    pub const NO_WHILE: Self = Self { takes_while_rounds: false, ..Self::EXPECTED };
}

/// Returns the expected visits of each step from `begin` to its section's end; `None` if the flow
/// may never end.
pub fn visits(steps: &[Step], begin: usize, assumptions: VisitAssumptions) -> Option<Vec<f64>> {
    let chain = Chain::new(steps, begin, assumptions);
    let anchor_visits = chain.solve()?;
    let mut mass = vec![0.0; steps.len()];
    for (anchor, visits) in chain.anchors.iter().zip(anchor_visits) {
        mass[*anchor] = visits;
    }
    chain.propagate(&mut mass, 0, &mut |_, _| {});
    Some(mass)
}

/// A flow as a Markov chain between anchors: its first step, and every step that is the target of
/// a jump back. Between two anchors all transitions lead forward.
struct Chain<'a> {
    steps: &'a [Step],
    assumptions: VisitAssumptions,
    anchors: Vec<usize>,
    /// Index of each anchor, by its step.
    numbers: BTreeMap<usize, usize>,
}

impl<'a> Chain<'a> {
    fn new(steps: &'a [Step], begin: usize, assumptions: VisitAssumptions) -> Self {
        let mut chain = Self { steps, assumptions, anchors: vec![begin], numbers: BTreeMap::new() };
        chain.numbers.insert(begin, 0);
        for at in 0..steps.len() {
            let mut back = Vec::new();
            chain.for_each_successor(at, &mut |to, _| back.extend((to <= at).then_some(to)));
            for to in back {
                let next = chain.anchors.len();
                if *chain.numbers.entry(to).or_insert(next) == next {
                    chain.anchors.push(to);
                }
            }
        }
        chain
    }

    /// Computes the visits of each anchor: (I − Pᵀ) v = e, by elimination over the reachable ones.
    fn solve(&self) -> Option<Vec<f64>> {
        let count = self.anchors.len();
        let mut rows: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        let mut pending = vec![0];
        while let Some(from) = pending.pop() {
            if rows.contains_key(&from) {
                continue;
            }
            let mut row = vec![0.0; count];
            let mut mass = vec![0.0; self.steps.len()];
            mass[self.anchors[from]] = 1.0;
            self.propagate(&mut mass, self.anchors[from], &mut |to, part| row[to] += part);
            pending.extend((0..count).filter(|to| row[*to] > 0.0 && !rows.contains_key(to)));
            rows.insert(from, row);
        }
        let reached: Vec<usize> = rows.keys().copied().collect();
        let equation = |to: &usize| -> Vec<f64> {
            let own = |from: &usize| f64::from(u8::from(from == to)) - rows[from][*to];
            let start = f64::from(u8::from(*to == 0));
            reached.iter().map(own).chain([start]).collect()
        };
        let solved = eliminate(reached.iter().map(equation).collect())?;
        let mut visits = vec![0.0; count];
        reached.iter().zip(solved).for_each(|(anchor, value)| visits[*anchor] = value);
        Some(visits)
    }

    /// Propagates expected visits forward from step `from`; visits that reach an anchor go to
    /// `arrive`.
    fn propagate(&self, mass: &mut [f64], from: usize, arrive: &mut dyn FnMut(usize, f64)) {
        for at in from..self.steps.len() {
            let visits_here = mass[at];
            if visits_here <= 0.0 {
                continue;
            }
            self.for_each_successor(at, &mut |to, share| match self.numbers.get(&to) {
                Some(anchor) => arrive(*anchor, visits_here * share),
                None => mass[to] += visits_here * share,
            });
        }
    }

    /// Calls `visit` with each successor of a step and the expected transitions per visit. All
    /// rounds of a loop enter it at once, so its jump back has no successor.
    fn for_each_successor(&self, at: usize, visit: &mut dyn FnMut(usize, f64)) {
        match &self.steps[at] {
            Step::End => {}
            Step::Jump(to) if *to <= at && matches!(self.steps[*to], Step::Round { .. }) => {}
            Step::Jump(to) => visit(*to, 1.0),
            // Forecasts assume that calls succeed.
            Step::Rescue { to } => visit(*to, 1.0),
            Step::Choose(choice) => {
                let total: f64 = choice.options.iter().map(|(weight, _)| weight).sum();
                choice.options.iter().for_each(|(weight, to)| visit(*to, weight / total));
            }
            Step::If { to, .. } if self.is_while(at.wrapping_sub(1), *to) => visit(at + 1, 1.0),
            Step::If { condition, to } => {
                let chance = match condition.as_fixed() {
                    Some(value) => f64::from(u8::from(value.is_true())),
                    None => self.assumptions.condition_holds,
                };
                visit(at + 1, chance);
                visit(*to, 1.0 - chance);
            }
            Step::Round { to, .. } => {
                visit(at + 1, self.rounds(at, *to));
                visit(*to, 1.0);
            }
            _ => visit(at + 1, 1.0),
        }
    }

    /// Returns the expected rounds of a loop with this head.
    fn rounds(&self, head: usize, to: usize) -> f64 {
        let Some(Step::Count { times, .. }) = head.checked_sub(1).map(|at| &self.steps[at]) else {
            return 0.0;
        };
        if self.is_while(head, to) && !self.assumptions.takes_while_rounds {
            return 0.0;
        }
        let fixed = times.as_fixed().and_then(|value| u64::try_from(value.clone()).ok());
        fixed.map_or(self.assumptions.rounds, |times| times as f64)
    }

    /// Whether the loop with this head is a `while`: its condition leads out of the loop.
    fn is_while(&self, head: usize, out: usize) -> bool {
        let round = matches!(self.steps.get(head), Some(Step::Round { to, .. }) if *to == out);
        let test = self.steps.get(head.wrapping_add(1));
        round && matches!(test, Some(Step::If { to, .. }) if *to == out)
    }
}

/// Solves a system of linear equations, each with its right side last, by elimination with pivots.
fn eliminate(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let count = rows.len();
    for column in 0..count {
        let size = |row: &usize| rows[*row][column].abs();
        let pivot = (column..count).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        // There is no way out: the visits are unbounded.
        if rows[pivot][column].abs() < 1e-12 {
            return None;
        }
        rows.swap(column, pivot);
        let (done, rest) = rows.split_at_mut(column + 1);
        let own = &done[column];
        for row in rest {
            let factor = row[column] / own[column];
            if factor != 0.0 {
                row.iter_mut().zip(own).skip(column).for_each(|(to, from)| *to -= factor * from);
            }
        }
    }
    let mut solved = vec![0.0; count];
    for row in (0..count).rev() {
        let known: f64 = (row + 1..count).map(|other| rows[row][other] * solved[other]).sum();
        solved[row] = (rows[row][count] - known) / rows[row][row];
    }
    solved.iter().all(|value| value.is_finite() && *value >= -1e-9).then_some(solved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::flow::Choice;
    use crate::template::TypedTemplate;

    fn choose(options: &[(f64, usize)]) -> Step {
        Step::Choose(Choice { options: options.to_vec() })
    }

    #[test]
    fn markov_chain_has_the_visits_of_its_equations() {
        // tests/sim/markov.yaml: home, catalogue, search, product; the end is step 9.
        let steps = [
            Step::Jump(1),
            Step::Call(0),
            choose(&[(0.7, 3), (0.2, 5), (0.1, 9)]),
            Step::Call(1),
            choose(&[(0.6, 7), (0.2, 1), (0.2, 9)]),
            Step::Call(2),
            choose(&[(0.5, 7), (0.5, 9)]),
            Step::Call(3),
            choose(&[(0.5, 3), (0.5, 9)]),
            Step::End,
        ];
        let seen = visits(&steps, 0, VisitAssumptions::EXPECTED).unwrap();
        for (step, expected) in [(1, 1.272_727), (3, 1.363_636), (5, 0.254_545), (7, 0.945_455)] {
            assert!((seen[step] - expected).abs() < 1e-5, "step {step}: {}", seen[step]);
        }
        assert!((seen[9] - 1.0).abs() < 1e-9);
    }

    #[test]
    fn endless_flow_has_no_visits_and_unreachable_steps_do_not_matter() {
        let steps = [Step::Call(0), choose(&[(1.0, 0)]), Step::End];
        assert_eq!(visits(&steps, 0, VisitAssumptions::EXPECTED), None);
        let steps = [Step::Call(0), Step::Jump(4), Step::Call(1), choose(&[(1.0, 2)]), Step::End];
        assert_eq!(
            visits(&steps, 0, VisitAssumptions::EXPECTED),
            Some(vec![1.0, 1.0, 0.0, 0.0, 1.0])
        );
    }

    #[test]
    fn loops_multiply_and_conditions_halve() {
        // repeat 3 times: a call, and, if something, another; then a while of at most 10 rounds.
        let unknown = || TypedTemplate::parse("{{ n > 1 }}", &["n".to_owned()]).unwrap();
        let steps = [
            Step::Count { counter: 0, times: TypedTemplate::fixed(3) },
            Step::Round { counter: 0, to: 6 },
            Step::Call(0),
            Step::If { condition: unknown(), to: 5 },
            Step::Call(1),
            Step::Jump(1),
            Step::Count { counter: 0, times: TypedTemplate::fixed(10) },
            Step::Round { counter: 0, to: 11 },
            Step::If { condition: unknown(), to: 11 },
            Step::Call(2),
            Step::Jump(7),
            Step::If { condition: TypedTemplate::fixed(false), to: 13 },
            Step::Call(3),
            Step::End,
        ];
        let calls = |assumptions| {
            let seen = visits(&steps, 0, assumptions).unwrap();
            // In quarters, which floats hold exactly.
            [2, 4, 9, 12, 13].map(|step: usize| (seen[step] * 4.0) as u32)
        };
        assert_eq!(calls(VisitAssumptions::EXPECTED), [12, 6, 40, 0, 4]);
        assert_eq!(calls(VisitAssumptions::ALTERNATIVE), [12, 3, 40, 0, 4]);
        assert_eq!(calls(VisitAssumptions::NO_WHILE), [12, 6, 0, 0, 4]);
    }
}
