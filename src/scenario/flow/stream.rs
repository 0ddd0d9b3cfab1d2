//! Steps that open, use and close streams.
//!
//! `control` compiles each of them here; `archetype` declares the streams beforehand.
//! Invariant: a compiled step refers to a declared stream; its request is a handshake or empty.

use crate::ids::ServiceId;
use crate::plan::stream::{
    AwaitMessage, AwaitSince, OpenStream, SendMessage, StreamAct, StreamForm, StreamPlan,
    StreamStep,
};
use crate::plan::{Call, OnFail, RequestBody, RequestTemplate};
use crate::protocol::Protocol;
use crate::scenario::flow::assembly::Assembly;
use crate::scenario::flow::broker_messages::content;
use crate::scenario::flow::context::ScenarioContext;
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::flow::message;
use crate::scenario::flow::step::{NamedStep, path, service_of, without_query};
use crate::scenario::flow::{
    body, broker, capture, channels, check, close, grpc_stream, reconnect, tags,
};
use crate::scenario::nouns::streams::ON_TIMEOUT;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::header;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::{distribution, values};
use crate::suggest::nearest;
use crate::template::Template;

/// The streams that the sections of an archetype open: `on_start`, an iteration, `on_stop`.
pub(crate) fn declared(context: &ScenarioContext, sections: [Option<&Node>; 3]) -> Vec<StreamPlan> {
    let mut streams = Vec::new();
    for (place, node) in sections.into_iter().enumerate() {
        if let Some(node) = node {
            declare(node, place == 0, context, &mut streams);
        }
    }
    streams
}

/// Collects the streams that the steps below `node` open.
fn declare(node: &Node, of_user: bool, context: &ScenarioContext, streams: &mut Vec<StreamPlan>) {
    match &node.kind {
        NodeKind::List(items) => {
            items.iter().for_each(|item| declare(item, of_user, context, streams));
        }
        NodeKind::Map(entries) => {
            if let Some(stream) = grpc_stream::declared(context, node, of_user) {
                if !streams.iter().any(|known| known.name == stream.name) {
                    streams.push(stream);
                }
                return;
            }
            let opens = |verb| node.get(verb).and_then(values::scalar).is_some_and(is_path);
            let opens_session = node.get("open").is_some_and(is_true);
            let service = node.get("service").and_then(values::scalar);
            if opens_session
                || (opens("open") || opens("listen")) && !is_of_broker(context, service)
            {
                let sessions = channels::session_protocols(context, service);
                let is_own = |one: &Protocol| {
                    if opens_session { sessions.contains(one) } else { *one == Protocol::Http }
                };
                let own = context.protocols.iter().position(is_own);
                let first = context.services.get(own.unwrap_or(0)).map(String::as_str);
                let service = service.or(first);
                let name = node.get("as").and_then(values::scalar).or(service).unwrap_or_default();
                let known = context.services.iter().position(|known| Some(&**known) == service);
                if !streams.iter().any(|stream| stream.name == name) {
                    streams.push(StreamPlan {
                        name: name.to_owned(),
                        service: ServiceId::new(known.unwrap_or(0)),
                        of_user,
                        is_kept: opens_session,
                        grpc: None,
                    });
                }
                return;
            }
            entries.iter().for_each(|(_, value)| declare(value, of_user, context, streams));
        }
        _ => {}
    }
}

/// Whether a step names a broker as its service.
fn is_of_broker(context: &ScenarioContext, service: Option<&str>) -> bool {
    let known = service.and_then(|name| context.services.iter().position(|known| known == name));
    known.is_some_and(|place| channels::has_sessions(context, ServiceId::new(place)))
}

fn is_true(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Bool(true))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') || text.starts_with("{{")
}

