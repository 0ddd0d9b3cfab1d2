//! The transport keys of a service: how it is reached.
//!
//! `service` calls it with the service's fields.
//! Invariant: a certificate and a key match; files are read here, once.

use std::net::IpAddr;

use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::files::FileRole;
use crate::plan::kafka::KafkaLoginMethod;
use crate::plan::transport::{
    Auth, ClientIdentity, DnsConfig, DnsTtl, HttpVersion, Login, Proxy, TlsConfig, TransportConfig,
};
use crate::protocol::Protocol;
use crate::redact::register_secret;
use crate::scenario::nouns::services::{
    AUTH, BASIC, DNS, FAMILIES, HTTP, MAX_SOURCES, ORDERS, TLS, VERSIONS,
};
use crate::scenario::service::{pem, transport_text};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{header, source, templates, values};
use crate::template::{Builder, Encoding};

/// Reads the transport keys of a service; `login` is that of its URL.
pub(crate) fn transport(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (protocol, login): (Protocol, Login),
) -> TransportConfig {
    let (mut auth, mut login) = (None, Some(login).filter(|login| *login != Login::default()));
    if let Some(node) = fields.take("auth") {
        if matches!(protocol, Protocol::Http | Protocol::Grpc) {
            auth = self::auth(diagnostics, node);
        } else {
            login = self::login(diagnostics, node, login);
        }
    }
    let tls = fields.take("tls").and_then(|node| tls(diagnostics, node));
    let connect_to = fields.take("connect_to").and_then(|node| host_and_port(diagnostics, node));
    let unix = fields.entry("unix");
    let path = unix.and_then(|(_, node)| {
        let text =
            values::plain_text(diagnostics, node, "the path of a socket, such as /run/app.sock")?;
        // The kernel's limit on the path of a socket.
        if text.is_empty() || text.len() > 107 || text.contains('\0') {
            return report_wrong(
                diagnostics,
                node,
                "a path of 1 to 107 bytes, such as /run/app.sock",
            );
        }
        Some(diagnostics.folders(node.span).swap_remove(0).join(text))
    });
    let sources = fields.take("source").and_then(|node| sources(diagnostics, node));
    let proxy = fields.entry("proxy");
    let chosen = proxy.and_then(|(_, node)| self::proxy(diagnostics, node));
    let dns = fields.take("dns").and_then(|node| dns(diagnostics, node));
    let version = fields.take("http").and_then(|node| http(diagnostics, node));
    let cluster = fields.entry("cluster");
    if let (Some((key, _)), true) = (cluster, protocol != Protocol::Redis) {
        let message = format!("`cluster` is no key of a service that speaks {}", protocol.name());
        diagnostics.mistake(key.span, message).expected("a URL such as \"redis://127.0.0.1\"");
    }
    let cluster = fields.value(diagnostics, "cluster");
    if let (Some((key, _)), Some(true)) = (unix, cluster) {
        diagnostics.mistake(key.span, "nodes of a cluster are named by host and port");
    }
    if let (Some(_), Some((key, _))) = (unix, proxy) {
        diagnostics.mistake(key.span, "`unix` and `proxy` exclude each other");
    }
    TransportConfig {
        auth,
        login,
        kafka_login: KafkaLoginMethod::default(),
        tls: tls.unwrap_or_default(),
        connect_to,
        bootstrap: Vec::new(),
        unix: path,
        sources: sources.unwrap_or_default(),
        proxy: chosen,
        dns: dns.unwrap_or_default(),
        version: version.unwrap_or_default(),
        cluster: cluster.unwrap_or(false),
        ping: None,
    }
}

fn auth(diagnostics: &mut Diagnostics, node: &Node) -> Option<Auth> {
    let mut fields = Fields::read(diagnostics, node, &AUTH)?;
    let basic = fields.take("basic").map(|node| basic(diagnostics, node));
    let bearer = fields.take("bearer").map(|node| {
        templates::template(diagnostics, node, Encoding::Header, &[], "a token").map(Auth::Bearer)
    });
    let before = diagnostics.count();
    fields.finish(diagnostics);
    match (basic, bearer) {
        (Some(auth), None) | (None, Some(auth)) => auth,
        _ if diagnostics.count() > before => None,
        _ => report_wrong(diagnostics, node, AUTH.form),
    }
}

