//! Markov archetypes: an iteration moves from state to state, from `start` to `exit`.
//!
//! `flow` compiles archetypes with `states` instead of a `flow` here.
//! Invariant: every transition leads to an existing state or to the end.

use crate::plan::flow::{Choice, Step};
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::control;
use crate::scenario::nouns::users::{NEXT_FORM, STATE};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKey};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::suggest::nearest;

/// The pseudo state that ends an iteration.
const EXIT: &str = "exit";

const EXPECTED: &str = "a map of states, such as \
                        `home: { do: [ { get: / } ], next: { exit: 1 } }`";

/// A state with its transitions by name and weight.
struct MarkovState<'n> {
    key: &'n NodeKey,
    transitions: Vec<(&'n NodeKey, f64)>,
    /// Indices of its first step and of its choice.
    begin: usize,
    choice: usize,
}

/// Compiles the states; returns the index of the first step.
pub(crate) fn states(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
    start: Option<&Node>,
) -> usize {
    let enter = flow.push(Step::Jump(0));
    let Some(entries) = values::entries(diagnostics, node, EXPECTED) else { return enter };
    if entries.is_empty() {
        report_wrong::<()>(diagnostics, node, EXPECTED);
    }
    let mut states = Vec::new();
    for (key, node) in entries {
        if key.name == EXIT {
            diagnostics
                .mistake(key.span, "`exit` is reserved for the end of an iteration")
                .help("rename this state");
        }
        states.extend(state(flow, diagnostics, key, node));
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
        let mut transitions = Vec::new();
        for (key, weight) in &state.transitions {
            match begin_of(&key.name) {
                Some(to) => transitions.push((*weight, to)),
                None => report_unknown(diagnostics, key, &states),
            }
        }
        flow.steps[state.choice] = Step::Choose(Choice { options: transitions });
    }
    let start_state = start_state(diagnostics, start, &states);
    if let Some(start_state) = start_state {
        flow.steps[enter] = Step::Jump(states[start_state].begin);
        warn_about_states(diagnostics, &states, start_state);
    }
    enter
}

fn state<'n>(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    key: &'n NodeKey,
    node: &'n Node,
) -> Option<MarkovState<'n>> {
    let mut fields = Fields::read(diagnostics, node, &STATE)?;
    let begin = flow.steps.len();
    if let Some(steps) = fields.take("do") {
        control::compile_list(flow, diagnostics, steps);
    }
    let choice = flow.push(Step::Jump(0));
    let next = fields.take("next");
    fields.finish(diagnostics);
    let next = next?;
    let entries = values::entries(diagnostics, next, NEXT_FORM)?;
    if entries.is_empty() {
        return report_wrong(diagnostics, next, NEXT_FORM);
    }
    let mut transitions = Vec::new();
    for (key, node) in entries {
        let weight = values::weight(diagnostics, node)?;
        transitions.push((key, weight));
    }
    let sum: f64 = transitions.iter().map(|(_, weight)| weight).sum();
    let probabilities =
        transitions.iter().all(|(_, weight)| *weight <= 1.0) && transitions.len() > 1;
    if probabilities
        && (sum - 1.0).abs() > 1e-6
        && transitions.iter().any(|target| target.1.fract() != 0.0)
    {
        let sum = (sum * 1e6).round() / 1e6;
        let help = "weights are relative to their sum";
        diagnostics.warn(next.span, format!("these weights add up to {sum}, not 1"), help);
    }
    Some(MarkovState { key, transitions, begin, choice })
}

fn report_unknown(diagnostics: &mut Diagnostics, key: &NodeKey, states: &[MarkovState<'_>]) {
    let known: Vec<&str> =
        states.iter().map(|state| state.key.name.as_str()).chain([EXIT]).collect();
    let suggestion = nearest(&key.name, known.iter().copied()).map(str::to_owned);
    let mistake = diagnostics.mistake(key.span, format!("unknown state `{}`", key.name));
    mistake.expected(format!("one of {}", known.join(", ")));
    if let Some(suggestion) = suggestion {
        mistake.help(format!("did you mean `{suggestion}`?"));
    }
}

/// Returns the index of the start state: the named one, or the first.
fn start_state(
    diagnostics: &mut Diagnostics,
    start: Option<&Node>,
    states: &[MarkovState<'_>],
) -> Option<usize> {
    let Some(node) = start else { return (!states.is_empty()).then_some(0) };
    let name = values::plain_text(diagnostics, node, "the name of a state")?;
    let found = states.iter().position(|state| state.key.name == name);
    if found.is_none() {
        report_unknown(diagnostics, &NodeKey { name: name.to_owned(), span: node.span }, states);
    }
    found
}

/// Warns about states that are unreachable, and about those that cannot reach `exit`.
fn warn_about_states(
    diagnostics: &mut Diagnostics,
    states: &[MarkovState<'_>],
    start_state: usize,
) {
    let transitions = |state: &MarkovState<'_>| -> Vec<String> {
        state.transitions.iter().map(|(key, _)| key.name.clone()).collect()
    };
    let mut reachable = vec![states[start_state].key.name.clone()];
    let mut at = 0;
    while let Some(name) = reachable.get(at).cloned() {
        if let Some(state) = states.iter().find(|state| state.key.name == name) {
            reachable.extend(
                transitions(state)
                    .into_iter()
                    .filter(|target| !reachable.contains(target))
                    .collect::<Vec<_>>(),
            );
        }
        at += 1;
    }
    let mut exiting = vec![EXIT.to_owned()];
    loop {
        let more: Vec<String> = states
            .iter()
            .filter(|state| !exiting.contains(&state.key.name))
            .filter(|state| transitions(state).iter().any(|target| exiting.contains(target)))
            .map(|state| state.key.name.clone())
            .collect();
        if more.is_empty() {
            break;
        }
        exiting.extend(more);
    }
    for state in states {
        let name = &state.key.name;
        if !reachable.contains(name) {
            let help = format!(
                "no path from the first state `{}` leads to it",
                states[start_state].key.name
            );
            diagnostics.warn(state.key.span, format!("state `{name}` is unreachable"), &help);
        } else if !exiting.contains(name) {
            let help = "an iteration in this state never ends by itself";
            diagnostics.warn(
                state.key.span,
                format!("no path leads from `{name}` to `exit`"),
                help,
            );
        }
    }
}
