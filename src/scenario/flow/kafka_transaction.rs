//! Compiles `transaction` at a service that speaks Kafka: a begin and a commit around its steps.
//!
//! `transaction` calls it, and gives what compiles the steps inside.
//! Invariant: the begin and the commit go to the session that the messages inside are sent by.

use std::time::Duration;

use crate::curve::Distribution;
use crate::ids::ServiceId;
use crate::plan::Call;
use crate::plan::broker::TransactPlan;
use crate::plan::flow::Step;
use crate::plan::stream::{StreamAct, StreamStep};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::broker;
use crate::scenario::flow::cached::CompileList;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::step::{NamedStep, service_of};
use crate::scenario::flow::tags::Tags;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::{templates, values};
use crate::template::{Encoding, Template};

/// Whether a `transaction` is one of Kafka: it has `transactional_id`, or names such a service.
pub(super) fn is_one(flow: &Assembly<'_>, fields: &mut Fields<'_>) -> bool {
    let context = flow.flow_context.context;
    let named = fields.entry("service").and_then(|(_, node)| values::scalar(node));
    let place = named.and_then(|name| context.services.iter().position(|own| own == name));
    let speaks = place.and_then(|place| context.protocols.get(place).copied());
    speaks.map_or(fields.has("transactional_id"), |speaks| speaks == Protocol::Kafka)
}

/// Reports a step that cannot stand in a transaction of Kafka. Returns whether it is one.
pub(super) fn report_foreign(
    diagnostics: &mut Diagnostics,
    node: &Node,
    kind: Option<ControlStep>,
) -> bool {
    let foreign = kind.filter(|kind| {
        matches!(kind, ControlStep::Transaction | ControlStep::Open | ControlStep::Close)
    });
    if let Some(kind) = foreign {
        diagnostics
            .mistake(
                node.span,
                format!("`{}` is not allowed in a transaction of Kafka", kind.key()),
            )
            .help("a session has one transaction at a time: put the step before or behind it");
    }
    foreign.is_some()
}

/// Compiles the transaction.
pub(super) fn compile(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (step, mut fields): (&Node, Fields<'_>),
    name: &str,
    compile_list: CompileList,
) {
    let names = flow.flow_context.names;
    let service = service_of(diagnostics, &mut fields, &flow.flow_context, &[Protocol::Kafka]);
    let id = fields.take("transactional_id").map(|node| {
        templates::template(diagnostics, node, Encoding::Plain, names, "a transactional id")
    });
    if id.is_none() {
        diagnostics
            .mistake(step.span, "a transaction of Kafka needs `transactional_id`")
            .expected("a text that differs between users")
            .help("add for example `transactional_id: \"orders-{{ user.number }}\"`");
    }
    for key in ["isolation", "retry"] {
        if let Some((key, _)) = fields.entry(key) {
            diagnostics
                .mistake(key.span, format!("`{}` is for transactions of PostgreSQL", key.name))
                .help("remove the key");
        }
    }
    let steps = fields.take("do");
    fields.finish(diagnostics);
    let (Some(steps), Some(service), Some(Some(id))) = (steps, service, id) else { return };
    report_settings(flow, diagnostics, step, service);
    let Some(stream) = broker::session(flow, diagnostics, step, service) else { return };
    let group = flow.group(name);
    flow.push(Step::OpenGroup(group));
    let acts = [("begin", TransactPlan::Begin(id)), ("commit", TransactPlan::Commit)];
    let own = acts.map(|(word, plan)| {
        let named = own_call((service, stream), (name, word), plan);
        flow.add(diagnostics, step, named)
    });
    let [Some(begin), Some(commit)] = own else { return };
    flow.push(Step::Stream(begin));
    let (first, was) = (flow.calls.len(), std::mem::replace(&mut flow.is_transacted, true));
    compile_list(flow, diagnostics, steps);
    flow.is_transacted = was;
    flow.push(Step::Stream(commit));
    flow.push(Step::CloseGroup);
    let sends = |call: &Call| {
        let act = call.stream.as_ref().map(|step| (step.stream, &step.act));
        matches!(act, Some((to, StreamAct::Publish(_))) if to == stream)
    };
    if !flow.calls[first..].iter().any(sends) {
        diagnostics
            .mistake(steps.span, "the transaction sends no message")
            .expected("a `send` to a topic of its service");
    }
    for call in &mut flow.calls[first..] {
        // A user that thinks would keep the transaction open meanwhile.
        call.think.get_or_insert(Distribution::constant(Duration::ZERO));
    }
}

/// Reports settings of the service that allow no transactions.
fn report_settings(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    step: &Node,
    service: ServiceId,
) {
    let settings = flow.flow_context.context.kafka.get(service.index());
    if settings.is_some_and(|settings| !settings.is_idempotent) {
        let name = &flow.flow_context.services[service.index()];
        diagnostics
            .mistake(step.span, format!("the producers of `{name}` are not idempotent"))
            .expected("`acks: all` without `idempotent: false`: transactions need it");
    }
}

/// The call that begins or commits the transaction.
fn own_call(
    (service, stream): (ServiceId, usize),
    (name, word): (&str, &str),
    plan: TransactPlan,
) -> NamedStep {
    let mut call = Call {
        service,
        stream: Some(Box::new(StreamStep { stream, act: StreamAct::Transact(plan) })),
        // The think time of the archetype comes after the commit.
        think: (word != "commit").then(|| Distribution::constant(Duration::ZERO)),
        ..Call::get(Template::literal("/"))
    };
    call.request.method = word.to_uppercase();
    NamedStep { name: format!("{name} {word}"), call, tags: Tags::new() }
}
