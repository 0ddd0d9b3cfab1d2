//! Compiles `transaction`: its own calls, and the steps between them.
//!
//! `control` calls it, and gives what compiles the steps inside.
//! Invariant: all calls between begin and commit are statements to one service.

use std::sync::Arc;
use std::time::Duration;

use crate::curve::Distribution;
use crate::ids::ServiceId;
use crate::plan::Call;
use crate::plan::flow::Step;
use crate::plan::operation::{Operation, SqlMode, SqlStatement};
use crate::plan::transaction::{IsolationLevel, TransactionPlan};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::cached::CompileList;
use crate::scenario::flow::kafka_transaction;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::step::{NamedStep, service_of};
use crate::scenario::flow::tags::Tags;
use crate::scenario::nouns::steps::TRANSACTED;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;
use crate::template::Template;

/// Reports a step that cannot stand in a transaction; `kind` is `None` for a request. Returns
/// whether it is one.
pub(crate) fn report_foreign(
    diagnostics: &mut Diagnostics,
    node: &Node,
    kind: Option<ControlStep>,
) -> bool {
    const EXPECTED: &str = "`sql`, `copy`, `if`, `choose`, `repeat`, `while`, `set`, `pause` or \
                            `log`: all else would be repeated with the transaction";
    let is_own = matches!(
        kind,
        Some(
            ControlStep::Sql
                | ControlStep::Copy
                | ControlStep::If
                | ControlStep::Choose
                | ControlStep::Repeat
                | ControlStep::While
                | ControlStep::Set
                | ControlStep::Pause
                | ControlStep::Log
        )
    );
    if !is_own {
        let what = kind.map_or("a request".to_owned(), |kind| format!("`{}`", kind.key()));
        diagnostics
            .mistake(node.span, format!("{what} is not allowed in `transaction`"))
            .expected(EXPECTED);
    } else if let Some(fallback) = node.get("fallback") {
        diagnostics
            .mistake(fallback.span, "a statement of a transaction has no `fallback`")
            .help("after an error the server refuses all statements until the rollback");
    }
    !is_own
}

/// Compiles `transaction`.
pub(crate) fn transaction(
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    step: &Node,
    node: &Node,
    compile_list: CompileList,
) {
    let Some(mut fields) = Fields::read(diagnostics, node, &TRANSACTED) else { return };
    let name = fields.take("name");
    let name = name.and_then(|node| values::plain_text(diagnostics, node, "a transaction's name"));
    let name = name.unwrap_or("transaction");
    if kafka_transaction::is_one(flow, &mut fields) {
        let place = (step, fields);
        return kafka_transaction::compile(flow, diagnostics, place, name, compile_list);
    }
    let service = service_of(diagnostics, &mut fields, &flow.flow_context, &[Protocol::Postgres]);
    let isolation = fields.word(diagnostics, "isolation", &IsolationLevel::NAMES);
    let retries: Option<u64> = fields.value(diagnostics, "retry");
    let steps = fields.take("do");
    fields.finish(diagnostics);
    let (Some(steps), Some(service)) = (steps, service) else { return };
    let group = flow.group(name);
    flow.push(Step::OpenGroup(group));
    let at = flow.push(Step::Jump(0));
    let begin = IsolationLevel::begin(isolation);
    let own = [("begin", &*begin), ("commit", "commit"), ("rollback", "rollback")].map(
        |(word, statement)| {
            let named = own_call(diagnostics, step, flow, service, (name, word, statement));
            flow.add(diagnostics, step, named)
        },
    );
    let [Some(begin), Some(commit), Some(rollback)] = own else { return };
    flow.push(Step::Call(begin));
    let first = flow.calls.len();
    flow.transaction = Some(service);
    compile_list(flow, diagnostics, steps);
    flow.transaction = None;
    flow.push(Step::Call(commit));
    flow.push(Step::CloseGroup);
    if flow.calls[first..].iter().any(|call| call.service != service) {
        diagnostics
            .mistake(steps.span, "a statement of the transaction goes to another service")
            .help("leave `service` out: its statements go where the transaction goes");
    }
    if flow.calls.len() == first {
        diagnostics
            .mistake(steps.span, "the transaction has no statement")
            .expected(TRANSACTED.form);
    }
    for call in &mut flow.calls[first..] {
        // A user that thinks would hold locks meanwhile.
        call.think.get_or_insert(Distribution::constant(Duration::ZERO));
    }
    for call in [begin, commit, rollback].into_iter().chain(first..flow.calls.len()) {
        flow.calls[call].transaction = Some(begin);
    }
    let retries = retries.and_then(|retries| u32::try_from(retries).ok()).unwrap_or(0);
    let to = flow.steps.len();
    flow.steps[at] = Step::Transaction(TransactionPlan { begin, commit, rollback, retries, to });
}

/// A call that begins or ends a transaction.
fn own_call(
    diagnostics: &mut Diagnostics,
    node: &Node,
    flow: &Assembly<'_>,
    service: ServiceId,
    (name, word, statement): (&str, &str, &str),
) -> NamedStep {
    let method = word.to_uppercase();
    if let Some(why) = flow.flow_context.context.safety.method_denial(&method) {
        diagnostics.mistake(node.span, "a safety limit forbids this request").help(why);
    }
    let statement = SqlStatement::new(Template::literal(statement), Vec::new(), SqlMode::Simple);
    let mut call = Call {
        service,
        operation: Some(Arc::new(Operation::Sql(statement))),
        // The think time of the archetype comes after the commit.
        think: (word != "commit").then(|| Distribution::constant(Duration::ZERO)),
        ..Call::get(Template::literal("/"))
    };
    call.request.method = method;
    NamedStep { name: format!("{name} {word}"), call, tags: Tags::new() }
}
