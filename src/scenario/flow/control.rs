//! Compiles lists of steps, and the control steps among them: choices, loops, conditions, waits,
//! variables.
//!
//! `sections` and `states` call it.
//! Invariant: every loop is bounded.

use crate::plan::flow::{Branch, Choice, Parallel, Rendezvous, Step};
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::cached;
use crate::scenario::flow::grpc;
use crate::scenario::flow::kafka_transaction;
use crate::scenario::flow::kinds;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::kinds::kind;
use crate::scenario::flow::operation;
use crate::scenario::flow::stream;
use crate::scenario::flow::transaction;
use crate::scenario::nouns::plain_steps::GATHERING;
use crate::scenario::nouns::steps::{GROUPED, LOOP, REPEATED, ROUNDS, STEPS_FORM, WAY};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::field_value::FieldValue;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{distribution, templates, values};
use crate::suggest::nearest;
use crate::template::{Encoding, TypedTemplate};

/// Compiles a list of steps.
pub(crate) fn compile_list(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let Some(items) = values::list(diagnostics, node, STEPS_FORM) else { return };
    for item in items {
        compile_step(flow, diagnostics, item);
    }
}

/// Compiles one step of any kind.
fn compile_step(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let kind = kinds::kind(node);
    if flow.transaction.is_some() && transaction::report_foreign(diagnostics, node, kind) {
        return;
    }
    if flow.is_transacted && kafka_transaction::report_foreign(diagnostics, node, kind) {
        return;
    }
    if let Some(kind) = kind {
        compile_control(kind, flow, diagnostics, node);
        return;
    }
    let call = flow.call(diagnostics, node);
    flow.steps.extend(call.map(Step::Call));
    fallback(flow, diagnostics, node);
}

/// Compiles the steps that run if the call before them fails.
fn fallback(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    if let Some(fallback) = node.get("fallback") {
        let rescue = flow.push(Step::Rescue { to: 0 });
        compile_list(flow, diagnostics, fallback);
        flow.set_target_here(rescue);
    }
}

/// Compiles a step of this kind into `flow`.
fn compile_control(
    kind: ControlStep,
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
) {
    let Some(mut fields) = Fields::read(diagnostics, node, kind.noun()) else { return };
    let Some(value) = fields.take(kind.key()) else { return };
    match kind {
        ControlStep::Choose => choose(flow, diagnostics, value),
        ControlStep::Repeat => repeat(flow, diagnostics, value),
        ControlStep::While => repeat_while(flow, diagnostics, value),
        ControlStep::If => if_else(flow, diagnostics, value, &mut fields),
        ControlStep::Parallel => parallel(flow, diagnostics, value, &mut fields),
        ControlStep::Group => group(flow, diagnostics, value),
        ControlStep::Rendezvous => rendezvous(flow, diagnostics, value),
        ControlStep::Set => set(flow, diagnostics, value),
        ControlStep::Log => {
            let names = flow.flow_context.names;
            let text = templates::template(diagnostics, value, Encoding::Plain, names, "a text");
            flow.steps.extend(text.map(Step::Log));
        }
        ControlStep::Pause => {
            let duration = distribution::distribution(diagnostics, value);
            flow.steps.extend(duration.map(Step::Pause));
        }
        ControlStep::Cached => {
            cached::cached(flow, diagnostics, value, &mut fields, compile_list);
        }
        ControlStep::Transaction => {
            transaction::transaction(flow, diagnostics, node, value, compile_list);
        }
        ControlStep::Forget => cached::forget(flow, diagnostics, value, &mut fields),
        ControlStep::Open
        | ControlStep::Send
        | ControlStep::Await
        | ControlStep::Listen
        | ControlStep::Close => {
            let step = stream::step(kind, flow, diagnostics, value, &mut fields);
            let call = step.and_then(|step| flow.add(diagnostics, node, step));
            flow.steps.extend(call.map(Step::Stream));
        }
        ControlStep::Grpc => {
            let step = grpc::step(flow, diagnostics, value, &mut fields);
            let call = step.and_then(|step| flow.add(diagnostics, node, step));
            flow.steps.extend(call.map(Step::Call));
            fallback(flow, diagnostics, node);
        }
        ControlStep::Redis
        | ControlStep::Amqp
        | ControlStep::Kafka
        | ControlStep::Tcp
        | ControlStep::Udp
        | ControlStep::Dns
        | ControlStep::Copy
        | ControlStep::Sql => {
            let step = operation::step(kind, flow, diagnostics, value, &mut fields);
            let call = step.and_then(|step| flow.add(diagnostics, node, step));
            flow.steps.extend(call.map(Step::Call));
            fallback(flow, diagnostics, node);
        }
    }
    fields.finish(diagnostics);
}

