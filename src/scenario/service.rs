//! `services:` — the targets of calls.
//!
//! Invariant: a compiled service has an address or is built in; names are unique.

use super::diagnostics::Diagnostics;
use super::fields::{self, Fields, report_wrong};
use super::node::{Node, NodeKind};
use super::{distribution, transport};
use crate::plan::service::Builtin;
use crate::plan::{Address, Service, ServiceTarget};

const EXPECTED: &str = "a URL such as \"http://127.0.0.1:8080\", `builtin`, \
                        or a map with `url` or `builtin`";

/// Compiles all services in file order; the first is the default.
pub(super) fn services(diagnostics: &mut Diagnostics, node: &Node) -> Vec<Service> {
    let expected = "a map of services, such as `shop: builtin`";
    let Some(entries) = fields::entries(diagnostics, node, expected) else { return Vec::new() };
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
                fields.take("timeout").map(|node| fields::positive_duration(diagnostics, node));
            let transport = transport::transport(diagnostics, &mut fields);
            let mut truth =
                |name| fields.take(name).and_then(|node: &Node| fields::boolean(diagnostics, node));
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
                transport: transport,
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
pub(super) fn redirects(diagnostics: &mut Diagnostics, node: &Node) -> Option<u32> {
    fields::count(diagnostics, node, 0, MAX_REDIRECTS).and_then(|count| u32::try_from(count).ok())
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
                .help(format!("a service may have {}", fields::list_names(&known)));
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
    let servers = fields.take("servers").map(|node| fields::count(diagnostics, node, 1, 1_000_000));
    fields.finish(diagnostics);
    let servers = servers.flatten().and_then(|servers| u32::try_from(servers).ok());
    Some(Builtin { latency: latency.flatten(), servers })
}

fn url(diagnostics: &mut Diagnostics, node: &Node) -> Option<Address> {
    let text = fields::plain_text(diagnostics, node, EXPECTED)?;
    match parse_url(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            diagnostics
                .mistake(node.span, format!("`{}` {problem}", fields::truncate(text)))
                .expected("a URL such as \"http://127.0.0.1:8080\", or `builtin`");
            None
        }
    }
}

/// Parses the base URL of a service; the error continues a sentence after the URL.
pub(super) fn parse_url(text: &str) -> Result<Address, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme: write `http://` first")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err("is neither http nor https"),
    };
    if rest.contains(['?', '#']) {
        return Err("has a query or fragment: these belong to the steps");
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err("has a user name: send an `authorization` header instead");
    }
    let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
        let (host, port) = inner.split_once(']').ok_or("has no `]` after its address")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "has no IPv6 address in its brackets")?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("?")) })
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("has no host");
    }
    let of_host = |c: char| c.is_ascii_alphanumeric() || "-._:%~".contains(c);
    if !host.chars().all(of_host) {
        return Err("has a host with characters that no host has");
    }
    if path.chars().any(|c| c.is_control() || c == ' ' || !c.is_ascii()) {
        return Err("has a path with characters that have to be percent-encoded");
    }
    let port = match port {
        None if tls => 443,
        None => 80,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or("has a port that is not a number from 1 to 65535")?,
    };
    let prefix = path.trim_end_matches('/').to_owned();
    Ok(Address { tls, host: host.to_owned(), port, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_origins_with_a_prefix() {
        for (text, tls, host, port, prefix) in [
            ("http://127.0.0.1:8080", false, "127.0.0.1", 8080, ""),
            ("https://shop.example/", true, "shop.example", 443, ""),
            ("HTTP://shop.example/api/v1/", false, "shop.example", 80, "/api/v1"),
            ("http://[::1]:99", false, "::1", 99, ""),
            ("http://[::1]", false, "::1", 80, ""),
        ] {
            let prefix = prefix.to_owned();
            let address = Address { tls, host: host.to_owned(), port, prefix };
            assert_eq!(parse_url(text), Ok(address), "{text}");
        }
        for text in [
            "shop.example",
            "ftp://x",
            "http://",
            "http://:80",
            "http://x:0",
            "http://x:99999",
            "http://x?q=1",
            "http://u:p@x",
            "http://a b",
            "http://[::1",
            "http://[x]:1",
            "http://[::1]80",
            "http://x/é",
            "http://x\r\n",
            "",
        ] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
