//! Steps that call a method of gRPC.
//!
//! `control` compiles each of them here.
//! Invariant: a compiled step has a method of its service that takes one message; a message without
//! templates is encoded here, once.

use std::sync::Arc;

use crate::extract::{Check, CheckCondition};
use crate::grpc::{GrpcCall, GrpcMethod, MessageType};
use crate::ids::ServiceId;
use crate::plan::operation::Operation;
use crate::plan::stream::{AnswerFormat, GoodAnswer, StreamedAnswer};
use crate::plan::{Call, RequestBody};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::flow::message;
use crate::scenario::flow::operation;
use crate::scenario::flow::step::{NamedStep, service_of};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::header;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::{metadata, templates, values};
use crate::suggest::nearest;
use crate::template::Template;

/// Compiles a step; `value` is the value of its key `grpc`.
pub(crate) fn step(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    value: &Node,
    fields: &mut Fields<'_>,
) -> Option<NamedStep> {
    let names = flow.flow_context.names;
    let service = service_of(diagnostics, fields, &flow.flow_context, &[Protocol::Grpc]);
    let (name, tags, mut call) = operation::common(diagnostics, fields, (names, Protocol::Grpc));
    let headers = fields.take("headers").map(|node| {
        metadata::check(diagnostics, node);
        header::templates(diagnostics, node, names, None)
    });
    let json = fields.take("json");
    let form = fields.entry("stream").map(|(key, _)| key);
    fields.word(diagnostics, "stream", &AnswerFormat::GRPC_NAMES);
    let (good_key, good) = message::good(diagnostics, fields);
    let service = service?;
    let context = flow.flow_context.context;
    // A response that is a stream may be one message; how it is, only the server knows yet.
    let method = method(diagnostics, value, (context, service), [false, true])?;
    let settings = context.grpc.get(service.index()).and_then(Option::as_deref);
    let is_compressed = settings.is_some_and(|settings| settings.compress);
    if method.is_client_streaming {
        let name = &method.name;
        diagnostics
            .mistake(value.span, format!("`{name}` takes a stream of messages"))
            .expected("a method that takes one message")
            .help(format!("open it as a stream: `open: {name}`, then `send` and `close`"));
        return None;
    }
    call.streamed = streamed(diagnostics, (value, &method, &call), (good_key.or(form), good));
    let body = body_of(diagnostics, json, (&method, is_compressed), names)?;
    call.service = service;
    "POST".clone_into(&mut call.request.method);
    call.request.path = Template::literal(format!("/{}", method.name));
    call.request.headers = headers.unwrap_or_default();
    call.request.body = body;
    let denial = context.safety.denial("POST", &format!("/{}", method.name));
    if let Some(why) = denial {
        diagnostics.mistake(value.span, "a safety limit forbids this request").help(why);
    }
    let series = name.unwrap_or_else(|| format!("grpc {}", method.name));
    let operation = GrpcCall { method, is_compressed };
    call.operation = Some(Arc::new(Operation::Grpc(operation)));
    Some(NamedStep { name: series, call: Call { ..call }, tags })
}

/// The method of a step; `streams`: what is sent and received in streams if it is not known.
pub(super) fn method(
    diagnostics: &mut Diagnostics,
    node: &Node,
    (context, service): (&ScenarioContext, ServiceId),
    streams: [bool; 2],
) -> Option<GrpcMethod> {
    let settings = context.grpc.get(service.index()).and_then(Option::as_deref);
    let schema = settings.and_then(|settings| settings.schema.as_deref());
    let text = values::plain_text(diagnostics, node, "a method such as shop.v1.Cart/Add")?;
    let name = text.trim_start_matches('/');
    if settings.is_some_and(|settings| settings.lacks_reflection) {
        return GrpcMethod::known(None, name).or_else(|| GrpcMethod::unknown(name, streams));
    }
    let Some(method) = GrpcMethod::known(schema, name) else {
        // A scenario without services, and descriptors with mistakes, have been reported already.
        if settings.is_none() && !context.grpc.is_empty() {
            diagnostics
                .mistake(node.span, "the methods of this step's service are not known")
                .expected("a service such as `{ url: URL, grpc: { proto: [shop.proto] } }`");
        }
        let schema = schema?;
        let known = schema.method_names();
        let message = format!("the service has no method `{}`", truncate(name));
        let mistake = diagnostics.mistake(node.span, message);
        match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => mistake.help(format!("did you mean `{near}`?")),
            None => {
                let shown: Vec<&str> = known.iter().take(8).map(String::as_str).collect();
                mistake.expected(match shown.as_slice() {
                    [] => "a method; these files have none".to_owned(),
                    shown => format!("a method such as {}", shown.join(", ")),
                })
            }
        };
        return None;
    };
    Some(method)
}

