//! Control steps: choices, loops, conditions, waits, variables.
//!
//! `flow` finds the kind of each step and compiles control steps here.
//! Invariant: every loop is bounded.

use super::diagnostics::{Diagnostics, nearest};
use super::fields::{self, Fields, wrong};
use super::flow::{Assembly, STEPS, value_of};
use super::node::{Node, NodeKind};
use super::{law, texts};
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
    pub(super) fn lower(self, flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
        let Some(mut fields) = Fields::of(review, node, "this step") else { return };
        let Some(value) = fields.take(self.key()) else { return };
        match self {
            Self::Choose => choose(flow, review, value),
            Self::Repeat => repeat(flow, review, value),
            Self::While => repeat_while(flow, review, value),
            Self::If => if_else(flow, review, value, &mut fields),
            Self::Parallel => parallel(flow, review, value, &mut fields),
            Self::Group => group(flow, review, value),
            Self::Rendezvous => rendezvous(flow, review, value),
            Self::Set => set(flow, review, value),
            Self::Log => {
                let names = flow.setting.names;
                let text = texts::template(review, value, Encoding::Plain, names, "a text");
                flow.steps.extend(text.map(Step::Log));
            }
            Self::Pause => {
                let law = law::distribution(review, value);
                flow.steps.extend(law.map(Step::Pause));
            }
        }
        fields.finish(review);
    }
}

fn choose(flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
    let expected = "a list of ways, such as `- { weight: 7, do: [ { get: / } ] }`";
    let Some(items) = fields::list(review, node, expected) else { return };
    if items.is_empty() {
        wrong::<()>(review, node, expected);
    }
    let at = flow.push(Step::Jump(0));
    let (mut ways, mut ends) = (Vec::new(), Vec::new());
    for item in items {
        let Some(mut fields) = Fields::like(review, item, "a way", expected) else { continue };
        let weight = fields.need("weight", "its weight against the other ways, such as 7");
        let weight = weight.and_then(|node| fields::weight(review, node));
        let steps = fields.need("do", STEPS);
        ways.extend(weight.map(|weight| (weight, flow.steps.len())));
        if let Some(steps) = steps {
            flow.list(review, steps);
        }
        fields.finish(review);
        ends.push(flow.push(Step::Jump(0)));
    }
    ends.into_iter().for_each(|end| flow.aim_here(end));
    flow.steps[at] = Step::Choose(Choice { options: ways });
}

fn repeat(flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
    let expected = "`{ times: 3, do: [ … ] }`";
    let Some(mut fields) = Fields::like(review, node, "`repeat`", expected) else { return };
    let times = fields.need("times", "how often, such as 3");
    let times = times.and_then(|node| times_of(flow, review, node));
    let steps = fields.need("do", STEPS);
    if let Some(steps) = steps {
        rounds(flow, times.unwrap_or_else(|| Typed::fixed(1)), |flow| {
            flow.list(review, steps);
        });
    }
    fields.finish(review);
}

/// Reads a number of rounds: a whole number, or a template that computes one.
fn times_of(flow: &Assembly<'_>, review: &mut Diagnostics, node: &Node) -> Option<Typed> {
    match &node.kind {
        NodeKind::Text(text) if text.contains("{{") => typed(flow, review, node),
        _ => fields::count(review, node, 0, MAX_ROUNDS).map(Typed::fixed),
    }
}

fn rounds(flow: &mut Assembly<'_>, times: Typed, body: impl FnOnce(&mut Assembly<'_>)) {
    flow.with_counter(|flow, counter| {
        flow.push(Step::Count { counter, times });
        let head = flow.push(Step::Round { counter, to: 0 });
        body(flow);
        flow.push(Step::Jump(head));
        flow.aim_here(head);
    });
}

fn repeat_while(flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
    let expected = "`{ that: \"{{ n < 3 }}\", do: [ … ] }`";
    let Some(mut fields) = Fields::like(review, node, "`while`", expected) else { return };
    let that = fields.need("that", "a condition such as \"{{ n < 3 }}\"");
    let condition = that.and_then(|node| condition(flow, review, node));
    let max = fields.take("max").and_then(|node| fields::count(review, node, 1, MAX_ROUNDS));
    let steps = fields.need("do", STEPS);
    if let Some(steps) = steps {
        rounds(flow, Typed::fixed(max.unwrap_or(WHILE_ROUNDS)), |flow| {
            let condition = condition.unwrap_or_else(|| Typed::fixed(false));
            let test = flow.push(Step::If { condition, to: 0 });
            flow.list(review, steps);
            // A false condition leaves the loop like the last round: to the step after the jump
            // back.
            let after = flow.steps.len() + 1;
            if let Step::If { to, .. } = &mut flow.steps[test] {
                *to = after;
            }
        });
    }
    fields.finish(review);
}

fn if_else(
    flow: &mut Assembly<'_>,
    review: &mut Diagnostics,
    node: &Node,
    fields: &mut Fields<'_>,
) {
    let condition = condition(flow, review, node).unwrap_or_else(|| Typed::fixed(true));
    let test = flow.push(Step::If { condition, to: 0 });
    if let Some(steps) = fields.need("do", STEPS) {
        flow.list(review, steps);
    }
    let Some(steps) = fields.take("else") else {
        flow.aim_here(test);
        return;
    };
    let over = flow.push(Step::Jump(0));
    flow.aim_here(test);
    flow.list(review, steps);
    flow.aim_here(over);
}

