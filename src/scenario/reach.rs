//! How a service is reached: the keys of a service beside its address.
//!
//! `service` calls it with the service's fields.
//! Invariant: a certificate and a key that come out fit each other; files are read here, once.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;

use super::diagnose::Review;
use super::library;
use super::node::{Kind, Node};
use super::shape::{self, Fields, wrong};
use super::texts;
use crate::plan::reach::{
    Auth, Dns, Family, Identity, Pick, Proxy, ProxyKind, Reach, Tls, Ttl, Version,
};
use crate::plan::template::{Builder, Encoding, Template};

/// The most local addresses a service may go out from.
const MAX_SOURCES: usize = 1_024;

/// The keys of a service that say how it is reached.
pub(super) fn reach(review: &mut Review, fields: &mut Fields<'_>) -> Reach {
    let auth = fields.take("auth").and_then(|node| auth(review, node));
    let tls = fields.take("tls").and_then(|node| tls(review, node));
    let connect_to = fields.take("connect_to").and_then(|node| connect_to(review, node));
    let unix = fields.entry("unix");
    let path = unix.and_then(|(_, node)| {
        let text = shape::fixed(review, node, "the path of a socket, such as /run/app.sock")?;
        // The kernel's own bound on the path of a socket.
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
    Reach {
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

fn auth(review: &mut Review, node: &Node) -> Option<Auth> {
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

fn basic(review: &mut Review, node: &Node) -> Option<Auth> {
    let mut fields = Fields::of(review, node, "`basic`")?;
    let parts = ["user", "password"].map(|name| fields.need(name, "a text"));
    fields.finish(review);
    let mut builder = Builder::new(&[]);
    for (part, name) in parts.into_iter().zip(["user", "password"]) {
        let node = part?;
        texts::template(review, node, Encoding::Header, &[], "a text")?;
        let text = shape::scalar(node)?;
        // RFC 7617 §2: the first colon ends the user's name.
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

fn tls(review: &mut Review, node: &Node) -> Option<Tls> {
    let mut fields = Fields::of(review, node, "`tls`")?;
    let insecure = fields.take("insecure").and_then(|node| shape::truth(review, node));
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
    Some(Tls { insecure: insecure.unwrap_or(false), roots, identity, server_name })
}

fn pem(review: &mut Review, node: &Node, what: &str) -> Option<Vec<u8>> {
    shape::fixed(review, node, what)?;
    let path = shape::file(review, node)?;
    library::bytes(review, &path, node.span)
}

fn certificates(review: &mut Review, node: &Node) -> Option<Vec<CertificateDer<'static>>> {
    let expected = "a PEM file of certificates";
    let bytes = pem(review, node, expected)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Some(found),
        Ok(_) => {
            review.mistake(node.span, "there is no certificate in this file").expected(expected);
            None
        }
        Err(error) => {
            review.mistake(node.span, format!("no PEM file: {error}")).expected(expected);
            None
        }
    }
}

fn key(review: &mut Review, node: &Node) -> Option<PrivateKeyDer<'static>> {
    let expected = "a PEM file with one private key, not encrypted";
    let bytes = pem(review, node, expected)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Some(key),
        Err(_) => {
            review.mistake(node.span, "there is no private key in this file").expected(expected);
            None
        }
    }
}

fn identity(
    review: &mut Review,
    node: &Node,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Option<Identity> {
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider) {
        Ok(_) => Some(Identity { chain, key: Arc::new(key) }),
        Err(error) => {
            review
                .mistake(node.span, format!("this key does not fit the certificate: {error}"))
                .expected("the key that the first certificate of `cert` was made for");
            None
        }
    }
}

fn server_name(review: &mut Review, node: &Node) -> Option<String> {
    let expected = "a name such as shop.example";
    let text = shape::fixed(review, node, expected)?;
    match ServerName::try_from(text) {
        Ok(_) => Some(text.to_owned()),
        Err(_) => wrong(review, node, expected),
    }
}

/// `host:port`, IPv6 in brackets.
fn connect_to(review: &mut Review, node: &Node) -> Option<(String, u16)> {
    let expected = "`host:port`, such as 127.0.0.1:8080";
    let text = shape::fixed(review, node, expected)?;
    let parsed = super::service::parse_url(&format!("http://{text}"));
    match (parsed, text.rsplit_once(':')) {
        (Ok(address), Some((_, port))) if port.parse() == Ok(address.port) => {
            Some((address.host, address.port))
        }
        _ => wrong(review, node, expected),
    }
}

fn sources(review: &mut Review, node: &Node) -> Option<Vec<IpAddr>> {
    let expected = "addresses of this machine, such as [127.0.0.2, 127.0.0.3]";
    let items = match &node.kind {
        Kind::List(items) if !items.is_empty() && items.len() <= MAX_SOURCES => items.as_slice(),
        Kind::Text(_) => std::slice::from_ref(node),
        _ => return wrong(review, node, expected),
    };
    let mut found = Vec::new();
    for item in items {
        let text = shape::fixed(review, item, expected)?;
        match text.parse() {
            Ok(ip) => found.push(ip),
            Err(_) => return wrong(review, item, "an IPv4 or IPv6 address, such as 127.0.0.2"),
        }
    }
    Some(found)
}

fn proxy(review: &mut Review, node: &Node) -> Option<Proxy> {
    let expected = "a URL such as \"http://proxy:3128\" or \"socks5://proxy:1080\"";
    let text = shape::fixed(review, node, expected)?;
    let Some((scheme, rest)) = text.split_once("://") else { return wrong(review, node, expected) };
    let kind = match scheme {
        "http" => ProxyKind::Http,
        "socks5" | "socks5h" => ProxyKind::Socks5,
        _ => return wrong(review, node, expected),
    };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login.split_once(':').unwrap_or((login, ""))), rest),
        None => (None, rest),
    };
    let own = |text: &str| decode(text).filter(|text| text.len() <= 255);
    let login = match login {
        Some((user, password)) => match (own(user), own(password)) {
            (Some(user), Some(password)) => Some((user, password)),
            _ => return wrong(review, node, expected),
        },
        None => None,
    };
    match super::service::parse_url(&format!("http://{rest}")) {
        Ok(address) if address.prefix.is_empty() => {
            let named = rest.trim_end_matches('/').rsplit_once(':');
            let named = named.is_some_and(|(_, port)| port.parse() == Ok(address.port));
            let usual = if kind == ProxyKind::Http { 80 } else { 1_080 };
            let port = if named { address.port } else { usual };
            Some(Proxy { kind, host: address.host, port, login })
        }
        _ => wrong(review, node, expected),
    }
}

