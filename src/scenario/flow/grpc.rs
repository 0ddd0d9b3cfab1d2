//! Steps that call a method of gRPC.
//!
//! `control` compiles each of them here.
//! Invariant: a compiled step has a unary method of its service; a message without templates is
//! encoded here, once.

use std::sync::Arc;

use crate::grpc::{GrpcMethod, MessageType, Schema};
use crate::plan::operation::{GrpcCall, Operation};
use crate::plan::{Call, RequestBody};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::operation;
use crate::scenario::flow::step::{NamedStep, service_of};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::header;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKind};
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
    let service = service?;
    let context = flow.flow_context.context;
    let Some(settings) = context.grpc.get(service.index()).and_then(Option::as_deref) else {
        // A scenario without services has been reported already.
        if !context.grpc.is_empty() {
            diagnostics
                .mistake(value.span, "the methods of this step's service are not known")
                .expected("a service such as `{ url: URL, grpc: { proto: [shop.proto] } }`");
        }
        return None;
    };
    // Descriptors with mistakes have been reported already.
    let method = method(diagnostics, value, settings.schema.as_deref()?)?;
    let body = message(diagnostics, json, (&method, settings.compress), names)?;
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
    let operation = GrpcCall { method, is_compressed: settings.compress };
    call.operation = Some(Arc::new(Operation::Grpc(operation)));
    Some(NamedStep { name: series, call: Call { ..call }, tags })
}

/// The method of a step.
fn method(diagnostics: &mut Diagnostics, node: &Node, schema: &Schema) -> Option<GrpcMethod> {
    let text = values::plain_text(diagnostics, node, "a method such as shop.v1.Cart/Add")?;
    let name = text.trim_start_matches('/');
    let Some(method) = GrpcMethod::find(schema, name) else {
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
    if method.streams {
        diagnostics
            .mistake(node.span, format!("`{name}` is a method with streams"))
            .expected("a unary method: one message each way");
        return None;
    }
    Some(method)
}

/// The body of a call: a frame if its message is known, else the template of its JSON.
fn message(
    diagnostics: &mut Diagnostics,
    node: Option<&Node>,
    (method, is_compressed): (&GrpcMethod, bool),
    names: &[String],
) -> Option<RequestBody> {
    let json = match node {
        Some(node) => {
            let json = templates::json(diagnostics, node, names)?;
            let before = diagnostics.count();
            check_message(diagnostics, node, &method.input, names);
            if diagnostics.count() > before {
                return None;
            }
            json
        }
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

/// Reports what is wrong in the parts of a message that have no template, each at its place.
fn check_message(
    diagnostics: &mut Diagnostics,
    node: &Node,
    message: &MessageType,
    variables: &[String],
) {
    let NodeKind::Map(entries) = &node.kind else { return };
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