/// Default maximum of rounds of a `while`.
const WHILE_ROUNDS: u64 = 1_000;

fn choose(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let Some(items) = values::list(diagnostics, node, WAY.form) else { return };
    if items.is_empty() {
        report_wrong::<()>(diagnostics, node, WAY.form);
    }
    let at = flow.push(Step::Jump(0));
    let (mut options, mut ends) = (Vec::new(), Vec::new());
    for item in items {
        let Some(mut fields) = Fields::read(diagnostics, item, &WAY) else { continue };
        let weight = fields.value(diagnostics, "weight");
        let steps = fields.take("do");
        options.extend(weight.map(|weight| (weight, flow.steps.len())));
        if let Some(steps) = steps {
            compile_list(flow, diagnostics, steps);
        }
        fields.finish(diagnostics);
        ends.push(flow.push(Step::Jump(0)));
    }
    ends.into_iter().for_each(|end| flow.set_target_here(end));
    flow.steps[at] = Step::Choose(Choice { options });
}

fn repeat(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let Some(mut fields) = Fields::read(diagnostics, node, &REPEATED) else { return };
    let times = fields.take("times");
    let times = times.and_then(|node| times_of(flow, diagnostics, node));
    let steps = fields.take("do");
    if let Some(steps) = steps {
        rounds(flow, times.unwrap_or_else(|| TypedTemplate::fixed(1)), |flow| {
            compile_list(flow, diagnostics, steps);
        });
    }
    fields.finish(diagnostics);
}

/// Reads a number of rounds: a whole number, or a template that computes one.
fn times_of(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
) -> Option<TypedTemplate> {
    match &node.kind {
        NodeKind::Text(text) if text.contains("{{") => typed(flow, diagnostics, node),
        _ => u64::read(diagnostics, node, &ROUNDS).map(TypedTemplate::fixed),
    }
}

fn rounds(flow: &mut Assembly<'_>, times: TypedTemplate, body: impl FnOnce(&mut Assembly<'_>)) {
    flow.with_counter(|flow, counter| {
        flow.push(Step::Count { counter, times });
        let head = flow.push(Step::Round { counter, to: 0 });
        body(flow);
        flow.push(Step::Jump(head));
        flow.set_target_here(head);
    });
}

