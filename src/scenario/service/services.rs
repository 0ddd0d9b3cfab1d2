//! `services:` — the targets of calls.
//!
//! Invariant: a compiled service has an address or is built in; names are unique.

use crate::plan::service::Builtin;
use crate::plan::{Address, Service, ServiceTarget};
use crate::scenario::service::transport;
use crate::scenario::service::url::parse_url;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{distribution, values};

const EXPECTED: &str = "a URL such as \"http://127.0.0.1:8080\", `builtin`, \
                        or a map with `url` or `builtin`";

/// Compiles all services in file order; the first is the default.
pub(crate) fn services(diagnostics: &mut Diagnostics, node: &Node) -> Vec<Service> {
    let expected = "a map of services, such as `shop: builtin`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    if entries.is_empty() {
        report_wrong::<()>(diagnostics, node, expected);
    }
    let mut services = Vec::new();
    for (key, node) in entries {
        // A service with mistakes keeps its name, so that steps that use it are not reported as
        // well.
        let placeholder = Service::new(&key.name, ServiceTarget::Builtin(Builtin::default()));
        services.push(service(diagnostics, &key.name, node).unwrap_or(placeholder));
    }
    services
}

fn service(diagnostics: &mut Diagnostics, name: &str, node: &Node) -> Option<Service> {
    let plain = |target| Service::new(name, target);
    match &node.kind {
        NodeKind::Text(text) if text == "builtin" => {
            Some(plain(ServiceTarget::Builtin(Builtin::default())))
        }
        NodeKind::Text(_) => {
            url(diagnostics, node).map(|address| plain(ServiceTarget::Url(address)))
        }
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, node, "a service")?;
            let target = target(diagnostics, &mut fields);
            let headers = fields.take("headers").map(|node| transport::headers(diagnostics, node));
            let timeout =
                fields.take("timeout").map(|node| values::positive_duration(diagnostics, node));
            let transport = transport::transport(diagnostics, &mut fields);
            let mut truth =
                |name| fields.take(name).and_then(|node: &Node| values::boolean(diagnostics, node));
            let (cookies, compress) = (truth("cookies"), truth("compress"));
            let redirects = fields.take("redirects").and_then(|node| redirects(diagnostics, node));
            let secure = matches!(&target, Some(ServiceTarget::Url(address)) if address.tls);
            if let (Some((key, _)), true) = (fields.entry("unix"), secure) {
                diagnostics
                    .mistake(key.span, "TLS over a `unix` socket is not spoken")
                    .expected("an http URL beside `unix`");
            }
            fields.finish(diagnostics);
            Some(Service {
                headers: headers.unwrap_or_default(),
                timeout: timeout.flatten().unwrap_or(Service::TIMEOUT),
                transport,
                cookies: cookies.unwrap_or(true),
                redirects,
                compress: compress.unwrap_or(false),
                ..plain(target?)
            })
        }
        _ => report_wrong(diagnostics, node, EXPECTED),
    }
}

/// Maximum redirects of a call.
const MAX_REDIRECTS: u64 = 100;

/// Reads the number of redirects that a call follows.
pub(crate) fn redirects(diagnostics: &mut Diagnostics, node: &Node) -> Option<u32> {
    values::count(diagnostics, node, 0, MAX_REDIRECTS).and_then(|count| u32::try_from(count).ok())
}

fn target(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> Option<ServiceTarget> {
    let (address, builtin) = (fields.entry("url"), fields.entry("builtin"));
    match (address, builtin) {
        (Some((_, node)), None) => url(diagnostics, node).map(ServiceTarget::Url),
        (None, Some((_, node))) => self::builtin(diagnostics, node).map(ServiceTarget::Builtin),
        (Some(_), Some((key, _))) => {
            diagnostics.mistake(key.span, "a service has either `url` or `builtin`, not both");
            None
        }
        (None, None) => {
            let known = ["url", "builtin", "headers", "auth", "timeout", "tls", "http"];
            diagnostics
                .mistake(fields.span(), "this service has no address")
                .expected("`url:` or `builtin:`")
                .help(format!("a service may have {}", values::list_names(&known)));
            None
        }
    }
}

fn builtin(diagnostics: &mut Diagnostics, node: &Node) -> Option<Builtin> {
    if matches!(node.kind, NodeKind::Null | NodeKind::Bool(true)) {
        return Some(Builtin::default());
    }
    let mut fields = Fields::read(diagnostics, node, "the built-in target")?;
    let latency = fields.take("latency").map(|node| distribution::latency(diagnostics, node));
    let servers = fields.take("servers").map(|node| values::count(diagnostics, node, 1, 1_000_000));
    fields.finish(diagnostics);
    let servers = servers.flatten().and_then(|servers| u32::try_from(servers).ok());
    Some(Builtin { latency: latency.flatten(), servers })
}

fn url(diagnostics: &mut Diagnostics, node: &Node) -> Option<Address> {
    let text = values::plain_text(diagnostics, node, EXPECTED)?;
    match parse_url(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            diagnostics
                .mistake(node.span, format!("`{}` {problem}", truncate(text)))
                .expected("a URL such as \"http://127.0.0.1:8080\", or `builtin`");
            None
        }
    }
}
