//! Control steps: choices, loops, conditions, waits, variables.
//!
//! `flow` finds the kind of each step and compiles control steps here.
//! Invariant: every loop is bounded.

use super::diagnostics::{Diagnostics, nearest};
use super::fields::{self, Fields, report_wrong};
use super::flow::{Assembly, STEPS, value_of};
use super::node::{Node, NodeKind};
use super::{distribution, texts};
use crate::plan::flow::{Branch, Choice, MAX_ROUNDS, Parallel, Rendezvous, Step};
use crate::template::{Encoding, Typed};

/// Default maximum of rounds of a `while`.
const WHILE_ROUNDS: u64 = 1_000;

/// Maximum users of a rendezvous.
const MAX_GATHERED: u64 = 10_000_000;

/// The kinds by their key.
pub(super) const KINDS: [(&str, ControlStep); 10] = [
    ("choose", ControlStep::Choose),
    ("repeat", ControlStep::Repeat),
    ("while", ControlStep::While),
    ("if", ControlStep::If),
    ("parallel", ControlStep::Parallel),
    ("group", ControlStep::Group),
    ("rendezvous", ControlStep::Rendezvous),
    ("set", ControlStep::Set),
    ("log", ControlStep::Log),
    ("pause", ControlStep::Pause),
];

/// A kind of control step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlStep {
    Choose,
    Repeat,
    While,
    If,
    Parallel,
    Group,
    Rendezvous,
    Set,
    Log,
    Pause,
}

/// Returns the kind of a control step; `None` for a request.
pub(super) fn kind(node: &Node) -> Option<ControlStep> {
    let known = |(name, kind): &(&str, ControlStep)| value_of(node, name).map(|_| *kind);
    KINDS.iter().find_map(known)
}

impl ControlStep {
    fn key(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(key, _)| key)
    }

    /// Compiles a step of this kind into `flow`.
    pub(super) fn compile(
        self,
        flow: &mut Assembly<'_>,
        diagnostics: &mut Diagnostics,
        node: &Node,
    ) {
        let Some(mut fields) = Fields::read(diagnostics, node, "this step") else { return };
        let Some(value) = fields.take(self.key()) else { return };
        match self {
            Self::Choose => choose(flow, diagnostics, value),
            Self::Repeat => repeat(flow, diagnostics, value),
            Self::While => repeat_while(flow, diagnostics, value),
            Self::If => if_else(flow, diagnostics, value, &mut fields),
            Self::Parallel => parallel(flow, diagnostics, value, &mut fields),
            Self::Group => group(flow, diagnostics, value),
            Self::Rendezvous => rendezvous(flow, diagnostics, value),
            Self::Set => set(flow, diagnostics, value),
            Self::Log => {
                let names = flow.flow_context.names;
                let text = texts::template(diagnostics, value, Encoding::Plain, names, "a text");
                flow.steps.extend(text.map(Step::Log));
            }
            Self::Pause => {
                let duration = distribution::distribution(diagnostics, value);
                flow.steps.extend(duration.map(Step::Pause));
            }
        }
        fields.finish(diagnostics);
    }
}

fn choose(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let expected = "a list of ways, such as `- { weight: 7, do: [ { get: / } ] }`";
    let Some(items) = fields::list(diagnostics, node, expected) else { return };
    if items.is_empty() {
        report_wrong::<()>(diagnostics, node, expected);
    }
    let at = flow.push(Step::Jump(0));
    let (mut options, mut ends) = (Vec::new(), Vec::new());
    for item in items {
        let Some(mut fields) = Fields::read_as(diagnostics, item, "a way", expected) else {
            continue;
        };
        let weight = fields.require("weight", "its weight against the other ways, such as 7");
        let weight = weight.and_then(|node| fields::weight(diagnostics, node));
        let steps = fields.require("do", STEPS);
        options.extend(weight.map(|weight| (weight, flow.steps.len())));
        if let Some(steps) = steps {
            flow.list(diagnostics, steps);
        }
        fields.finish(diagnostics);
        ends.push(flow.push(Step::Jump(0)));
    }
    ends.into_iter().for_each(|end| flow.set_target_here(end));
    flow.steps[at] = Step::Choose(Choice { options: options });
}

