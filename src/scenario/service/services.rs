//! `services:` — the targets of calls.
//!
//! Invariant: a compiled service has an address or is built in; names are unique.

use crate::plan::broker::{MqttSettings, MqttVersion};
use crate::plan::service::Builtin;
use crate::plan::stream::WebSocketSettings;
use crate::plan::transport::Login;
use crate::plan::{Address, Backends, Service, ServiceTarget};
use crate::protocol::Protocol;
use crate::scenario::nouns::brokers::{MQTT, VERSIONS};
use crate::scenario::nouns::services::{BUILTIN, SERVICE};
use crate::scenario::nouns::streams::WS;
use crate::scenario::service::backends::{self, BalancingKeys};
use crate::scenario::service::url::service_address;
use crate::scenario::service::{grpc, health, kafka, transport};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::node::{Node, NodeKind};
use crate::scenario::syntax::values::report_wrong;
use crate::scenario::syntax::{distribution, header, metadata, values};

const EXPECTED: &str = "a URL such as \"http://127.0.0.1:8080\", `builtin`, \
                        or a map with `url` or `builtin`";

/// Compiles all services in file order; the first is the default.
pub(crate) fn services(diagnostics: &mut Diagnostics, node: &Node) -> Vec<Service> {
    let expected = "a map of services, such as `shop: builtin`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    if entries.is_empty() {
        report_wrong::<()>(diagnostics, node, expected);
    }
    let (mut services, mut others) = (Vec::new(), Vec::new());
    for (key, node) in entries {
        // A service with mistakes keeps its name, so that steps that use it are not reported as
        // well.
        let placeholder = Service::new(&key.name, ServiceTarget::Builtin(Builtin::default()));
        let mut targets = Vec::new();
        let service = service(diagnostics, &key.name, node, &mut targets);
        services.push(service.unwrap_or(placeholder));
        others.push(targets);
    }
    backends::add_members(&mut services, others);
    services
}

/// Reads a service; `others` gets the targets of its backends behind the first one.
fn service(
    diagnostics: &mut Diagnostics,
    name: &str,
    node: &Node,
    others: &mut Vec<ServiceTarget>,
) -> Option<Service> {
    let plain = |target| Service::new(name, target);
    match &node.kind {
        NodeKind::Text(text) if text == "builtin" => {
            Some(plain(ServiceTarget::Builtin(Builtin::default())))
        }
        NodeKind::Text(text) => {
            let is_websocket = is_websocket(text);
            let (address, login) = url(diagnostics, node)?;
            let login = Some(login).filter(|login| *login != Login::default());
            let mut service = plain(ServiceTarget::Url(address));
            service.transport.login = login;
            grpc::report_absent(diagnostics, node, service.protocol());
            service.use_http2_for_grpc();
            Some(Service { is_websocket, ..service })
        }
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, node, &SERVICE)?;
            let mut login = Login::default();
            let (target, backends) = target(diagnostics, &mut fields, (others, &mut login));
            let protocol = match &target {
                Some(ServiceTarget::Url(address)) => address.protocol,
                _ => Protocol::Http,
            };
            if target.is_some() {
                report_keys_of_http(diagnostics, &mut fields, protocol);
            }
            let health = fields.take("health").and_then(|node| health::health(diagnostics, node));
            let headers = headers(diagnostics, &mut fields, protocol);
            let timeout = fields.value(diagnostics, "timeout");
            let mut transport = transport::transport(diagnostics, &mut fields, (protocol, login));
            let cookies = fields.value(diagnostics, "cookies");
            let compress = fields.value(diagnostics, "compress");
            let contents = fields.value(diagnostics, "contents");
            let redirects = fields.value(diagnostics, "redirects");
            let ws = fields.take("ws").map(|node| websocket(diagnostics, node));
            let url = fields.entry("url").and_then(|(_, node)| values::scalar(node));
            let first = fields.entry("urls").and_then(|(_, node)| backends::first_url(node));
            let speaks = (protocol, &mut transport);
            let grpc = grpc::of_service(diagnostics, (name, node, &mut fields), speaks);
            let mqtt = fields.take("mqtt").map(|node| self::mqtt(diagnostics, node));
            let kafka = kafka::of_service(diagnostics, &mut fields, &mut transport);
            let is_websocket = url.or(first).is_some_and(is_websocket);
            report_tls_over_socket(diagnostics, &mut fields, target.as_ref());
            fields.finish(diagnostics);
            let mut service = Service {
                headers,
                timeout: timeout.unwrap_or(Service::TIMEOUT),
                transport,
                cookies: cookies.unwrap_or(true),
                redirects,
                compress: compress.unwrap_or(false),
                contents: contents.unwrap_or(false),
                is_websocket,
                ws: ws.unwrap_or_default(),
                mqtt: mqtt.unwrap_or_default(),
                kafka,
                backends,
                health,
                grpc,
                ..plain(target?)
            };
            service.use_http2_for_grpc();
            Some(service)
        }
        _ => report_wrong(diagnostics, node, EXPECTED),
    }
}