fn condition(flow: &Assembly<'_>, review: &mut Diagnostics, node: &Node) -> Option<Typed> {
    let is_template = matches!(&node.kind, NodeKind::Text(text) if text.contains("{{"));
    if !is_template && !matches!(node.kind, NodeKind::Bool(_)) {
        return wrong(review, node, "a condition such as \"{{ product > 100 }}\"");
    }
    if let NodeKind::Bool(truth) = node.kind {
        return Some(Typed::fixed(truth));
    }
    typed(flow, review, node)
}

fn typed(flow: &Assembly<'_>, review: &mut Diagnostics, node: &Node) -> Option<Typed> {
    texts::typed(review, node, flow.setting.names)
}

fn parallel(
    flow: &mut Assembly<'_>,
    review: &mut Diagnostics,
    node: &Node,
    fields: &mut Fields<'_>,
) {
    let think = fields.take("think").map(|node| law::distribution(review, node));
    let Some(items) = fields::list(review, node, "a list of requests") else { return };
    if items.is_empty() {
        wrong::<()>(review, node, "a list of requests, such as `[ { get: /a.css } ]`");
    }
    let mut branches: Vec<Branch> = Vec::new();
    let mut names: Vec<(String, usize)> = Vec::new();
    for item in items {
        if let Some(control) = kind(item) {
            review
                .mistake(item.span, format!("`{}` cannot be one of parallel steps", control.key()))
                .expected("a request such as `{ get: /a.css }`");
            continue;
        }
        let needs =
            value_of(item, "needs").map_or_else(Vec::new, |node| needs(review, node, &names));
        flow.setting.alone = false;
        let call = flow.call(review, item);
        flow.setting.alone = true;
        if let Some(call) = call {
            let name = flow.series[usize::from(flow.calls[call].series)].clone();
            names.push((name, branches.len()));
            branches.push(Branch { call, needs });
        }
    }
    flow.push(Step::Parallel(Parallel { branches, think: think.flatten() }));
}

/// Reads the branches that a branch needs, by the names of earlier ones.
fn needs(review: &mut Diagnostics, node: &Node, names: &[(String, usize)]) -> Vec<usize> {
    let mut needed = Vec::new();
    for item in fields::one_or_more(node) {
        let Some(name) = fields::fixed(review, item, "the name of a step before this one") else {
            continue;
        };
        match names.iter().rev().find(|(known, _)| known == name) {
            Some((_, index)) => needed.push(*index),
            None => {
                let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
                let near = nearest(name, known.iter().copied()).map(str::to_owned);
                let message = format!("no step `{name}` before this one in `parallel`");
                let mistake = review.mistake(item.span, message);
                mistake.expected(match known.as_slice() {
                    [] => "a step that comes before it; this is the first".to_owned(),
                    known => format!("one of {}", known.join(", ")),
                });
                if let Some(near) = near {
                    mistake.help(format!("did you mean `{near}`?"));
                }
            }
        }
    }
    needed
}

fn group(flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
    let expected = "`{ name: checkout, do: [ … ] }`";
    let Some(mut fields) = Fields::like(review, node, "a group", expected) else { return };
    let name = fields.need("name", "the name of the group in the report");
    let name = name.and_then(|node| fields::fixed(review, node, "the name of a group"));
    let name = name.unwrap_or_default();
    let known = flow.groups.iter().position(|known| known == name);
    let index = known.unwrap_or_else(|| {
        flow.groups.push(name.to_owned());
        flow.groups.len() - 1
    });
    flow.push(Step::OpenGroup(u16::try_from(index).unwrap_or(u16::MAX)));
    if let Some(steps) = fields.need("do", STEPS) {
        flow.list(review, steps);
    }
    flow.push(Step::CloseGroup);
    fields.finish(review);
}

fn rendezvous(flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
    let expected = "`{ users: 5, wait: 2s }`";
    let Some(mut fields) = Fields::like(review, node, "a rendezvous", expected) else { return };
    let users = fields.need("users", "how many go on together, such as 5");
    let users = users.and_then(|node| fields::count(review, node, 2, MAX_GATHERED));
    let wait = fields.need("wait", "how long a user waits for the others, such as 2s");
    let wait = wait.and_then(|node| fields::some_duration(review, node));
    fields.finish(review);
    if let (Some(users), Some(wait)) = (users, wait) {
        let gathering = flow.gatherings;
        flow.gatherings += 1;
        flow.push(Step::Rendezvous(Rendezvous { index: gathering, users, wait }));
    }
}

fn set(flow: &mut Assembly<'_>, review: &mut Diagnostics, node: &Node) {
    let values = values(review, node, flow.setting.names);
    flow.push(Step::Set(values));
}

/// Reads variables and their values, for `set` and an archetype's `vars`.
pub(super) fn values(
    review: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Vec<(usize, Typed)> {
    let expected = "a map of variables, such as `{ n: 0 }`";
    let Some(entries) = fields::entries(review, node, expected) else { return Vec::new() };
    let value = |(key, node): &(super::node::NodeKey, Node)| {
        let value = texts::typed(review, node, names)?;
        Some((names.iter().position(|name| *name == key.name)?, value))
    };
    entries.iter().filter_map(value).collect()
}