/// Reads the login of a protocol other than HTTP; `known` is that of the URL.
fn login(diagnostics: &mut Diagnostics, node: &Node, known: Option<Login>) -> Option<Login> {
    let mut fields = Fields::read(diagnostics, node, &AUTH)?;
    if let Some((key, _)) = fields.entry("bearer") {
        diagnostics
            .mistake(key.span, "a token is for HTTP; this service has a login")
            .expected("`basic: { user: U, password: P }`");
    }
    let basic = fields.take("basic");
    fields.finish(diagnostics);
    let mut fields = Fields::read(diagnostics, basic?, &BASIC)?;
    let [user, password] = ["user", "password"].map(|name| fields.take(name));
    fields.finish(diagnostics);
    if known.as_ref().is_some_and(|login| login.user.is_some() || login.password.is_some()) {
        diagnostics
            .mistake(node.span, "the URL of this service has a login, too")
            .help("keep one of them: `auth`, so that no password stands in the URL");
    }
    let user = templates::constant(diagnostics, user?, "the name of a user");
    let password = templates::constant(diagnostics, password?, "a password");
    if let Some(password) = &password {
        let _ = register_secret(password);
    }
    Some(Login { user, password, database: known.and_then(|login| login.database) })
}

fn basic(diagnostics: &mut Diagnostics, node: &Node) -> Option<Auth> {
    let mut fields = Fields::read(diagnostics, node, &BASIC)?;
    let parts = ["user", "password"].map(|name| fields.take(name));
    fields.finish(diagnostics);
    let mut builder = Builder::new(&[]);
    for (part, name) in parts.into_iter().zip(["user", "password"]) {
        let node = part?;
        templates::template(diagnostics, node, Encoding::Header, &[], "a text")?;
        let text = values::scalar(node)?;
        // RFC 7617 §2: the first colon ends the user name.
        if name == "user" && text.contains(':') && !text.contains("{{") {
            return report_wrong(diagnostics, node, "a user's name without a colon");
        }
        builder.text(text, Encoding::Header).ok()?;
        if name == "user" {
            builder.literal(b":");
        }
    }
    Some(Auth::Basic(builder.build()))
}

fn tls(diagnostics: &mut Diagnostics, node: &Node) -> Option<TlsConfig> {
    let mut fields = Fields::read(diagnostics, node, &TLS)?;
    let insecure = fields.value(diagnostics, "insecure");
    let roots =
        fields.take("ca").map(|node| certificates(diagnostics, node, FileRole::Certificates));
    let chain = fields
        .entry("cert")
        .map(|(key, node)| (key, certificates(diagnostics, node, FileRole::ClientCertificate)));
    let key = fields.entry("key").map(|(key, node)| (key, node, self::key(diagnostics, node)));
    let server_name = fields.take("server_name").and_then(|node| server_name(diagnostics, node));
    fields.finish(diagnostics);
    let identity = match (chain, key) {
        (Some((_, chain)), Some((_, node, key))) => identity(diagnostics, node, chain?, key?),
        (Some((one, _)), None) | (None, Some((one, ..))) => {
            diagnostics
                .mistake(one.span, format!("`{}` alone has no effect", one.name))
                .expected("both `cert:` and `key:`");
            None
        }
        (None, None) => None,
    };
    let roots = roots.flatten().unwrap_or_default();
    Some(TlsConfig { insecure: insecure.unwrap_or(false), roots, identity, server_name })
}

fn file(diagnostics: &mut Diagnostics, node: &Node, role: FileRole, what: &str) -> Option<Vec<u8>> {
    values::plain_text(diagnostics, node, what)?;
    let path = values::file(diagnostics, node)?;
    source::bytes(diagnostics, &path, role, node.span)
}

fn certificates(
    diagnostics: &mut Diagnostics,
    node: &Node,
    role: FileRole,
) -> Option<Vec<CertificateDer<'static>>> {
    let bytes = file(diagnostics, node, role, pem::CERTIFICATES)?;
    let found = pem::certificates(&bytes);
    found.map_err(|error| diagnostics.mistake(node.span, error).expected(pem::CERTIFICATES)).ok()
}