/// The headers of all calls of a service.
fn headers(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    protocol: Protocol,
) -> header::Headers {
    let Some(node) = fields.take("headers") else { return Vec::new() };
    if protocol == Protocol::Grpc {
        metadata::check(diagnostics, node);
    }
    transport::headers(diagnostics, node)
}

/// The target of a service, and its backends if it has several addresses.
fn target(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (others, login): (&mut Vec<ServiceTarget>, &mut Login),
) -> (Option<ServiceTarget>, Option<Box<Backends>>) {
    let given = [fields.entry("url"), fields.entry("urls"), fields.entry("builtin")];
    let balancing = BalancingKeys::read(diagnostics, fields);
    match given {
        [Some((_, node)), None, None] => {
            balancing.report_unused(diagnostics);
            let url = url(diagnostics, node).map(|(address, of_url)| {
                *login = of_url;
                ServiceTarget::Url(address)
            });
            (url, None)
        }
        [None, Some((_, node)), None] => match backends::urls(diagnostics, node) {
            Some(addresses) => {
                let (urls, weights): (Vec<_>, Vec<_>) = addresses.into_iter().unzip();
                let mut targets = urls.into_iter().map(ServiceTarget::Url);
                let first = targets.next();
                others.extend(targets);
                (first, Some(Box::new(balancing.backends(weights))))
            }
            None => (None, None),
        },
        [None, None, Some((_, node))] => {
            let builtin = self::builtin(diagnostics, node);
            let count = builtin.as_ref().map_or(1, |builtin| builtin.instances.max(1));
            let target = builtin.map(ServiceTarget::Builtin);
            if count == 1 {
                balancing.report_unused(diagnostics);
                return (target, None);
            }
            others.extend(target.iter().cycle().take(count as usize - 1).cloned());
            let backends = balancing.backends(vec![1; count as usize]);
            (target, Some(Box::new(backends)))
        }
        [None, None, None] => {
            let known = ["url", "urls", "builtin", "headers", "auth", "timeout", "tls", "http"];
            diagnostics
                .mistake(fields.span(), "this service has no address")
                .expected("`url:`, `urls:` or `builtin:`")
                .help(format!("a service can have {}", values::list_names(&known)));
            (None, None)
        }
        several => {
            let keys: Vec<_> = several.into_iter().flatten().map(|(key, _)| key).collect();
            let message =
                format!("a service has either `{}` or `{}`, not both", keys[0].name, keys[1].name);
            diagnostics.mistake(keys[1].span, message);
            (None, None)
        }
    }
}

/// Whether a URL is that of a WebSocket server.
fn is_websocket(url: &str) -> bool {
    url.get(..2).is_some_and(|scheme| scheme.eq_ignore_ascii_case("ws"))
}

fn websocket(diagnostics: &mut Diagnostics, node: &Node) -> WebSocketSettings {
    let mut settings = WebSocketSettings::default();
    let Some(mut fields) = Fields::read(diagnostics, node, &WS) else { return settings };
    settings.ping = fields.value(diagnostics, "ping");
    fields.fill(diagnostics, "pong", &mut settings.pong);
    fields.fill(diagnostics, "deflate", &mut settings.deflate);
    fields.fill(diagnostics, "max_message", &mut settings.max_message);
    fields.finish(diagnostics);
    settings
}

