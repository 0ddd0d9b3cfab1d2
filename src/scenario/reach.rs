//! The transport keys of a service: how it is reached.
//!
//! `service` calls it with the service's fields.
//! Invariant: a certificate and a key match; files are read here, once.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::diagnostics::Diagnostics;
use super::fields::{self, Fields, wrong};
use super::library;
use super::node::{Node, NodeKind};
use super::{pem, reach_text, texts};
use crate::plan::transport::{
    AddressFamily, AddressOrder, Auth, ClientIdentity, DnsConfig, DnsTtl, HttpVersion, Proxy,
    TlsConfig, TransportConfig,
};
use crate::template::{Builder, Encoding, Template};

/// Maximum local addresses of a service.
const MAX_SOURCES: usize = 1_024;

/// Reads the transport keys of a service.
pub(super) fn reach(review: &mut Diagnostics, fields: &mut Fields<'_>) -> TransportConfig {
    let auth = fields.take("auth").and_then(|node| auth(review, node));
    let tls = fields.take("tls").and_then(|node| tls(review, node));
    let connect_to = fields.take("connect_to").and_then(|node| connect_to(review, node));
    let unix = fields.entry("unix");
    let path = unix.and_then(|(_, node)| {
        let text = fields::fixed(review, node, "the path of a socket, such as /run/app.sock")?;
        // The kernel's limit on the path of a socket.
        if text.is_empty() || text.len() > 107 || text.contains('\0') {
            return wrong(review, node, "a path of 1 to 107 bytes, such as /run/app.sock");
        }
        Some(review.folders(node.span).swap_remove(0).join(text))
    });
    let sources = fields.take("source").and_then(|node| sources(review, node));
    let proxy = fields.entry("proxy");
    let chosen = proxy.and_then(|(_, node)| self::proxy(review, node));
    let dns = fields.take("dns").and_then(|node| dns(review, node));
    let version = fields.take("http").and_then(|node| http(review, node));
    if let (Some(_), Some((key, _))) = (unix, proxy) {
        review.mistake(key.span, "a service is reached over `unix` or through a `proxy`, not both");
    }
    TransportConfig {
        auth,
        tls: tls.unwrap_or_default(),
        connect_to,
        unix: path,
        sources: sources.unwrap_or_default(),
        proxy: chosen,
        dns: dns.unwrap_or_default(),
        version: version.unwrap_or_default(),
    }
}

fn auth(review: &mut Diagnostics, node: &Node) -> Option<Auth> {
    let expected = "`{ basic: { user: U, password: P } }` or `{ bearer: TOKEN }`";
    let mut fields = Fields::like(review, node, "`auth`", expected)?;
    let basic = fields.take("basic").map(|node| basic(review, node));
    let bearer = fields.take("bearer").map(|node| {
        texts::template(review, node, Encoding::Header, &[], "a token").map(Auth::Bearer)
    });
    let before = review.count();
    fields.finish(review);
    match (basic, bearer) {
        (Some(auth), None) | (None, Some(auth)) => auth,
        _ if review.count() > before => None,
        _ => wrong(review, node, expected),
    }
}

fn basic(review: &mut Diagnostics, node: &Node) -> Option<Auth> {
    let mut fields = Fields::of(review, node, "`basic`")?;
    let parts = ["user", "password"].map(|name| fields.need(name, "a text"));
    fields.finish(review);
    let mut builder = Builder::new(&[]);
    for (part, name) in parts.into_iter().zip(["user", "password"]) {
        let node = part?;
        texts::template(review, node, Encoding::Header, &[], "a text")?;
        let text = fields::scalar(node)?;
        // RFC 7617 §2: the first colon ends the user name.
        if name == "user" && text.contains(':') && !text.contains("{{") {
            return wrong(review, node, "a user's name without a colon");
        }
        builder.text(text, Encoding::Header).ok()?;
        if name == "user" {
            builder.literal(b":");
        }
    }
    Some(Auth::Basic(builder.build()))
}

fn tls(review: &mut Diagnostics, node: &Node) -> Option<TlsConfig> {
    let mut fields = Fields::of(review, node, "`tls`")?;
    let insecure = fields.take("insecure").and_then(|node| fields::truth(review, node));
    let roots = fields.take("ca").map(|node| certificates(review, node));
    let chain = fields.entry("cert").map(|(key, node)| (key, certificates(review, node)));
    let key = fields.entry("key").map(|(key, node)| (key, node, self::key(review, node)));
    let server_name = fields.take("server_name").and_then(|node| server_name(review, node));
    fields.finish(review);
    let identity = match (chain, key) {
        (Some((_, chain)), Some((_, node, key))) => identity(review, node, chain?, key?),
        (Some((one, _)), None) | (None, Some((one, ..))) => {
            review
                .mistake(one.span, format!("`{}` stands alone", one.name))
                .expected("a certificate and its key: `cert:` and `key:`");
            None
        }
        (None, None) => None,
    };
    let roots = roots.flatten().unwrap_or_default();
    Some(TlsConfig { insecure: insecure.unwrap_or(false), roots, identity, server_name })
}

fn file(review: &mut Diagnostics, node: &Node, what: &str) -> Option<Vec<u8>> {
    fields::fixed(review, node, what)?;
    let path = fields::file(review, node)?;
    library::bytes(review, &path, node.span)
}

