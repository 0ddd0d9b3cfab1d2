//! Steps that open calls of gRPC as streams, send on them and end them.
//!
//! `stream` calls it for the streams of services that speak gRPC.
//! Invariant: a stream of gRPC has one method, which takes or returns a stream of messages; a
//! message without templates is encoded here, once.

use std::sync::Arc;

use crate::grpc::{GrpcCall, GrpcMethod, GrpcSettings};
use crate::ids::ServiceId;
use crate::plan::operation::Operation;
use crate::plan::stream::{OpenStream, SendMessage, StreamAct, StreamForm, StreamPlan};
use crate::plan::{Call, RequestBody};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::flow::grpc;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::{message, reconnect};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::{header, metadata, values};
use crate::template::Template;

/// The service of gRPC whose method a step of this verb opens; `None` if it opens none. `service`
/// is the name that the step gives.
pub(super) fn service_of(
    context: &ScenarioContext,
    verb: &str,
    (value, service): (&Node, Option<&str>),
) -> Option<ServiceId> {
    if !matches!(verb, "open" | "listen") {
        return None;
    }
    let text = values::scalar(value).filter(|text| text.contains('/'))?;
    let speaks = |place: &usize| context.protocols.get(*place) == Some(&Protocol::Grpc);
    if let Some(name) = service {
        let place = context.services.iter().position(|known| known == name);
        return place.filter(speaks).map(ServiceId::new);
    }
    let has = |place: &usize| find(context, *place, (verb, text)).is_some();
    let all = || (0..context.services.len()).filter(speaks);
    // A topic of a broker looks like a method, too; a path does not.
    let is_method = verb == "open" && !text.starts_with('/') && !text.contains("{{");
    let found = all().find(has).or_else(|| all().next().filter(|_| is_method));
    found.map(ServiceId::new)
}

/// What is sent and received in streams by a method that is not known, if this verb opens it.
fn streams_of(verb: &str, has_message: bool) -> [bool; 2] {
    [verb == "open" && !has_message, true]
}

/// The method of this name of a service.
fn find(context: &ScenarioContext, service: usize, (verb, name): (&str, &str)) -> Option<GrpcCall> {
    let settings = context.grpc.get(service)?.as_deref();
    let schema = settings.and_then(|settings| settings.schema.as_deref());
    let name = name.trim_start_matches('/');
    let lacks_reflection = settings.is_some_and(|settings| settings.lacks_reflection);
    let unknown = || {
        // A topic of a broker has no dot before its slash.
        let is_method = name.split_once('/').is_some_and(|(service, _)| service.contains('.'));
        (lacks_reflection && is_method)
            .then(|| GrpcMethod::unknown(name, streams_of(verb, false)))
            .flatten()
    };
    let method = GrpcMethod::known(schema, name).or_else(unknown)?;
    Some(GrpcCall { method, is_compressed: settings.is_some_and(|settings| settings.compress) })
}

/// The stream that a step opens on a service of gRPC; `None` if it opens none.
pub(super) fn declared(
    context: &ScenarioContext,
    node: &Node,
    of_user: bool,
) -> Option<StreamPlan> {
    let given = node.get("service").and_then(values::scalar);
    let steps = ["open", "listen"].into_iter().filter_map(|verb| Some((verb, node.get(verb)?)));
    let mut opened = steps.filter_map(|(verb, value)| {
        Some((service_of(context, verb, (value, given))?, verb, value))
    });
    let (service, verb, value) = opened.next()?;
    let name = node.get("as").and_then(values::scalar);
    let name = name.or(context.services.get(service.index()).map(String::as_str))?;
    let grpc = find(context, service.index(), (verb, values::scalar(value)?));
    let (name, grpc) = (name.to_owned(), grpc.map(Box::new));
    Some(StreamPlan { name, service, of_user, is_kept: false, grpc })
}