/// Percent-decoded; `None` when that is no text for a header.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || (bytes.next()? as char).to_digit(16);
        out.push(if byte == b'%' { (digit()? * 16 + digit()?) as u8 } else { byte });
    }
    String::from_utf8(out).ok().filter(|text| super::header::is_value(text))
}

fn dns(review: &mut Review, node: &Node) -> Option<Dns> {
    let mut fields = Fields::of(review, node, "`dns`")?;
    let ttl = fields.take("ttl").and_then(|node| match shape::scalar(node) {
        Some("run") => Some(Ttl::Run),
        Some("connection") => Some(Ttl::Connection),
        Some(text) if crate::units::parse_duration(text).is_ok() => {
            shape::some_duration(review, node).map(Ttl::For)
        }
        _ => wrong(review, node, "`run`, `connection` or a duration such as 30s"),
    });
    let picks = [("first", Pick::First), ("rotate", Pick::Rotate), ("random", Pick::Random)];
    let pick = fields.take("pick").and_then(|node| choice(review, node, &picks));
    let families = [("any", Family::Any), ("4", Family::V4), ("6", Family::V6)];
    let family = fields.take("family").and_then(|node| choice(review, node, &families));
    fields.finish(review);
    Some(Dns {
        ttl: ttl.unwrap_or_default(),
        pick: pick.unwrap_or_default(),
        family: family.unwrap_or_default(),
    })
}

fn http(review: &mut Review, node: &Node) -> Option<Version> {
    let mut fields = Fields::of(review, node, "`http`")?;
    let versions = [("auto", Version::Auto), ("1.1", Version::Http1), ("2", Version::Http2)];
    let version = fields.take("version").and_then(|node| choice(review, node, &versions));
    fields.finish(review);
    version
}

fn choice<T: Copy>(review: &mut Review, node: &Node, known: &[(&str, T)]) -> Option<T> {
    let said = shape::scalar(node);
    if let Some((_, value)) = known.iter().find(|(name, _)| Some(*name) == said) {
        return Some(*value);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    wrong(review, node, format!("one of {}", shape::list_names(&names)))
}

/// The header templates of a service.
pub(super) fn headers(review: &mut Review, node: &Node) -> Vec<(String, Template)> {
    let expected = "a map of headers, such as `{ accept: application/json }`";
    let Some(entries) = shape::entries(review, node, expected) else { return Vec::new() };
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
