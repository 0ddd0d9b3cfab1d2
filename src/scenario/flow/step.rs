//! Request steps: the request, and what is extracted from and checked in its response.
//!
//! `flow` compiles each request step here.
//! Invariant: a compiled step has one method, a path, and an existing service.

use crate::ids::ServiceId;
use crate::plan::policy::Priority;
use crate::plan::{Call, OnFail, RequestTemplate};
use crate::protocol::Protocol;
use crate::scenario::flow::context::FlowContext;
use crate::scenario::flow::kinds::KINDS;
use crate::scenario::flow::tags::Tags;
use crate::scenario::flow::{body, capture, check, message, tags};
use crate::scenario::nouns::steps::{BRANCH, METHODS, REQUEST};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey};
use crate::scenario::syntax::{distribution, header, include, templates, values};
use crate::suggest::nearest;
use crate::template::{Encoding, Template};

const PATH: &str = "a path that starts with `/`, such as /products?page=1";

/// A step with the name of its series.
#[derive(Debug)]
pub(crate) struct NamedStep {
    pub name: String,
    pub call: Call,
    pub tags: Tags,
}

/// Compiles a step; the caller sets its series.
pub(crate) fn step(
    diagnostics: &mut Diagnostics,
    node: &Node,
    flow_context: &FlowContext<'_>,
) -> Option<NamedStep> {
    let noun = if flow_context.alone { &REQUEST } else { &BRANCH };
    let mut fields = Fields::read(diagnostics, node, noun)?;
    let methods: Vec<(&str, &NodeKey, &Node)> = METHODS
        .iter()
        .filter_map(|(key, method)| fields.entry(key).map(|(key, path)| (*method, key, path)))
        .collect();
    // A control step or include never reaches this function, but a misspelt one does.
    if flow_context.alone {
        fields.add_neighbours(KINDS.map(|(kind, _)| kind).into_iter().chain([include::KEY]));
    }
    let name = fields.take("name");
    let name = name.map(|node| values::plain_text(diagnostics, node, "a step's name"));
    let service = service_of(diagnostics, &mut fields, flow_context, &[Protocol::Http]);
    let mut headers = fields.take("headers").map_or_else(Default::default, |node| {
        header::templates(diagnostics, node, flow_context.names, None)
    });
    let stamp = message::stamp(diagnostics, &mut fields, flow_context.names);
    let members = stamp.as_ref().map(|stamp| stamp.members.as_slice());
    let body = body::body(diagnostics, &mut fields, flow_context, (&mut headers, members));
    let timeout = fields.value(diagnostics, "timeout");
    let think = fields.take("think").map(|node| distribution::distribution(diagnostics, node));
    let max_body = fields.value(diagnostics, "max_body");
    let redirects = fields.value(diagnostics, "redirects");
    let tags = fields.take("tags").map(|node| tags::tags(diagnostics, node)).unwrap_or_default();
    let captures = fields
        .take("capture")
        .map_or_else(Vec::new, |node| capture::captures(diagnostics, node, flow_context.names));
    let [checks, expects] = ["check", "expect"]
        .map(|key| fields.take(key).map_or_else(Vec::new, |node| check::checks(diagnostics, node)));
    let on_fail = fields.word(diagnostics, "on_fail", &OnFail::NAMES);
    let priority = fields.word(diagnostics, "priority", &Priority::NAMES);
    // `control` compiles the steps of a `fallback`, and reads what a branch `needs`.
    let has_fallback = flow_context.alone && fields.take("fallback").is_some();
    if !flow_context.alone {
        fields.take("needs");
    }
    let streamed = message::streamed(diagnostics, &mut fields);
    let before = diagnostics.count();
    fields.finish(diagnostics);
    let (method, path) = one_method(diagnostics, node, &methods, before)?;
    let given = values::scalar(path).unwrap_or_default();
    let default_name = format!("{method} {}", without_query(given));
    let request = RequestTemplate {
        method: method.to_owned(),
        path: self::path(diagnostics, path, flow_context)?,
        headers,
        body: body?,
    };
    report_denied(diagnostics, path, &request, flow_context, service?);
    Some(NamedStep {
        tags,
        name: name.flatten().map_or(default_name, str::to_owned),
        call: Call {
            service: service?,
            request,
            timeout,
            think: think.flatten(),
            captures,
            checks,
            expects,
            on_fail: on_fail.unwrap_or_default(),
            max_body: max_body.unwrap_or(Call::MAX_BODY),
            redirects,
            priority,
            has_rescue: has_fallback,
            stamp: stamp.map(|stamp| stamp.channel),
            streamed,
            ..Call::get(Template::literal("/"))
        },
    })
}

/// Removes the query from a path, because it may contain credentials: `/items/{{ id }}?key=…` is
/// one endpoint.
pub(crate) fn without_query(path: &str) -> &str {
    let mut at = 0;
    while let Some(found) = path[at..].find(['?', '{']) {
        at += found;
        if path[at..].starts_with('?') {
            return &path[..at];
        }
        // A `?` inside a template's braces does not start a query.
        let inner = path[at..].starts_with("{{").then(|| path[at..].find("}}")).flatten();
        at += inner.map_or(1, |length| length + 2);
    }
    path
}