fn certificates(review: &mut Diagnostics, node: &Node) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = file(review, node, pem::CERTIFICATES)?;
    let found = pem::certificates(&bytes);
    found.map_err(|error| review.mistake(node.span, error).expected(pem::CERTIFICATES)).ok()
}

fn key(review: &mut Diagnostics, node: &Node) -> Option<PrivateKeyDer<'static>> {
    let bytes = file(review, node, pem::KEY)?;
    pem::key(&bytes).map_err(|error| review.mistake(node.span, error).expected(pem::KEY)).ok()
}

fn identity(
    review: &mut Diagnostics,
    node: &Node,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Option<ClientIdentity> {
    let expected = "the key that the first certificate of `cert` was made for";
    let paired = pem::identity(chain, key);
    paired.map_err(|error| review.mistake(node.span, error).expected(expected)).ok()
}

fn server_name(review: &mut Diagnostics, node: &Node) -> Option<String> {
    let expected = "a name such as shop.example";
    let text = fields::fixed(review, node, expected)?;
    match ServerName::try_from(text) {
        Ok(_) => Some(text.to_owned()),
        Err(_) => wrong(review, node, expected),
    }
}

/// Reads `host:port`, IPv6 in brackets.
fn connect_to(review: &mut Diagnostics, node: &Node) -> Option<(String, u16)> {
    let text = fields::fixed(review, node, reach_text::ADDRESS)?;
    reach_text::address(text).or_else(|| wrong(review, node, reach_text::ADDRESS))
}

fn sources(review: &mut Diagnostics, node: &Node) -> Option<Vec<IpAddr>> {
    let expected = "addresses of this machine, such as [127.0.0.2, 127.0.0.3]";
    let items = match &node.kind {
        NodeKind::List(items) if !items.is_empty() && items.len() <= MAX_SOURCES => {
            items.as_slice()
        }
        NodeKind::Text(_) => std::slice::from_ref(node),
        _ => return wrong(review, node, expected),
    };
    let mut found = Vec::new();
    for item in items {
        let text = fields::fixed(review, item, expected)?;
        match text.parse() {
            Ok(ip) => found.push(ip),
            Err(_) => return wrong(review, item, "an IPv4 or IPv6 address, such as 127.0.0.2"),
        }
    }
    Some(found)
}

fn proxy(review: &mut Diagnostics, node: &Node) -> Option<Proxy> {
    let text = fields::fixed(review, node, reach_text::PROXY)?;
    reach_text::proxy(text).or_else(|| wrong(review, node, reach_text::PROXY))
}

fn dns(review: &mut Diagnostics, node: &Node) -> Option<DnsConfig> {
    let mut fields = Fields::of(review, node, "`dns`")?;
    let ttl = fields.take("ttl").and_then(|node| match fields::scalar(node) {
        Some("run") => Some(DnsTtl::Run),
        Some("connection") => Some(DnsTtl::Connection),
        Some(text) if crate::units::parse_duration(text).is_ok() => {
            fields::some_duration(review, node).map(DnsTtl::For)
        }
        _ => wrong(review, node, "`run`, `connection` or a duration such as 30s"),
    });
    let picks = [
        ("first", AddressOrder::First),
        ("rotate", AddressOrder::Rotate),
        ("random", AddressOrder::Random),
    ];
    let pick = fields.take("pick").and_then(|node| choice(review, node, &picks));
    let families =
        [("any", AddressFamily::Any), ("4", AddressFamily::V4), ("6", AddressFamily::V6)];
    let family = fields.take("family").and_then(|node| choice(review, node, &families));
    fields.finish(review);
    Some(DnsConfig {
        ttl: ttl.unwrap_or_default(),
        pick: pick.unwrap_or_default(),
        family: family.unwrap_or_default(),
    })
}

fn http(review: &mut Diagnostics, node: &Node) -> Option<HttpVersion> {
    let mut fields = Fields::of(review, node, "`http`")?;
    let versions =
        [("auto", HttpVersion::Auto), ("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    let version = fields.take("version").and_then(|node| choice(review, node, &versions));
    fields.finish(review);
    version
}

fn choice<T: Copy>(review: &mut Diagnostics, node: &Node, known: &[(&str, T)]) -> Option<T> {
    let said = fields::scalar(node);
    if let Some((_, value)) = known.iter().find(|(name, _)| Some(*name) == said) {
        return Some(*value);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    wrong(review, node, format!("one of {}", fields::list_names(&names)))
}

/// Reads the header templates of a service.
pub(super) fn headers(review: &mut Diagnostics, node: &Node) -> Vec<(String, Template)> {
    let expected = "a map of headers, such as `{ accept: application/json }`";
    let Some(entries) = fields::entries(review, node, expected) else { return Vec::new() };
    let mut headers = Vec::new();
    for (key, value) in entries {
        let name = super::header::name(review, key);
        let expected = "a header's value: one line of text";
        let before = review.count();
        let value = texts::template(review, value, Encoding::Header, &[], expected);
        if review.count() > before {
            review.last().help("what depends on an answer stands in the headers of a step");
        }
        if let (Some(name), Some(value)) = (name, value) {
            headers.push((name, value));
        }
    }
    headers
}