/// Compiles what opens a stream on a service of gRPC; returns its index.
pub(super) fn open(
    verb: ControlStep,
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    (service, call): (ServiceId, &mut Call),
) -> Option<(usize, OpenStream)> {
    let (names, context) = (flow.flow_context.names, flow.flow_context.context);
    fields.take("service");
    let given = fields.take("as").and_then(|node| values::plain_text(diagnostics, node, "a name"));
    let name = given.or(flow.flow_context.services.get(service.index()).map(String::as_str));
    let headers = fields.take("headers").map(|node| {
        metadata::check(diagnostics, node);
        header::templates(diagnostics, node, names, None)
    });
    let reconnect =
        fields.take("reconnect").and_then(|node| reconnect::reconnect(diagnostics, node));
    let json = fields.take("json");
    let listener = (verb == ControlStep::Listen).then(|| {
        let listener = message::listener(diagnostics, fields, names);
        report_foreign(diagnostics, fields, &["body", "subprotocols"]);
        listener
    });
    if listener.is_none() {
        report_foreign(diagnostics, fields, &["subprotocols"]);
        let has_rules =
            !(call.captures.is_empty() && call.checks.is_empty() && call.expects.is_empty());
        if has_rules {
            diagnostics
                .mistake(value.span, "a call of gRPC that was opened has no response yet")
                .help("its status is that of the step `close` with `half: true`");
        }
    }
    let streams = streams_of(verb.key(), json.is_some());
    let method = grpc::method(diagnostics, value, (context, service), streams)?;
    let settings = context.grpc.get(service.index()).and_then(Option::as_deref);
    let is_compressed = settings.is_some_and(|settings| settings.compress);
    let max = settings.map_or(GrpcSettings::MAX_MESSAGE, |settings| settings.max_message);
    report_form(diagnostics, verb, (value, json), &method)?;
    call.request.body = if method.is_client_streaming {
        RequestBody::None
    } else {
        grpc::body_of(diagnostics, json, (&method, is_compressed), names)?
    };
    let stream = flow.streams.iter().position(|stream| Some(stream.name.as_str()) == name)?;
    let opened = flow.streams[stream].grpc.as_deref();
    if opened.is_some_and(|opened| opened.method.name != method.name) {
        let name = &flow.streams[stream].name;
        diagnostics
            .mistake(value.span, format!("the stream `{name}` is opened with another method, too"))
            .expected("a name of its own: `as: NAME`");
        return None;
    }
    "POST".clone_into(&mut call.request.method);
    let path = format!("/{}", method.name);
    if let Some(why) = context.safety.denial("POST", &path) {
        diagnostics.mistake(value.span, "a safety limit forbids this request").help(why);
    }
    call.request.path = Template::literal(path);
    call.request.headers = headers.unwrap_or_default();
    let operation = GrpcCall { method, is_compressed };
    call.operation = Some(Arc::new(Operation::Grpc(operation)));
    let form = StreamForm::Grpc(max);
    Some((stream, OpenStream { form, subprotocols: Vec::new(), reconnect, listener }))
}

/// Reports keys that streams of gRPC do not have.
fn report_foreign(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    keys: &'static [&'static str],
) {
    for key in keys {
        if fields.noun().key(key).is_some()
            && let Some((place, _)) = fields.entry(key)
        {
            diagnostics.mistake(place.span, format!("a stream of gRPC has no `{key}`"));
        }
    }
}

/// Reports a method that a verb does not open; `None` then.
fn report_form(
    diagnostics: &mut Diagnostics,
    verb: ControlStep,
    (value, json): (&Node, Option<&Node>),
    method: &GrpcMethod,
) -> Option<()> {
    let name = &method.name;
    let (what, help) = match (verb, method.is_client_streaming, method.is_server_streaming) {
        (_, _, true) | (ControlStep::Open, true, _) => {
            if let Some(json) = json.filter(|_| method.is_client_streaming) {
                diagnostics
                    .mistake(json.span, format!("`{name}` takes a stream of messages"))
                    .help("send each of them by a step `send`");
            }
            return Some(());
        }
        (_, true, false) => ("returns one message", format!("open it: `open: {name}`")),
        _ => ("takes and returns one message", format!("call it: `grpc: {name}`")),
    };
    diagnostics.mistake(value.span, format!("`{name}` {what}")).help(help);
    None
}

/// Compiles a message to a stream of gRPC.
pub(super) fn send(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    (grpc, call): (&GrpcCall, &mut Call),
) -> Option<StreamAct> {
    let (names, method) = (flow.flow_context.names, &grpc.method);
    report_foreign(diagnostics, fields, &["body", "file", "bytes", "text"]);
    let resend = fields.value(diagnostics, "resend").unwrap_or(false);
    let stamp = message::stamp(diagnostics, fields, names);
    if !method.is_client_streaming {
        diagnostics
            .mistake(value.span, format!("`{}` takes one message", method.name))
            .help("the step that opens the stream has sent it");
    }
    let Some(node) = fields.take("json") else {
        diagnostics.mistake(value.span, "this `send` has no message").expected("`json`");
        return None;
    };
    let stamped = stamp.as_ref().map(|place| {
        let node = message::with_stamp(diagnostics, node, &place.members);
        (node, place.channel.clone())
    });
    let (node, channel) = match &stamped {
        Some((node, channel)) => (node, Some(channel.clone())),
        None => (node, None),
    };
    let json = grpc::checked_json(diagnostics, node, &method.input, names)?;
    let mut text = true;
    call.request.body = match json.as_static() {
        // The stamp is written into the JSON.
        Some(text) if channel.is_some() => RequestBody::Bytes(text.to_vec()),
        Some(fixed) => {
            text = false;
            match method.input.encode(fixed) {
                Ok(message) => RequestBody::Bytes(message),
                Err(why) => {
                    let message = format!("this is no {}: {why}", method.input.name());
                    diagnostics.mistake(node.span, message);
                    return None;
                }
            }
        }
        None => RequestBody::Template(json),
    };
    call.stamp = channel;
    Some(StreamAct::Send(SendMessage { text, resend }))
}