fn repeat(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let expected = "`{ times: 3, do: [ … ] }`";
    let Some(mut fields) = Fields::read_as(diagnostics, node, "`repeat`", expected) else { return };
    let times = fields.require("times", "how often, such as 3");
    let times = times.and_then(|node| times_of(flow, diagnostics, node));
    let steps = fields.require("do", STEPS);
    if let Some(steps) = steps {
        rounds(flow, times.unwrap_or_else(|| Typed::fixed(1)), |flow| {
            flow.list(diagnostics, steps);
        });
    }
    fields.finish(diagnostics);
}

/// Reads a number of rounds: a whole number, or a template that computes one.
fn times_of(flow: &Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> Option<Typed> {
    match &node.kind {
        NodeKind::Text(text) if text.contains("{{") => typed(flow, diagnostics, node),
        _ => fields::count(diagnostics, node, 0, MAX_ROUNDS).map(Typed::fixed),
    }
}

fn rounds(flow: &mut Assembly<'_>, times: Typed, body: impl FnOnce(&mut Assembly<'_>)) {
    flow.with_counter(|flow, counter| {
        flow.push(Step::Count { counter, times });
        let head = flow.push(Step::Round { counter, to: 0 });
        body(flow);
        flow.push(Step::Jump(head));
        flow.set_target_here(head);
    });
}

fn repeat_while(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let expected = "`{ that: \"{{ n < 3 }}\", do: [ … ] }`";
    let Some(mut fields) = Fields::read_as(diagnostics, node, "`while`", expected) else { return };
    let condition_node = fields.require("that", "a condition such as \"{{ n < 3 }}\"");
    let condition = condition_node.and_then(|node| condition(flow, diagnostics, node));
    let max = fields.take("max").and_then(|node| fields::count(diagnostics, node, 1, MAX_ROUNDS));
    let steps = fields.require("do", STEPS);
    if let Some(steps) = steps {
        rounds(flow, Typed::fixed(max.unwrap_or(WHILE_ROUNDS)), |flow| {
            let condition = condition.unwrap_or_else(|| Typed::fixed(false));
            let test = flow.push(Step::If { condition, to: 0 });
            flow.list(diagnostics, steps);
            // A false condition leaves the loop like the last round: to the step after the jump
            // back.
            let after = flow.steps.len() + 1;
            if let Step::If { to, .. } = &mut flow.steps[test] {
                *to = after;
            }
        });
    }
    fields.finish(diagnostics);
}

fn if_else(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
    fields: &mut Fields<'_>,
) {
    let condition = condition(flow, diagnostics, node).unwrap_or_else(|| Typed::fixed(true));
    let test = flow.push(Step::If { condition, to: 0 });
    if let Some(steps) = fields.require("do", STEPS) {
        flow.list(diagnostics, steps);
    }
    let Some(steps) = fields.take("else") else {
        flow.set_target_here(test);
        return;
    };
    let over = flow.push(Step::Jump(0));
    flow.set_target_here(test);
    flow.list(diagnostics, steps);
    flow.set_target_here(over);
}