fn mqtt(diagnostics: &mut Diagnostics, node: &Node) -> MqttSettings {
    let mut settings = MqttSettings::default();
    let Some(mut fields) = Fields::read(diagnostics, node, &MQTT) else { return settings };
    if let Some(version) = fields.word(diagnostics, "version", &VERSIONS) {
        settings.version = version;
    }
    fields.fill(diagnostics, "keep_alive", &mut settings.keep_alive);
    fields.fill(diagnostics, "clean", &mut settings.clean);
    let expiry = fields.entry("expiry");
    fields.fill(diagnostics, "expiry", &mut settings.session_expiry);
    if let (Some((key, _)), MqttVersion::V311) = (expiry, settings.version) {
        diagnostics.mistake(key.span, "MQTT 3.1.1 has no `expiry`").help("set `version: 5`");
    }
    fields.fill(diagnostics, "max_packet", &mut settings.max_packet);
    fields.finish(diagnostics);
    settings
}

fn builtin(diagnostics: &mut Diagnostics, node: &Node) -> Option<Builtin> {
    if matches!(node.kind, NodeKind::Null | NodeKind::Bool(true)) {
        return Some(Builtin::default());
    }
    let mut fields = Fields::read(diagnostics, node, &BUILTIN)?;
    let latency = fields.take("latency").map(|node| distribution::latency(diagnostics, node));
    let servers = fields.value(diagnostics, "servers");
    let instances = fields.value(diagnostics, "instances").unwrap_or(1);
    fields.finish(diagnostics);
    Some(Builtin { latency: latency.flatten(), servers, instances })
}

/// Reports TLS over a Unix socket.
fn report_tls_over_socket(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    target: Option<&ServiceTarget>,
) {
    let secure = matches!(target, Some(ServiceTarget::Url(address)) if address.tls);
    if let (Some((key, _)), true) = (fields.entry("unix"), secure) {
        diagnostics
            .mistake(key.span, "TLS over a `unix` socket is not supported")
            .expected("an http URL with `unix`");
    }
}

/// Reports keys that only services of HTTP have, or only those of a stream of bytes.
fn report_keys_of_http(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>, protocol: Protocol) {
    if protocol != Protocol::Grpc
        && let Some((key, _)) = fields.entry("grpc")
    {
        let message = format!("`grpc` is no key of a service that speaks {}", protocol.name());
        diagnostics.mistake(key.span, message).expected("a URL such as \"grpc://127.0.0.1:50051\"");
    }
    if protocol != Protocol::Mqtt
        && let Some((key, _)) = fields.entry("mqtt")
    {
        let message = format!("`mqtt` is no key of a service that speaks {}", protocol.name());
        diagnostics.mistake(key.span, message).expected("a URL such as \"mqtt://127.0.0.1\"");
    }
    if protocol != Protocol::Kafka
        && let Some((key, _)) = fields.entry("kafka")
    {
        let message = format!("`kafka` is no key of a service that speaks {}", protocol.name());
        diagnostics.mistake(key.span, message).expected("a URL such as \"kafka://127.0.0.1\"");
    }
    if protocol == Protocol::Http {
        return;
    }
    let is_grpc = protocol == Protocol::Grpc;
    let has_login = is_grpc || protocol.has_login();
    let is_datagram = matches!(protocol, Protocol::Udp | Protocol::Dns);
    let keys = OF_HTTP.into_iter().map(|key| (key, !is_grpc || key != "headers")).chain([
        ("auth", !has_login),
        ("unix", is_datagram),
        ("tls", is_datagram),
    ]);
    for (key, is_foreign) in keys {
        if let Some((key, _)) = fields.entry(key).filter(|_| is_foreign) {
            let message =
                format!("`{}` is no key of a service that speaks {}", key.name, protocol.name());
            diagnostics.mistake(key.span, message).help("remove it");
        }
    }
}

/// Keys that only services of HTTP have.
const OF_HTTP: [&str; 10] = [
    "headers",
    "cookies",
    "redirects",
    "compress",
    "contents",
    "ws",
    "http",
    "proxy",
    "health",
    "balance",
];

fn url(diagnostics: &mut Diagnostics, node: &Node) -> Option<(Address, Login)> {
    let text = values::plain_text(diagnostics, node, EXPECTED)?;
    let expected = "a URL such as \"http://127.0.0.1:8080\" or \"redis://127.0.0.1\", or `builtin`";
    service_address(diagnostics, node, text, expected)
}