fn key(diagnostics: &mut Diagnostics, node: &Node) -> Option<PrivateKeyDer<'static>> {
    let bytes = file(diagnostics, node, FileRole::PrivateKey, pem::KEY)?;
    pem::key(&bytes).map_err(|error| diagnostics.mistake(node.span, error).expected(pem::KEY)).ok()
}

fn identity(
    diagnostics: &mut Diagnostics,
    node: &Node,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Option<ClientIdentity> {
    let expected = "the private key of the first certificate of `cert`";
    let paired = pem::identity(chain, key);
    paired.map_err(|error| diagnostics.mistake(node.span, error).expected(expected)).ok()
}

fn server_name(diagnostics: &mut Diagnostics, node: &Node) -> Option<String> {
    let expected = "a name such as shop.example";
    let text = values::plain_text(diagnostics, node, expected)?;
    match ServerName::try_from(text) {
        Ok(_) => Some(text.to_owned()),
        Err(_) => report_wrong(diagnostics, node, expected),
    }
}

/// Reads `host:port`, IPv6 in brackets.
pub(super) fn host_and_port(diagnostics: &mut Diagnostics, node: &Node) -> Option<(String, u16)> {
    let text = values::plain_text(diagnostics, node, transport_text::ADDRESS)?;
    transport_text::address(text)
        .or_else(|| report_wrong(diagnostics, node, transport_text::ADDRESS))
}

fn sources(diagnostics: &mut Diagnostics, node: &Node) -> Option<Vec<IpAddr>> {
    let expected = "addresses of this machine, such as [127.0.0.2, 127.0.0.3]";
    let items = match &node.kind {
        NodeKind::List(items) if !items.is_empty() && items.len() <= MAX_SOURCES => {
            items.as_slice()
        }
        NodeKind::Text(_) => std::slice::from_ref(node),
        _ => return report_wrong(diagnostics, node, expected),
    };
    let mut found = Vec::new();
    for item in items {
        let text = values::plain_text(diagnostics, item, expected)?;
        match text.parse() {
            Ok(ip) => found.push(ip),
            Err(_) => {
                return report_wrong(
                    diagnostics,
                    item,
                    "an IPv4 or IPv6 address, such as 127.0.0.2",
                );
            }
        }
    }
    Some(found)
}

fn proxy(diagnostics: &mut Diagnostics, node: &Node) -> Option<Proxy> {
    let text = values::plain_text(diagnostics, node, transport_text::PROXY)?;
    transport_text::proxy(text).or_else(|| report_wrong(diagnostics, node, transport_text::PROXY))
}

fn dns(diagnostics: &mut Diagnostics, node: &Node) -> Option<DnsConfig> {
    let mut fields = Fields::read(diagnostics, node, &DNS)?;
    let ttl = fields.take("ttl").and_then(|node| match values::scalar(node) {
        Some("run") => Some(DnsTtl::Run),
        Some("connection") => Some(DnsTtl::Connection),
        Some(text) if crate::units::parse_duration(text).is_ok() => {
            values::positive_duration(diagnostics, node).map(DnsTtl::For)
        }
        _ => report_wrong(diagnostics, node, "`run`, `connection` or a duration such as 30s"),
    });
    let pick = fields.word(diagnostics, "pick", &ORDERS);
    let family = fields.word(diagnostics, "family", &FAMILIES);
    fields.finish(diagnostics);
    Some(DnsConfig {
        ttl: ttl.unwrap_or_default(),
        pick: pick.unwrap_or_default(),
        family: family.unwrap_or_default(),
    })
}

fn http(diagnostics: &mut Diagnostics, node: &Node) -> Option<HttpVersion> {
    let mut fields = Fields::read(diagnostics, node, &HTTP)?;
    let version = fields.word(diagnostics, "version", &VERSIONS);
    fields.finish(diagnostics);
    version
}

/// Reads the header templates of a service.
pub(crate) fn headers(diagnostics: &mut Diagnostics, node: &Node) -> header::Headers {
    let help = "headers that depend on a response belong to a step";
    header::templates(diagnostics, node, &[], Some(help))
}
