//! Request steps: the request, and what is extracted from and checked in its response.
//!
//! `flow` compiles each request step here.
//! Invariant: a compiled step has one method, a path, and an existing service.

use super::diagnostics::{Diagnostics, nearest};
use super::fields::{self, Fields};
use super::flow::{FlowContext, value_of};
use super::node::{Node, NodeKey, NodeKind};
use super::tags::{self, Tags};
use super::{body, capture, check, control, header, include, law, service, texts};
use crate::plan::policy::Priority;
use crate::plan::{Call, OnFail, RequestTemplate};
use crate::template::Encoding;

/// The methods by their key.
pub(super) const METHODS: [(&str, &str); 7] = [
    ("get", "GET"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
];

const PATH: &str = "a path that begins with `/`, such as /products?page=1";

/// A step with the name of its series.
#[derive(Debug)]
pub(super) struct NamedStep {
    pub name: String,
    pub call: Call,
    pub tags: Tags,
}

/// Compiles a step; the caller sets its series.
pub(super) fn step(
    review: &mut Diagnostics,
    node: &Node,
    setting: &FlowContext<'_>,
) -> Option<NamedStep> {
    let NodeKind::Map(_) = node.kind else {
        return fields::wrong(review, node, "a step such as `get: /products`");
    };
    let mut fields = Fields::of(review, node, "a step")?;
    let methods: Vec<(&str, &NodeKey, &Node)> = METHODS
        .iter()
        .filter_map(|(key, method)| fields.entry(key).map(|(key, path)| (*method, key, path)))
        .collect();
    // A control step or include never reaches this function; its key is only read so that a
    // misspelt one gets a suggestion.
    for kind in control::KINDS.map(|(kind, _)| kind).into_iter().chain([include::KEY]) {
        fields.take(kind);
    }
    let name = fields.take("name").map(|node| fields::fixed(review, node, "a step's name"));
    let of = fields.take("service").map(|node| named(review, node, setting));
    let mut headers =
        fields.take("headers").map(|node| headers(review, node, setting)).unwrap_or_default();
    let body = body::body(review, &mut fields, setting, &mut headers);
    let timeout = fields.take("timeout").map(|node| fields::some_duration(review, node));
    let think = fields.take("think").map(|node| law::distribution(review, node));
    let max_body = fields.take("max_body").map(|node| fields::size(review, node));
    let redirects = fields.take("redirects").map(|node| service::redirects(review, node));
    let tags = fields.take("tags").map(|node| tags::tags(review, node)).unwrap_or_default();
    let captures = fields
        .take("capture")
        .map(|node| capture::captures(review, node, setting.names))
        .unwrap_or_default();
    let checks = fields.take("check").map(|node| check::checks(review, node)).unwrap_or_default();
    let expects = fields.take("expect").map(|node| check::checks(review, node)).unwrap_or_default();
    let on_fail = fields.take("on_fail").map(|node| fields::word(review, node, &OnFail::NAMES));
    let priority = fields.take("priority").map(|node| fields::word(review, node, &Priority::NAMES));
    // `flow` compiles its steps.
    let fallback = fields.entry("fallback");
    if !setting.alone {
        // Only branches of `parallel` have it, and `parallel` reads it.
        fields.take("needs");
        if let Some((key, _)) = fallback {
            review
                .mistake(key.span, "one of parallel steps cannot have a `fallback`")
                .help("make it a step of its own, before or after `parallel`");
        }
    }
    let before = review.count();
    fields.finish(review);
    let (method, path) = one_method(review, node, &methods, before)?;
    let written = fields::scalar(path).unwrap_or_default();
    let default_name = format!("{method} {}", without_query(written));
    let request = RequestTemplate {
        method: method.to_owned(),
        path: self::path(review, path, setting)?,
        headers,
        body: body?,
    };
    let service = of.unwrap_or(Some(0))?;
    allowed(review, path, &request, setting, service);
    Some(NamedStep {
        tags,
        name: name.flatten().map_or(default_name, str::to_owned),
        call: Call {
            series: 0,
            service,
            request,
            timeout: timeout.flatten(),
            think: think.flatten(),
            captures,
            checks,
            expects,
            on_fail: on_fail.unwrap_or(Some(OnFail::Count))?,
            max_body: max_body.flatten().unwrap_or(Call::MAX_BODY),
            redirects: redirects.flatten(),
            priority: priority.flatten(),
            has_rescue: fallback.is_some(),
        },
    })
}

/// Removes the query from a path, because it may contain credentials: `/items/{{ id }}?key=…` is
/// one endpoint.
fn without_query(path: &str) -> &str {
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
    review: &mut Diagnostics,
    node: &'n Node,
    methods: &[(&'static str, &'n NodeKey, &'n Node)],
    before: usize,
) -> Option<(&'static str, &'n Node)> {
    match methods {
        [(method, _, path)] => Some((method, path)),
        [] => {
            // An unknown key is most often a misspelt method, which has been reported already.
            if review.count() == before {
                if let Some(think) = value_of(node, "think") {
                    let law = fields::scalar(think).unwrap_or("5s");
                    review
                        .mistake(node.span, "`think` alone is no step: it follows a request")
                        .expected("a request beside it, or `pause`")
                        .help(format!("write `- pause: {}`", fields::short(law)));
                    return None;
                }
                review
                    .mistake(node.span, "this step has no request")
                    .expected("one of `get`, `post`, `put`, `patch`, `delete`, `head`, `options`")
                    .help("for example `- get: /products`");
            }
            None
        }
        [(first, ..), (_, second, _), ..] => {
            review
                .mistake(
                    second.span,
                    format!("a second request in the step that has `{}`", first.to_lowercase()),
                )
                .expected("one request per step")
                .help("begin a new step: put `- ` before it");
            None
        }
    }
}

/// Reports a request that a safety limit denies, as far as its path is known.
fn allowed(
    review: &mut Diagnostics,
    node: &Node,
    request: &RequestTemplate,
    setting: &FlowContext<'_>,
    service: usize,
) {
    let path = request.path.as_static().and_then(|path| std::str::from_utf8(path).ok());
    let prefix = setting.around.prefixes.get(service).map_or("", String::as_str);
    let safety = &setting.around.safety;
    // A template's path is checked after rendering; only its method is known now.
    let why = match path {
        Some(path) => safety.denial(&request.method, &format!("{prefix}{path}")),
        None => safety.method_denial(&request.method),
    };
    if let Some(why) = why {
        review.mistake(node.span, "this request is not made: a safety limit forbids it").help(why);
    }
}

fn path(
    review: &mut Diagnostics,
    node: &Node,
    setting: &FlowContext<'_>,
) -> Option<crate::template::Template> {
    let template = texts::template(review, node, Encoding::Url, setting.names, PATH)?;
    let text = fields::scalar(node)?;
    if text.starts_with('/') || text.starts_with("{{") {
        return Some(template);
    }
    let mistake = review.mistake(node.span, "a step's path begins with `/`");
    mistake.expected(PATH);
    if text.contains("://") {
        mistake.help(
            "declare the host under `services:` and write its path here; \
             another service than the first is named with `service:`",
        );
    } else {
        mistake.help(format!("write `/{}`", fields::short(text)));
    }
    None
}

/// Reads the name of a service and returns its index.
fn named(review: &mut Diagnostics, node: &Node, setting: &FlowContext<'_>) -> Option<usize> {
    let name = fields::fixed(review, node, "the name of a service")?;
    if let Some(index) = setting.services.iter().position(|known| known == name) {
        return Some(index);
    }
    if setting.services.is_empty() {
        // The missing `services` have been reported already.
        return None;
    }
    let near = nearest(name, setting.services.iter().map(String::as_str));
    let mistake = review.mistake(node.span, format!("there is no service `{name}`"));
    mistake.expected(format!("one of {}", setting.services.join(", ")));
    match near {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake.help(format!("declare it under `services:`, such as `{name}: builtin`")),
    };
    None
}

pub(super) type Headers = Vec<(String, crate::template::Template)>;

fn headers(review: &mut Diagnostics, node: &Node, setting: &FlowContext<'_>) -> Headers {
    let expected = "a map of headers, such as `{ accept: application/json }`";
    let Some(entries) = fields::entries(review, node, expected) else { return Vec::new() };
    let mut headers = Vec::new();
    for (key, value) in entries {
        let name = header::name(review, key);
        let expected = "a header's value: one line of text";
        let value = texts::template(review, value, Encoding::Header, setting.names, expected);
        if let (Some(name), Some(value)) = (name, value) {
            headers.push((name, value));
        }
    }
    headers
}