fn condition(flow: &Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> Option<Typed> {
    let is_template = matches!(&node.kind, NodeKind::Text(text) if text.contains("{{"));
    if !is_template && !matches!(node.kind, NodeKind::Bool(_)) {
        return report_wrong(diagnostics, node, "a condition such as \"{{ product > 100 }}\"");
    }
    if let NodeKind::Bool(truth) = node.kind {
        return Some(Typed::fixed(truth));
    }
    typed(flow, diagnostics, node)
}

fn typed(flow: &Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> Option<Typed> {
    texts::typed(diagnostics, node, flow.flow_context.names)
}

fn parallel(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
    fields: &mut Fields<'_>,
) {
    let think = fields.take("think").map(|node| distribution::distribution(diagnostics, node));
    let Some(items) = fields::list(diagnostics, node, "a list of requests") else { return };
    if items.is_empty() {
        report_wrong::<()>(diagnostics, node, "a list of requests, such as `[ { get: /a.css } ]`");
    }
    let mut branches: Vec<Branch> = Vec::new();
    let mut names: Vec<(String, usize)> = Vec::new();
    for item in items {
        if let Some(control) = kind(item) {
            diagnostics
                .mistake(item.span, format!("`{}` cannot be one of parallel steps", control.key()))
                .expected("a request such as `{ get: /a.css }`");
            continue;
        }
        let needs =
            value_of(item, "needs").map_or_else(Vec::new, |node| needs(diagnostics, node, &names));
        flow.flow_context.alone = false;
        let call = flow.call(diagnostics, item);
        flow.flow_context.alone = true;
        if let Some(call) = call {
            let name = flow.series[usize::from(flow.calls[call].series)].clone();
            names.push((name, branches.len()));
            branches.push(Branch { call, needs });
        }
    }
    flow.push(Step::Parallel(Parallel { branches, think: think.flatten() }));
}

/// Reads the branches that a branch needs, by the names of earlier ones.
fn needs(diagnostics: &mut Diagnostics, node: &Node, names: &[(String, usize)]) -> Vec<usize> {
    let mut needed = Vec::new();
    for item in fields::one_or_more(node) {
        let Some(name) =
            fields::plain_text(diagnostics, item, "the name of a step before this one")
        else {
            continue;
        };
        match names.iter().rev().find(|(known, _)| known == name) {
            Some((_, index)) => needed.push(*index),
            None => {
                let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
                let suggestion = nearest(name, known.iter().copied()).map(str::to_owned);
                let message = format!("no step `{name}` before this one in `parallel`");
                let mistake = diagnostics.mistake(item.span, message);
                mistake.expected(match known.as_slice() {
                    [] => "a step that comes before it; this is the first".to_owned(),
                    known => format!("one of {}", known.join(", ")),
                });
                if let Some(suggestion) = suggestion {
                    mistake.help(format!("did you mean `{suggestion}`?"));
                }
            }
        }
    }
    needed
}

fn group(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let expected = "`{ name: checkout, do: [ … ] }`";
    let Some(mut fields) = Fields::read_as(diagnostics, node, "a group", expected) else { return };
    let name = fields.require("name", "the name of the group in the report");
    let name = name.and_then(|node| fields::plain_text(diagnostics, node, "the name of a group"));
    let name = name.unwrap_or_default();
    let known = flow.groups.iter().position(|known| known == name);
    let index = known.unwrap_or_else(|| {
        flow.groups.push(name.to_owned());
        flow.groups.len() - 1
    });
    flow.push(Step::OpenGroup(u16::try_from(index).unwrap_or(u16::MAX)));
    if let Some(steps) = fields.require("do", STEPS) {
        flow.list(diagnostics, steps);
    }
    flow.push(Step::CloseGroup);
    fields.finish(diagnostics);
}

fn rendezvous(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let expected = "`{ users: 5, wait: 2s }`";
    let Some(mut fields) = Fields::read_as(diagnostics, node, "a rendezvous", expected) else {
        return;
    };
    let users = fields.require("users", "how many go on together, such as 5");
    let users = users.and_then(|node| fields::count(diagnostics, node, 2, MAX_GATHERED));
    let wait = fields.require("wait", "how long a user waits for the others, such as 2s");
    let wait = wait.and_then(|node| fields::positive_duration(diagnostics, node));
    fields.finish(diagnostics);
    if let (Some(users), Some(wait)) = (users, wait) {
        let index = flow.rendezvous_count;
        flow.rendezvous_count += 1;
        flow.push(Step::Rendezvous(Rendezvous { index: index, users, wait }));
    }
}

fn set(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let values = values(diagnostics, node, flow.flow_context.names);
    flow.push(Step::Set(values));
}

/// Reads variables and their values, for `set` and an archetype's `vars`.
pub(super) fn values(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Vec<(usize, Typed)> {
    let expected = "a map of variables, such as `{ n: 0 }`";
    let Some(entries) = fields::entries(diagnostics, node, expected) else { return Vec::new() };
    let value = |(key, node): &(super::node::NodeKey, Node)| {
        let value = texts::typed(diagnostics, node, names)?;
        Some((names.iter().position(|name| *name == key.name)?, value))
    };
    entries.iter().filter_map(value).collect()
}
