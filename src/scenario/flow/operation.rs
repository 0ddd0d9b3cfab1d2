//! Steps that call a service of another protocol than HTTP.
//!
//! `control` compiles each of them here.
//! Invariant: a compiled step has a service of its protocol, and a response whose end is known.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::plan::operation::{
    BatchForm, DnsQuestion, Operation, RecordType, RedisBatch, RedisCommand, ResponseEnd,
};
use crate::plan::policy::Priority;
use crate::plan::{Call, OnFail, RequestBody, RequestTemplate};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::compiled_operation::CompiledOperation;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::step::{NamedStep, service_of};
use crate::scenario::flow::{amqp, capture, check, copy, kafka, sql, tags};
use crate::scenario::nouns::operations::{BYTES, MAX_WORDS, REDIS_BATCH};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::{distribution, templates, values};
use crate::suggest::nearest;
use crate::template::{Encoding, Template};

/// Compiles a step of this kind; `value` is the value of its key.
pub(crate) fn step(
    kind: ControlStep,
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    value: &Node,
    fields: &mut Fields<'_>,
) -> Option<NamedStep> {
    let names = flow.flow_context.names;
    let own: &[Protocol] = match kind {
        ControlStep::Redis => &[Protocol::Redis],
        ControlStep::Tcp => &[Protocol::Tcp],
        ControlStep::Udp => &[Protocol::Udp],
        ControlStep::Sql | ControlStep::Copy => &[Protocol::Postgres],
        ControlStep::Amqp => &[Protocol::Amqp],
        ControlStep::Kafka => &[Protocol::Kafka],
        _ => &[Protocol::Dns, Protocol::DnsTcp],
    };
    let service = match flow.transaction {
        // The steps of a transaction go where it goes.
        Some(service) if !fields.has("service") => Some(service),
        _ => service_of(diagnostics, fields, &flow.flow_context, own),
    };
    let (name, step_tags, mut call) = common(diagnostics, fields, (names, own[0]));
    let compiled = match kind {
        ControlStep::Redis => redis(diagnostics, value, names),
        ControlStep::Tcp => tcp(diagnostics, (value, fields), names),
        ControlStep::Udp => udp(diagnostics, (value, fields), names),
        ControlStep::Copy => copy::compile(diagnostics, (value, fields), &flow.flow_context),
        ControlStep::Sql => sql::compile(diagnostics, (value, fields), names),
        ControlStep::Amqp => amqp::compile(diagnostics, value, names),
        ControlStep::Kafka => kafka::compile(diagnostics, value, names),
        _ => dns(diagnostics, (value, fields), names),
    };
    let compiled = compiled?;
    call.service = service?;
    call.request.method = compiled.method;
    call.request.body = compiled.body;
    if !compiled.operation.has_response() {
        report_rules(diagnostics, value, &call);
    }
    call.operation = Some(Arc::new(compiled.operation));
    flow.flow_context.report_denied(diagnostics, value, &call);
    Some(NamedStep { name: name.unwrap_or(compiled.name), call, tags: step_tags })
}

/// Reads the keys that all these steps have.
pub(crate) fn common(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (names, protocol): (&[String], Protocol),
) -> (Option<String>, tags::Tags, Call) {
    let name = fields.take("name");
    let name = name.and_then(|node| values::plain_text(diagnostics, node, "a step's name"));
    let timeout = fields.value(diagnostics, "timeout");
    let think = fields.take("think").map(|node| distribution::distribution(diagnostics, node));
    let tags = fields.take("tags").map(|node| tags::tags(diagnostics, node));
    let captures = fields.take("capture");
    let captures = captures
        .map_or_else(Vec::new, |node| capture::of_reply(diagnostics, node, names, protocol));
    let [checks, expects] = ["check", "expect"].map(|key| {
        let node = fields.take(key);
        node.map_or_else(Vec::new, |node| check::of_reply(diagnostics, node, protocol))
    });
    let on_fail = fields.word(diagnostics, "on_fail", &OnFail::NAMES);
    let priority = fields.word(diagnostics, "priority", &Priority::NAMES);
    let max_body = fields.value(diagnostics, "max_body");
    // `control` compiles its steps.
    let has_rescue = fields.take("fallback").is_some();
    let call = Call {
        timeout,
        think: think.flatten(),
        captures,
        checks,
        expects,
        on_fail: on_fail.unwrap_or_default(),
        priority,
        max_body: max_body.unwrap_or(Call::MAX_BODY),
        has_rescue,
        request: RequestTemplate {
            method: String::new(),
            path: Template::literal("/"),
            headers: Vec::new(),
            body: RequestBody::None,
        },
        ..Call::get(Template::literal("/"))
    };
    (name.map(str::to_owned), tags.unwrap_or_default(), call)
}