/// Compiles a step of this verb; `value` is the value of its key.
pub(crate) fn step(
    verb: ControlStep,
    flow: &mut Assembly<'_>,
    diagnostics: &mut Diagnostics,
    value: &Node,
    fields: &mut Fields<'_>,
) -> Option<NamedStep> {
    let has_service = fields.noun().key("service").is_some();
    let named = has_service.then(|| fields.entry("service").map(|(_, node)| node)).flatten();
    let broker = matches!(verb, ControlStep::Send | ControlStep::Listen)
        .then(|| channels::of_step(flow, value, fields, named))
        .flatten();
    let opens = verb == ControlStep::Open
        || verb == ControlStep::Listen && values::scalar(value).is_some_and(is_path);
    let of_grpc = if broker.is_none() && has_service {
        let service = named.and_then(values::scalar);
        grpc_stream::service_of(flow.flow_context.context, verb.key(), (value, service))
    } else {
        None
    };
    let responding = match (verb, of_grpc) {
        (ControlStep::Open, Some(_)) => Some(Protocol::Grpc),
        (ControlStep::Open, None) if is_true(value) => channels::opened(flow, named),
        _ => broker.map(|service| broker::protocol(flow, service)),
    };
    let mut call = StreamCall::read((verb, responding), flow, diagnostics, fields);
    if let Some(service) = broker {
        let (of, place) = ((verb, service), (value, &mut *fields));
        let compiled = if channels::are_of(flow.flow_context.context, service) {
            channels::step(flow, diagnostics, place, of, &mut call.call)?
        } else {
            broker::step(flow, diagnostics, place, of, &mut call.call)?
        };
        return Some(NamedStep {
            name: call.name.unwrap_or(compiled),
            call: call.call,
            tags: call.tags,
        });
    }
    let opened = match of_grpc {
        Some(service) => {
            let source = (value, &mut *fields);
            Some(grpc_stream::open(verb, flow, diagnostics, source, (service, &mut call.call)))
        }
        None => opens.then(|| open(verb, flow, diagnostics, (value, fields), &mut call.call)),
    };
    let stream = match &opened {
        Some(opened) => opened.as_ref().map(|(stream, _)| *stream),
        None => find_stream(flow, diagnostics, value),
    };
    if let (Some(stream), ControlStep::Await | ControlStep::Listen, None) = (stream, verb, &opened)
    {
        flow.streams[stream].is_kept = true;
    }
    let act = match (verb, opened) {
        (_, Some(opened)) => StreamAct::Open(Box::new(opened?.1)),
        (ControlStep::Send, _) => {
            broker::report_service(flow, diagnostics, fields);
            if let Some(grpc) = flow.streams[stream?].grpc.as_deref() {
                grpc_stream::send(flow, diagnostics, (value, fields), (grpc, &mut call.call))?
            } else {
                send(flow, diagnostics, (value, fields), &mut call.call)?
            }
        }
        (ControlStep::Await, _) => await_message(flow, diagnostics, fields),
        (ControlStep::Listen, _) => {
            StreamAct::Listen(message::listener(diagnostics, fields, flow.flow_context.names))
        }
        _ => close::close(flow, diagnostics, (value, fields), (stream?, &call.call)),
    };
    let stream = stream?;
    call.call.service = flow.streams[stream].service;
    let name = flow.streams[stream].name.clone();
    let default_name = default_name(verb, value, &act, &name);
    call.call.stream = Some(Box::new(StreamStep { stream, act }));
    Some(NamedStep { name: call.name.unwrap_or(default_name), call: call.call, tags: call.tags })
}

/// The name of a step that gives none; `name` is that of its stream.
fn default_name(verb: ControlStep, value: &Node, act: &StreamAct, name: &str) -> String {
    let given = match act {
        StreamAct::Open(_) if !is_true(value) => {
            without_query(values::scalar(value).unwrap_or_default())
        }
        _ => name,
    };
    format!("{} {given}", verb.key())
}

/// The keys that all steps of streams share.
struct StreamCall {
    name: Option<String>,
    tags: tags::Tags,
    call: Call,
}

impl StreamCall {
    /// Reads them; `responding` is the protocol whose response the rules of the step look at, if it
    /// is not HTTP.
    fn read(
        (verb, responding): (ControlStep, Option<Protocol>),
        flow: &Assembly<'_>,
        diagnostics: &mut Diagnostics,
        fields: &mut Fields<'_>,
    ) -> Self {
        let names = flow.flow_context.names;
        let name =
            fields.take("name").and_then(|node| values::plain_text(diagnostics, node, "a name"));
        let timeout = fields.value(diagnostics, "timeout");
        let think = fields.take("think").map(|node| distribution::distribution(diagnostics, node));
        let tags = fields.take("tags").map(|node| tags::tags(diagnostics, node));
        let mut call = Call {
            series: 0,
            service: ServiceId::new(0),
            request: RequestTemplate {
                method: "GET".to_owned(),
                path: Template::literal("/"),
                headers: Vec::new(),
                body: RequestBody::None,
            },
            timeout,
            think: think.flatten(),
            captures: Vec::new(),
            checks: Vec::new(),
            expects: Vec::new(),
            on_fail: OnFail::default(),
            max_body: Call::MAX_BODY,
            redirects: None,
            priority: None,
            has_rescue: false,
            stamp: None,
            streamed: None,
            stream: None,
            operation: None,
            transaction: None,
        };
        if verb == ControlStep::Close {
            close::rules(diagnostics, fields, names, &mut call);
        } else if fields.noun().key("check").is_some() {
            if fields.noun().key("capture").is_some() {
                let node = fields.take("capture");
                call.captures =
                    node.map_or_else(Vec::new, |node| capture::captures(diagnostics, node, names));
            }
            [call.checks, call.expects] = ["check", "expect"].map(|key| {
                let node = fields.take(key);
                node.map_or_else(Vec::new, |node| {
                    check::of_stream_step(diagnostics, node, verb, responding)
                })
            });
            let on_fail = fields.word(diagnostics, "on_fail", &OnFail::NAMES);
            call.on_fail = on_fail.unwrap_or_default();
        }
        Self { name: name.map(str::to_owned), tags: tags.unwrap_or_default(), call }
    }
}

