//! Steps that declare or delete queues and exchanges.
//!
//! `operation` compiles them here.
//! Invariant: a declaration has the arguments that its keys name, each once.

use std::time::Duration;

use crate::plan::RequestBody;
use crate::plan::broker::{DeclareArgument, DeclareKind, DeclarePlan};
use crate::plan::operation::Operation;
use crate::scenario::flow::compiled_operation::{self, CompiledOperation};
use crate::scenario::nouns::brokers::{AMQP_OPERATION, AMQP_OPERATIONS};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::{templates, values};
use crate::suggest::nearest;
use crate::template::{Encoding, Template};

/// Types of queues.
const QUEUES: [&str; 3] = ["classic", "quorum", "stream"];

/// Types of exchanges.
const EXCHANGES: [&str; 4] = ["direct", "fanout", "topic", "headers"];

/// Compiles a step `amqp`.
pub(super) fn compile(
    diagnostics: &mut Diagnostics,
    value: &Node,
    names: &[String],
) -> Option<CompiledOperation> {
    let fields = Fields::read(diagnostics, value, &AMQP_OPERATION)?;
    let of = (value, "AMQP");
    let (mut fields, key, node) =
        compiled_operation::only_key(diagnostics, of, fields, &AMQP_OPERATIONS)?;
    let name = template(diagnostics, node, names);
    let (mut arguments, mut is_durable) = (Vec::new(), true);
    let kind = match key {
        "declare_queue" => {
            arguments = queue_arguments(diagnostics, &mut fields, names);
            is_durable = fields.value(diagnostics, "durable").unwrap_or(true);
            Some(DeclareKind::Queue)
        }
        "declare_exchange" => {
            is_durable = fields.value(diagnostics, "durable").unwrap_or(true);
            arguments = given_arguments(diagnostics, &mut fields, names);
            let word = word(diagnostics, &mut fields, &EXCHANGES);
            Some(DeclareKind::Exchange(word.unwrap_or("direct").to_owned()))
        }
        "bind" => {
            let exchange = fields.require("exchange", "the name of an exchange");
            let exchange = exchange.and_then(|node| template(diagnostics, node, names));
            let key = fields.take("key").and_then(|node| template(diagnostics, node, names));
            let key = key.unwrap_or_else(|| Template::literal(""));
            exchange.map(|exchange| DeclareKind::Binding { exchange, key })
        }
        "delete_queue" => Some(DeclareKind::DeleteQueue),
        "delete_exchange" => Some(DeclareKind::DeleteExchange),
        _ => Some(DeclareKind::Purge),
    };
    fields.finish(diagnostics);
    let plan = DeclarePlan { kind: kind?, name: name?, is_durable, arguments };
    Some(CompiledOperation {
        operation: Operation::Declare(plan),
        name: format!("amqp {key}"),
        method: key.to_uppercase(),
        body: RequestBody::None,
    })
}

fn template(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Option<Template> {
    templates::template(diagnostics, node, Encoding::Plain, names, "a name")
}

/// Reads `type`: one of these words.
fn word(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    known: &[&'static str],
) -> Option<&'static str> {
    let node = fields.take("type")?;
    let text = values::plain_text(diagnostics, node, "a type")?;
    let found = known.iter().find(|word| **word == text).copied();
    if found.is_none() {
        let mistake = diagnostics.mistake(node.span, format!("unknown type `{text}`"));
        mistake.expected(format!("one of {}", values::list_names(known)));
        if let Some(near) = nearest(text, known.iter().copied()) {
            mistake.help(format!("did you mean `{near}`?"));
        }
    }
    found
}

/// The arguments of a queue.
fn queue_arguments(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
) -> Vec<(String, DeclareArgument)> {
    let mut all = given_arguments(diagnostics, fields, names);
    let mut add = |name: &str, value| all.push((name.to_owned(), value));
    let text = |text: &str| DeclareArgument::Text(Template::literal(text));
    if let Some(kind) = word(diagnostics, fields, &QUEUES) {
        add("x-queue-type", text(kind));
    }
    let both = [fields.entry("dead_letter"), fields.entry("dead_letter_exchange")];
    if let [Some(_), Some((key, _))] = both {
        diagnostics
            .mistake(key.span, "a queue has one place for its dead letters")
            .expected("`dead_letter` or `dead_letter_exchange`");
    }
    if let Some(node) = fields.take("dead_letter")
        && let Some(queue) = template(diagnostics, node, names)
    {
        // The default exchange routes to the queue of that name.
        add("x-dead-letter-exchange", text(""));
        add("x-dead-letter-routing-key", DeclareArgument::Text(queue));
    }
    if let Some(node) = fields.take("dead_letter_exchange")
        && let Some(exchange) = template(diagnostics, node, names)
    {
        add("x-dead-letter-exchange", DeclareArgument::Text(exchange));
    }
    if let Some(ttl) = fields.value::<Duration>(diagnostics, "ttl") {
        let ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        add("x-message-ttl", DeclareArgument::Number(ms));
    }
    if let Some(most) = fields.value::<u64>(diagnostics, "max_length") {
        add("x-max-length", DeclareArgument::Number(i64::try_from(most).unwrap_or(i64::MAX)));
    }
    all
}

/// The arguments that a step gives by name.
fn given_arguments(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    names: &[String],
) -> Vec<(String, DeclareArgument)> {
    const EXPECTED: &str = "a text, a whole number, `true` or `false`";
    let Some(node) = fields.take("arguments") else { return Vec::new() };
    let Some(entries) = values::entries(diagnostics, node, "a map of arguments") else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for (key, node) in entries {
        let value = match &node.kind {
            NodeKind::Bool(truth) => Some(DeclareArgument::Truth(*truth)),
            _ => match values::scalar(node).map(str::parse::<i64>) {
                Some(Ok(number)) if !matches!(node.kind, NodeKind::Text(_)) => {
                    Some(DeclareArgument::Number(number))
                }
                Some(_) => template(diagnostics, node, names).map(DeclareArgument::Text),
                None => values::report_wrong(diagnostics, node, EXPECTED),
            },
        };
        all.extend(value.map(|value| (key.name.clone(), value)));
    }
    all
}