fn one_method<'n>(
    diagnostics: &mut Diagnostics,
    node: &'n Node,
    methods: &[(&'static str, &'n NodeKey, &'n Node)],
    before: usize,
) -> Option<(&'static str, &'n Node)> {
    match methods {
        [(method, _, path)] => Some((method, path)),
        [] => {
            // An unknown key is most often a misspelt method, which has been reported already.
            if diagnostics.count() == before {
                if let Some(think) = node.get("think") {
                    let pause = values::scalar(think).unwrap_or("5s");
                    diagnostics
                        .mistake(node.span, "`think` needs a request in the same step")
                        .expected("a request, or `pause`")
                        .help(format!("write `- pause: {}`", truncate(pause)));
                    return None;
                }
                diagnostics
                    .mistake(node.span, "this step has no request")
                    .expected("one of `get`, `post`, `put`, `patch`, `delete`, `head`, `options`")
                    .help("for example `- get: /products`");
            }
            None
        }
        [(first, ..), (_, second, _), ..] => {
            diagnostics
                .mistake(
                    second.span,
                    format!("a second request: the step has `{}`", first.to_lowercase()),
                )
                .expected("one request per step")
                .help("begin a new step: put `- ` before it");
            None
        }
    }
}

/// Reports a request that a safety limit denies, as far as its path is known.
fn report_denied(
    diagnostics: &mut Diagnostics,
    node: &Node,
    request: &RequestTemplate,
    flow_context: &FlowContext<'_>,
    service: ServiceId,
) {
    let prefixes = flow_context.context.prefixes.get(service.index());
    let why =
        flow_context.context.safety.denial_of(request, prefixes.map_or(&[][..], Vec::as_slice));
    if let Some(why) = why {
        diagnostics.mistake(node.span, "a safety limit forbids this request").help(why);
    }
}

pub(crate) fn path(
    diagnostics: &mut Diagnostics,
    node: &Node,
    flow_context: &FlowContext<'_>,
) -> Option<Template> {
    let template = templates::template(diagnostics, node, Encoding::Url, flow_context.names, PATH)?;
    let text = values::scalar(node)?;
    if text.starts_with('/') || text.starts_with("{{") {
        return Some(template);
    }
    let mistake = diagnostics.mistake(node.span, "a step's path starts with `/`");
    mistake.expected(PATH);
    if text.contains("://") {
        mistake.help(
            "declare the host under `services:` and write the path here; select a service \
             other than the first with `service:`",
        );
        return None;
    }
    match text.split_once(':') {
        Some((prefix, rest)) if flow_context.services.iter().any(|known| known == prefix) => {
            let rest = truncate(rest.trim_start_matches('/'));
            mistake.help(format!("for another service, write `/{rest}` and `service: {prefix}`"))
        }
        _ => mistake.help(format!("write `/{}`", truncate(text))),
    };
    None
}

/// The service of a step: the one that it names, else the first that speaks one of `own`.
pub(crate) fn service_of(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    flow_context: &FlowContext<'_>,
    own: &[Protocol],
) -> Option<ServiceId> {
    let protocols = &flow_context.context.protocols;
    let wanted = own.first().map_or("HTTP", |protocol| protocol.name());
    let Some(node) = fields.take("service") else {
        let found = protocols.iter().position(|protocol| own.contains(protocol));
        if found.is_none() && !protocols.is_empty() {
            let scheme = own.first().map_or("http", |protocol| protocol.word());
            diagnostics
                .mistake(fields.span(), format!("no service speaks {wanted}"))
                .expected(format!("a service with a URL such as \"{scheme}://127.0.0.1:…\""));
        }
        // A scenario without services has been reported already.
        return found.map(ServiceId::new).or(protocols.is_empty().then(|| ServiceId::new(0)));
    };
    let id = find_service(diagnostics, node, flow_context)?;
    let speaks = protocols.get(id.index()).copied().unwrap_or_default();
    if own.contains(&speaks) {
        return Some(id);
    }
    let name = &flow_context.services[id.index()];
    let mistake =
        diagnostics.mistake(node.span, format!("`{name}` speaks {}, not {wanted}", speaks.name()));
    match speaks.step() {
        Some(key) => mistake.help(format!("its steps are `{key}: …`")),
        None => mistake.help("its steps are requests such as `get: /`"),
    };
    None
}

/// Reads the name of a service and returns its id.
pub(crate) fn find_service(
    diagnostics: &mut Diagnostics,
    node: &Node,
    flow_context: &FlowContext<'_>,
) -> Option<ServiceId> {
    let name = values::plain_text(diagnostics, node, "the name of a service")?;
    if let Some(index) = flow_context.services.iter().position(|known| known == name) {
        return Some(ServiceId::new(index));
    }
    if flow_context.services.is_empty() {
        // The missing `services` have been reported already.
        return None;
    }
    let suggestion = nearest(name, flow_context.services.iter().map(String::as_str));
    let mistake = diagnostics.mistake(node.span, format!("unknown service `{name}`"));
    mistake.expected(format!("one of {}", flow_context.services.join(", ")));
    match suggestion {
        Some(suggestion) => mistake.help(format!("did you mean `{suggestion}`?")),
        None => mistake.help(format!("declare it under `services:`, such as `{name}: builtin`")),
    };
    None
}