/// Compiles what opens a stream; returns its index.
fn open(
    verb: ControlStep,
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    call: &mut Call,
) -> Option<(usize, OpenStream)> {
    let names = flow.flow_context.names;
    let opens_session = verb == ControlStep::Open && is_true(value);
    let own: &[Protocol] = if opens_session {
        let service = fields.entry("service").and_then(|(_, node)| values::scalar(node));
        channels::session_protocols(flow.flow_context.context, service)
    } else {
        &[Protocol::Http]
    };
    let service = service_of(diagnostics, fields, &flow.flow_context, own)?;
    let service_name = flow.flow_context.services.get(service.index()).map(String::as_str);
    if opens_session {
        let stream = flow.streams.iter().position(|stream| stream.service == service)?;
        let reconnect =
            fields.take("reconnect").and_then(|node| reconnect::reconnect(diagnostics, node));
        let how = (service, reconnect);
        if channels::are_of(flow.flow_context.context, service) {
            return Some((stream, channels::open(flow, how, call)));
        }
        return Some((stream, broker::open(flow, diagnostics, fields, how, call)));
    }
    let as_name =
        fields.take("as").and_then(|node| values::plain_text(diagnostics, node, "a name"));
    let name = as_name.or(service_name).unwrap_or_default();
    let stream = flow.streams.iter().position(|stream| stream.name == name)?;
    let mut headers = fields
        .take("headers")
        .map(|node| header::templates(diagnostics, node, names, None))
        .unwrap_or_default();
    let subprotocols = fields.take("subprotocols");
    if let Some(node) = subprotocols
        && matches!(&node.kind, NodeKind::List(items) if items.is_empty())
    {
        values::report_wrong::<()>(
            diagnostics,
            node,
            "names of subprotocols, such as `[ chat.v1 ]`",
        );
    }
    let subprotocols = subprotocols.map(values::one_or_more).unwrap_or_default();
    let subprotocols = subprotocols
        .iter()
        .filter_map(|node| values::plain_text(diagnostics, node, "the name of a subprotocol"))
        .map(str::to_owned)
        .collect();
    let reconnect =
        fields.take("reconnect").and_then(|node| reconnect::reconnect(diagnostics, node));
    let is_websocket = verb == ControlStep::Open
        || flow.flow_context.context.websockets.get(service.index()) == Some(&true);
    let listener = (verb == ControlStep::Listen).then(|| {
        let body = body::body(diagnostics, fields, &flow.flow_context, (&mut headers, None));
        if let Some(body) = body
            && !matches!(body, RequestBody::None)
        {
            "POST".clone_into(&mut call.request.method);
            call.request.body = body;
        }
        message::listener(diagnostics, fields, names)
    });
    if !is_websocket {
        // What a browser's EventSource sends.
        for (name, value) in [("accept", "text/event-stream"), ("cache-control", "no-cache")] {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), Template::literal(value)));
            }
        }
    }
    call.request.path = path(diagnostics, value, &flow.flow_context)?;
    call.request.headers = headers;
    let form = if is_websocket { StreamForm::WebSocket } else { StreamForm::Events };
    Some((stream, OpenStream { form, subprotocols, reconnect, listener }))
}

fn send(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    (value, fields): (&Node, &mut Fields<'_>),
    call: &mut Call,
) -> Option<StreamAct> {
    let text = fields.value(diagnostics, "text");
    let resend = fields.value(diagnostics, "resend").unwrap_or(false);
    let is_text = fields.has("json") || fields.has("body");
    let content = content(flow, diagnostics, (value, &mut *fields))?;
    call.request.body = content.body;
    call.stamp = content.stamp.map(|stamp| stamp.channel);
    Some(StreamAct::Send(SendMessage { text: text.unwrap_or(is_text), resend }))
}

fn await_message(
    flow: &Assembly<'_>,
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> StreamAct {
    let names = flow.flow_context.names;
    let conditions = fields
        .take("match")
        .map(|node| message::conditions(diagnostics, node, names))
        .unwrap_or_default();
    let since = fields.word(diagnostics, "since", &AwaitSince::NAMES);
    let count: Option<u64> = fields.value(diagnostics, "count");
    let may_time_out = fields.word(diagnostics, "on_timeout", &ON_TIMEOUT);
    StreamAct::Await(AwaitMessage {
        conditions,
        since: since.unwrap_or_default(),
        count: count.map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        may_time_out: may_time_out.unwrap_or(false),
    })
}

/// Finds a stream by its name.
fn find_stream(flow: &Assembly<'_>, diagnostics: &mut Diagnostics, node: &Node) -> Option<usize> {
    let name = values::plain_text(diagnostics, node, "the name of a stream")?;
    if let Some(index) = flow.streams.iter().position(|stream| stream.name == name) {
        return Some(index);
    }
    let known: Vec<&str> = flow.streams.iter().map(|stream| stream.name.as_str()).collect();
    let suggestion = nearest(name, known.iter().copied());
    let mistake = diagnostics.mistake(node.span, format!("no step opens a stream `{name}`"));
    if !known.is_empty() {
        mistake.expected(format!("one of {}", known.join(", ")));
    }
    match suggestion {
        Some(suggestion) => mistake.help(format!("did you mean `{suggestion}`?")),
        None => mistake.help(format!("open it before: `- {{ open: /ws, as: {name} }}`")),
    };
    None
}
