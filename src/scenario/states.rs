//! Markov archetypes: an iteration moves from state to state, from `start` to `exit`.
//!
//! `flow` compiles archetypes with `states` instead of a `flow` here.
//! Invariant: every transition leads to an existing state or to the end.

use super::diagnostics::{Diagnostics, nearest};
use super::fields::{self, Fields, wrong};
use super::flow::{Assembly, STEPS};
use super::node::{Node, NodeKey};
use crate::plan::flow::{Choice, Step};

/// The pseudo state that ends an iteration.
const EXIT: &str = "exit";

const EXPECTED: &str = "a map of states, such as \
                        `home: { do: [ { get: / } ], next: { exit: 1 } }`";

/// A state with its transitions by name and weight.
struct MarkovState<'n> {
    key: &'n NodeKey,
    ways: Vec<(&'n NodeKey, f64)>,
    /// Indices of its first step and of its choice.
    begin: usize,
    choice: usize,
}

/// Compiles the states; returns the index of the first step.
pub(super) fn states(
    flow: &mut Assembly<'_>,
    review: &mut Diagnostics,
    node: &Node,
    start: Option<&Node>,
) -> usize {
    let enter = flow.push(Step::Jump(0));
    let Some(entries) = fields::entries(review, node, EXPECTED) else { return enter };
    if entries.is_empty() {
        wrong::<()>(review, node, EXPECTED);
    }
    let mut states = Vec::new();
    for (key, node) in entries {
        if key.name == EXIT {
            review
                .mistake(key.span, "`exit` is where an iteration ends; no state can have its name")
                .help("choose another name for this state");
        }
        states.extend(state(flow, review, key, node));
    }
    let end = flow.push(Step::End);
    let begin_of = |name: &str| {
        let named = states.iter().find(|state: &&MarkovState<'_>| state.key.name == name);
        if name == EXIT { Some(end) } else { named.map(|state| state.begin) }
    };
    if states.len() < entries.len() {
        return enter;
    }
    for state in &states {
        let mut ways = Vec::new();
        for (key, weight) in &state.ways {
            match begin_of(&key.name) {
                Some(to) => ways.push((*weight, to)),
                None => unknown(review, key, &states),
            }
        }
        flow.steps[state.choice] = Step::Choose(Choice { options: ways });
    }
    let first = first(review, start, &states);
    if let Some(first) = first {
        flow.steps[enter] = Step::Jump(states[first].begin);
        look_around(review, &states, first);
    }
    enter
}

fn state<'n>(
    flow: &mut Assembly<'_>,
    review: &mut Diagnostics,
    key: &'n NodeKey,
    node: &'n Node,
) -> Option<MarkovState<'n>> {
    let mut fields = Fields::like(review, node, "a state", "`{ do: [ … ], next: { exit: 1 } }`")?;
    let begin = flow.steps.len();
    if let Some(steps) = fields.take("do") {
        flow.list(review, steps);
    } else {
        fields.need("do", STEPS);
    }
    let choice = flow.push(Step::Jump(0));
    let expected = "a map of states with their weights, such as `{ home: 0.7, exit: 0.3 }`";
    let next = fields.need("next", expected);
    fields.finish(review);
    let next = next?;
    let entries = fields::entries(review, next, expected)?;
    if entries.is_empty() {
        return wrong(review, next, expected);
    }
    let mut ways = Vec::new();
    for (key, node) in entries {
        let weight = fields::weight(review, node)?;
        ways.push((key, weight));
    }
    let sum: f64 = ways.iter().map(|(_, weight)| weight).sum();
    let probabilities = ways.iter().all(|(_, weight)| *weight <= 1.0) && ways.len() > 1;
    if probabilities && (sum - 1.0).abs() > 1e-6 && ways.iter().any(|way| way.1.fract() != 0.0) {
        let sum = (sum * 1e6).round() / 1e6;
        let help = "weights are taken in proportion to their sum";
        review.warn(next.span, format!("these probabilities add up to {sum}, not to 1"), help);
    }
    Some(MarkovState { key, ways, begin, choice })
}

fn unknown(review: &mut Diagnostics, key: &NodeKey, states: &[MarkovState<'_>]) {
    let known: Vec<&str> =
        states.iter().map(|state| state.key.name.as_str()).chain([EXIT]).collect();
    let near = nearest(&key.name, known.iter().copied()).map(str::to_owned);
    let mistake = review.mistake(key.span, format!("there is no state `{}`", key.name));
    mistake.expected(format!("one of {}", known.join(", ")));
    if let Some(near) = near {
        mistake.help(format!("did you mean `{near}`?"));
    }
}

/// Returns the index of the start state: the named one, or the first.
fn first(
    review: &mut Diagnostics,
    start: Option<&Node>,
    states: &[MarkovState<'_>],
) -> Option<usize> {
    let Some(node) = start else { return (!states.is_empty()).then_some(0) };
    let name = fields::fixed(review, node, "the name of a state")?;
    let found = states.iter().position(|state| state.key.name == name);
    if found.is_none() {
        unknown(review, &NodeKey { name: name.to_owned(), span: node.span }, states);
    }
    found
}

/// Warns about states that are unreachable, and about those that cannot reach `exit`.
fn look_around(review: &mut Diagnostics, states: &[MarkovState<'_>], first: usize) {
    let ways = |state: &MarkovState<'_>| -> Vec<String> {
        state.ways.iter().map(|(key, _)| key.name.clone()).collect()
    };
    let mut reached = vec![states[first].key.name.clone()];
    let mut at = 0;
    while let Some(name) = reached.get(at).cloned() {
        if let Some(state) = states.iter().find(|state| state.key.name == name) {
            reached.extend(
                ways(state).into_iter().filter(|way| !reached.contains(way)).collect::<Vec<_>>(),
            );
        }
        at += 1;
    }
    let mut leaving = vec![EXIT.to_owned()];
    loop {
        let more: Vec<String> = states
            .iter()
            .filter(|state| !leaving.contains(&state.key.name))
            .filter(|state| ways(state).iter().any(|way| leaving.contains(way)))
            .map(|state| state.key.name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        leaving.extend(more);
    }
    for state in states {
        let name = &state.key.name;
        if !reached.contains(name) {
            let help = format!("no way leads there from `{}`", states[first].key.name);
            review.warn(state.key.span, format!("nobody ever comes to the state `{name}`"), &help);
        } else if !leaving.contains(name) {
            let help = "an iteration that comes here goes on until the load ends";
            review.warn(state.key.span, format!("no way leads from `{name}` to `exit`"), help);
        }
    }
}