/// Reports rules for the response of a call that has none.
fn report_rules(diagnostics: &mut Diagnostics, node: &Node, call: &Call) {
    let looks = |call: &Call| call.needs_body() || call.needs_head();
    if looks(call) {
        diagnostics
            .mistake(node.span, "this step reads no response, and looks at it")
            .expected("a step without `capture`, and without checks of `body`, `json` and `size`");
    }
}

fn redis(
    diagnostics: &mut Diagnostics,
    value: &Node,
    names: &[String],
) -> Option<CompiledOperation> {
    let (commands, form) = match &value.kind {
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, value, &REDIS_BATCH)?;
            let given =
                [("pipeline", BatchForm::Pipeline), ("transaction", BatchForm::Transaction)]
                    .map(|(key, form)| fields.take(key).map(|node| (node, form)));
            fields.finish(diagnostics);
            let Some((node, form)) = given[0].xor(given[1]) else {
                diagnostics
                    .mistake(value.span, "a batch is a pipeline or a transaction")
                    .expected(REDIS_BATCH.form);
                return None;
            };
            let expected = "a list of commands, such as `[ [ GET, a ], [ INCR, b ] ]`";
            let items = values::list(diagnostics, node, expected)?;
            if items.is_empty() || items.len() > MAX_WORDS {
                return values::report_wrong(diagnostics, node, expected);
            }
            let commands: Vec<_> =
                items.iter().map(|item| command(diagnostics, item, names)).collect();
            (commands.into_iter().collect::<Option<Vec<_>>>()?, form)
        }
        _ => (vec![command(diagnostics, value, names)?], BatchForm::Single),
    };
    let first = commands.first().and_then(RedisCommand::name).unwrap_or_default();
    let (name, method) = match form {
        BatchForm::Single => (format!("redis {first}"), first),
        BatchForm::Pipeline => ("redis pipeline".to_owned(), "PIPELINE".to_owned()),
        BatchForm::Transaction => ("redis transaction".to_owned(), "TRANSACTION".to_owned()),
    };
    let operation = Operation::Redis(RedisBatch { commands, form });
    Some(CompiledOperation { operation, name, method, body: RequestBody::None })
}

/// Commands that make a connection bring messages, or another protocol: they have no one reply.
const WITHOUT_REPLY: [&str; 7] =
    ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "SYNC", "PSYNC", "QUIT"];

fn command(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Option<RedisCommand> {
    const EXPECTED: &str = "a command such as `[ GET, \"user:1\" ]`";
    let plain = |diagnostics: &mut Diagnostics, node: &Node| {
        templates::template(diagnostics, node, Encoding::Plain, names, "a word of a command")
    };
    let words: Vec<Template> = match &node.kind {
        NodeKind::List(items) if (1..=MAX_WORDS).contains(&items.len()) => {
            items.iter().map(|item| plain(diagnostics, item)).collect::<Option<_>>()?
        }
        NodeKind::Text(text) => {
            // Reports mistakes of the whole text once, at its place.
            plain(diagnostics, node)?;
            let words = split_words(text).map(|word| Template::parse(word, Encoding::Plain, names));
            words.collect::<Result<_, _>>().ok()?
        }
        _ => return values::report_wrong(diagnostics, node, EXPECTED),
    };
    let command = RedisCommand { words };
    let Some(name) = command.name().filter(|name| !name.is_empty()) else {
        diagnostics
            .mistake(node.span, "the name of the command is no fixed text")
            .expected(EXPECTED)
            .help("templates may stand in its arguments; `choose` selects between commands");
        return None;
    };
    if WITHOUT_REPLY.contains(&name.as_str()) {
        diagnostics
            .mistake(node.span, format!("`{name}` has no single reply"))
            .expected("a command with one reply");
        return None;
    }
    Some(command)
}

/// Splits a text at white space that is not within `{{ }}`.
fn split_words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut at, mut is_inside) = (0, false);
        while at < rest.len() {
            let here = &rest[at..];
            if here.starts_with("{{") || here.starts_with("}}") {
                is_inside = here.starts_with("{{");
                at += 2;
                continue;
            }
            let next = here.chars().next().unwrap_or(' ');
            if next.is_whitespace() && !is_inside {
                break;
            }
            at += next.len_utf8();
        }
        let (word, after) = rest.split_at(at);
        rest = after.trim_start();
        Some(word)
    })
}

/// What is sent to a TCP or UDP service.
fn payload(diagnostics: &mut Diagnostics, node: &Node, names: &[String]) -> Option<RequestBody> {
    let body = match &node.kind {
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, node, &BYTES)?;
            let bytes = fields.take("base64").map(|node| base64(diagnostics, node));
            fields.finish(diagnostics);
            RequestBody::Bytes(bytes??)
        }
        _ => {
            let expected = "a text such as \"PING\\r\\n\", or `{ base64: \"AAEC\" }`";
            let text = templates::template(diagnostics, node, Encoding::Plain, names, expected)?;
            match text.as_static() {
                Some(bytes) => RequestBody::Bytes(bytes.to_vec()),
                None => RequestBody::Template(text),
            }
        }
    };
    Some(body)
}