/// How the response of a method is observed; reports what only a stream has, `key` among it, of a
/// method that returns one message.
fn streamed(
    diagnostics: &mut Diagnostics,
    (value, method, call): (&Node, &GrpcMethod, &Call),
    (key, good): (Option<&NodeKey>, Option<GoodAnswer>),
) -> Option<StreamedAnswer> {
    if method.is_server_streaming {
        if let (Some(key), true) = (key, good.is_some_and(|good| good.tpot.is_some())) {
            diagnostics
                .mistake(key.span, "messages of gRPC are no tokens: `tpot` is no limit of theirs")
                .expected("`first` and `response`");
        }
        return Some(StreamedAnswer { format: AnswerFormat::Messages, good });
    }
    let of_stream = |check: &&Check| {
        matches!(check.what, CheckCondition::Messages(..) | CheckCondition::FirstContent(..))
    };
    let checked = call.checks.iter().chain(&call.expects).find(of_stream);
    let place = key.map(|key| (key.span, format!("`{}`", key.name)));
    let place = place.or_else(|| Some((value.span, format!("the check `{}`", checked?.name))));
    if let Some((span, what)) = place {
        let message = format!("{what} is of a stream, and `{}` returns one message", method.name);
        diagnostics.mistake(span, message);
    }
    None
}

/// The body of a call: a frame if its message is known, else the template of its JSON.
pub(super) fn body_of(
    diagnostics: &mut Diagnostics,
    node: Option<&Node>,
    (method, is_compressed): (&GrpcMethod, bool),
    names: &[String],
) -> Option<RequestBody> {
    let json = match node {
        Some(node) => checked_json(diagnostics, node, &method.input, names)?,
        None => Template::literal("{}"),
    };
    let Some(text) = json.as_static() else { return Some(RequestBody::Template(json)) };
    let mut frame = Vec::new();
    match (method.write_request(text, is_compressed, &mut frame), node) {
        (Ok(()), _) => Some(RequestBody::Bytes(frame)),
        (Err(why), Some(node)) => {
            let message = format!("this is no {}: {why}", method.input.name());
            diagnostics.mistake(node.span, message);
            None
        }
        (Err(_), None) => None,
    }
}

/// The JSON of a message, whose parts without a template fit its type.
pub(super) fn checked_json(
    diagnostics: &mut Diagnostics,
    node: &Node,
    message: &MessageType,
    names: &[String],
) -> Option<Template> {
    let json = templates::json(diagnostics, node, names)?;
    let before = diagnostics.count();
    check_message(diagnostics, node, message, names);
    (diagnostics.count() == before).then_some(json)
}

/// Reports what is wrong in the parts of a message that have no template, each at its place.
fn check_message(
    diagnostics: &mut Diagnostics,
    node: &Node,
    message: &MessageType,
    variables: &[String],
) {
    let NodeKind::Map(entries) = &node.kind else { return };
    if message.has_own_json() {
        return;
    }
    for (key, value) in entries {
        let Some(own) = message.field(&key.name) else {
            let text = format!("`{}` is no field of {}", truncate(&key.name), message.name());
            let names = message.field_names();
            let mistake = diagnostics.mistake(key.span, text);
            match nearest(&key.name, names.iter().map(String::as_str)) {
                Some(near) => mistake.help(format!("did you mean `{near}`?")),
                None => mistake.expected(format!("one of {}", names.join(", "))),
            };
            continue;
        };
        let before = diagnostics.count();
        if let Some(own) = own {
            for item in values::one_or_more(value) {
                check_message(diagnostics, item, &own, variables);
            }
        }
        if diagnostics.count() == before
            && let Some(text) = templates::json(diagnostics, value, variables)
            && let Some(text) = text.as_static()
        {
            let name = serde_json::Value::from(key.name.as_str());
            let field = [b"{", name.to_string().as_bytes(), b":", text, b"}"].concat();
            if let Err(why) = message.encode(&field) {
                let text = format!("`{}` of {}: {why}", key.name, message.name());
                diagnostics.mistake(value.span, text);
            }
        }
    }
}