fn repeat_while(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let Some(mut fields) = Fields::read(diagnostics, node, &LOOP) else { return };
    let condition = fields.take("that").and_then(|node| condition(flow, diagnostics, node));
    let max: Option<u64> = fields.value(diagnostics, "max");
    let steps = fields.take("do");
    if let Some(steps) = steps {
        rounds(flow, TypedTemplate::fixed(max.unwrap_or(WHILE_ROUNDS)), |flow| {
            let condition = condition.unwrap_or_else(|| TypedTemplate::fixed(false));
            let test = flow.push(Step::If { condition, to: 0 });
            compile_list(flow, diagnostics, steps);
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
    let condition =
        condition(flow, diagnostics, node).unwrap_or_else(|| TypedTemplate::fixed(true));
    let test = flow.push(Step::If { condition, to: 0 });
    if let Some(steps) = fields.take("do") {
        compile_list(flow, diagnostics, steps);
    }
    let Some(steps) = fields.take("else") else {
        flow.set_target_here(test);
        return;
    };
    let over = flow.push(Step::Jump(0));
    flow.set_target_here(test);
    compile_list(flow, diagnostics, steps);
    flow.set_target_here(over);
}

fn condition(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
) -> Option<TypedTemplate> {
    let is_template = matches!(&node.kind, NodeKind::Text(text) if text.contains("{{"));
    if !is_template && !matches!(node.kind, NodeKind::Bool(_)) {
        return report_wrong(diagnostics, node, "a condition such as \"{{ product > 100 }}\"");
    }
    if let NodeKind::Bool(truth) = node.kind {
        return Some(TypedTemplate::fixed(truth));
    }
    typed(flow, diagnostics, node)
}

fn typed(flow: &Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> Option<TypedTemplate> {
    templates::typed(diagnostics, node, flow.flow_context.names)
}

fn parallel(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    node: &Node,
    fields: &mut Fields<'_>,
) {
    let think = fields.take("think").map(|node| distribution::distribution(diagnostics, node));
    let Some(items) = values::list(diagnostics, node, "a list of requests") else { return };
    if items.is_empty() {
        report_wrong::<()>(diagnostics, node, "a list of requests, such as `[ { get: /a.css } ]`");
    }
    let mut branches: Vec<Branch> = Vec::new();
    let mut names: Vec<(String, usize)> = Vec::new();
    for item in items {
        if let Some(control) = kind(item) {
            diagnostics
                .mistake(item.span, format!("`{}` is not allowed in `parallel`", control.key()))
                .expected("a request such as `{ get: /a.css }`");
            continue;
        }
        let needs =
            item.get("needs").map_or_else(Vec::new, |node| needs(diagnostics, node, &names));
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
    for item in values::one_or_more(node) {
        let Some(name) = values::plain_text(diagnostics, item, "the name of an earlier step")
        else {
            continue;
        };
        match names.iter().rev().find(|(known, _)| known == name) {
            Some((_, index)) => needed.push(*index),
            None => {
                let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
                let suggestion = nearest(name, known.iter().copied()).map(str::to_owned);
                let message = format!("unknown earlier step `{name}` in `parallel`");
                let mistake = diagnostics.mistake(item.span, message);
                mistake.expected(match known.as_slice() {
                    [] => "an earlier step; this is the first".to_owned(),
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
    let Some(mut fields) = Fields::read(diagnostics, node, &GROUPED) else { return };
    let name = fields.take("name");
    let name = name.and_then(|node| values::plain_text(diagnostics, node, "the name of a group"));
    let name = name.unwrap_or_default();
    let index = flow.group(name);
    flow.push(Step::OpenGroup(index));
    if let Some(steps) = fields.take("do") {
        compile_list(flow, diagnostics, steps);
    }
    flow.push(Step::CloseGroup);
    fields.finish(diagnostics);
}

fn rendezvous(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let Some(mut fields) = Fields::read(diagnostics, node, &GATHERING) else { return };
    let users = fields.value(diagnostics, "users");
    let wait = fields.value(diagnostics, "wait");
    fields.finish(diagnostics);
    if let (Some(users), Some(wait)) = (users, wait) {
        let index = flow.rendezvous_count;
        flow.rendezvous_count += 1;
        flow.push(Step::Rendezvous(Rendezvous { index, users, wait }));
    }
}

fn set(flow: &mut Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) {
    let values = values(diagnostics, node, flow.flow_context.names);
    flow.push(Step::Set(values));
}

/// Reads variables and their values, for `set` and an archetype's `vars`.
pub(crate) fn values(
    diagnostics: &mut Diagnostics,
    node: &Node,
    names: &[String],
) -> Vec<(usize, TypedTemplate)> {
    let expected = "a map of variables, such as `{ n: 0 }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    let value = |(key, node): &(NodeKey, Node)| {
        let value = templates::typed(diagnostics, node, names)?;
        Some((names.iter().position(|name| *name == key.name)?, value))
    };
    entries.iter().filter_map(value).collect()
}