fn base64(diagnostics: &mut Diagnostics, node: &Node) -> Option<Vec<u8>> {
    let text = values::plain_text(diagnostics, node, "bytes in base64")?;
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Some(bytes),
        _ => values::report_wrong(diagnostics, node, "bytes in base64, such as \"AAEC\""),
    }
}

fn tcp(
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    names: &[String],
) -> Option<CompiledOperation> {
    let body = payload(diagnostics, value, names);
    let until = fields.take("until").map(|node| {
        let text = values::plain_text(diagnostics, node, "a text that ends the response");
        let text = text.filter(|text| !text.is_empty());
        text.map(|text| ResponseEnd::Delimiter(text.as_bytes().to_vec()))
            .or_else(|| values::report_wrong(diagnostics, node, "a text of one character at least"))
    });
    let bytes = fields
        .take("until_bytes")
        .map(|node| base64(diagnostics, node).map(ResponseEnd::Delimiter));
    let length =
        fields.has("length").then(|| fields.value(diagnostics, "length").map(ResponseEnd::Length));
    let close = fields.take("until_close");
    let close =
        close.map(|node| values::only(diagnostics, node, true).map(|()| ResponseEnd::Close));
    let nothing = fields.take("response");
    let nothing =
        nothing.map(|node| values::only(diagnostics, node, false).map(|()| ResponseEnd::Nothing));
    let given: Vec<_> = [until, bytes, length, close, nothing].into_iter().flatten().collect();
    let end = match given.len() {
        0 => ResponseEnd::Delimiter(b"\n".to_vec()),
        1 => given.into_iter().next()??,
        _ => {
            diagnostics.mistake(value.span, "the response has several ends").expected(
                "one of `until`, `until_bytes`, `length`, `until_close: true` and \
                 `response: false`",
            );
            return None;
        }
    };
    let operation = Operation::Bytes(end);
    let (name, method) = ("tcp".to_owned(), "TCP".to_owned());
    Some(CompiledOperation { operation, name, method, body: body? })
}

fn udp(
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    names: &[String],
) -> Option<CompiledOperation> {
    let body = payload(diagnostics, value, names);
    let responds = fields.value(diagnostics, "response").unwrap_or(true);
    let end = if responds { ResponseEnd::Datagram } else { ResponseEnd::Nothing };
    let operation = Operation::Bytes(end);
    let (name, method) = ("udp".to_owned(), "UDP".to_owned());
    Some(CompiledOperation { operation, name, method, body: body? })
}

fn dns(
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    names: &[String],
) -> Option<CompiledOperation> {
    let expected = "a name such as shop.example";
    let name = templates::template(diagnostics, value, Encoding::Plain, names, expected);
    let record = fields.take("type").map(|node| record_type(diagnostics, node));
    let recursion = fields.value(diagnostics, "recursion").unwrap_or(true);
    let (name, record) = (name?, record.unwrap_or(Some(RecordType(1)))?);
    if let Some(bytes) = name.as_static()
        && let Err(why) =
            crate::wire::encode::dns_query(&mut Vec::new(), 0, (bytes, record), recursion, false)
    {
        let shown = truncate(values::scalar(value).unwrap_or_default());
        diagnostics.mistake(value.span, format!("`{shown}` {why}")).expected(expected);
        return None;
    }
    let series = format!("dns {}", record.name());
    let operation = Operation::Dns(DnsQuestion { name, record, recursion });
    let method = "DNS".to_owned();
    Some(CompiledOperation { operation, name: series, method, body: RequestBody::None })
}

fn record_type(diagnostics: &mut Diagnostics, node: &Node) -> Option<RecordType> {
    let text = values::plain_text(diagnostics, node, "a type of records such as AAAA")?;
    let known = RecordType::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    let number = text.get(..4).filter(|word| word.eq_ignore_ascii_case("TYPE"));
    let number = number.and_then(|_| text[4..].parse().ok()).map(RecordType);
    if let Some(record) = known.map(|(_, record)| *record).or(number) {
        return Some(record);
    }
    let mistake =
        diagnostics.mistake(node.span, format!("unknown type of records `{}`", truncate(text)));
    mistake.expected("a type such as A, AAAA, MX or TXT, or TYPE and its number");
    let names = RecordType::NAMES.map(|(name, _)| name);
    if let Some(known) = nearest(&text.to_uppercase(), names) {
        mistake.help(format!("did you mean `{known}`?"));
    }
    None
}
