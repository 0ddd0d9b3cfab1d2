//! Services: the targets of calls.
//!
//! `scenario` reads them, `run` starts the built-in target, `wire` connects to them.
//! Invariant: an address has a host and a port; names are not resolved here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::backends::Backends;
use super::broker::MqttSettings;
use super::health::HealthPolicy;
use super::kafka::KafkaSettings;
use super::stream::WebSocketSettings;
use super::transport::{HttpVersion, TransportConfig};
use crate::curve::Distribution;
use crate::grpc::GrpcSettings;
use crate::ids::ServiceId;
use crate::protocol::{Protocol, Scheme};
use crate::template::Template;

/// A named target.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name of the service in the scenario.
    pub name: String,
    /// URL of the service, or the built-in target.
    pub target: ServiceTarget,
    /// Headers sent with every call; values are templates without variables.
    pub headers: Vec<(String, Template)>,
    /// Default timeout of a call.
    pub timeout: Duration,
    /// How connections to it are made.
    pub transport: TransportConfig,
    /// Whether users keep cookies of the service.
    pub cookies: bool,
    /// Maximum redirects a call follows, unless its step sets it; `None`: 3xx are final responses.
    pub redirects: Option<u32>,
    /// Whether to request compressed responses.
    pub compress: bool,
    /// Whether bodies are counted by content type, which keeps and decodes all of them.
    pub contents: bool,
    /// Whether its URL is `ws` or `wss`: a stream that is opened by its path is a WebSocket.
    pub is_websocket: bool,
    /// Settings of its WebSockets.
    pub ws: WebSocketSettings,
    /// Its methods and settings, if it speaks gRPC.
    pub grpc: Option<Arc<GrpcSettings>>,
    /// Settings of its sessions, if it speaks MQTT.
    pub mqtt: MqttSettings,
    /// Settings of Kafka.
    pub kafka: KafkaSettings,
    /// Its backends; `None` if it has a single address.
    pub backends: Option<Box<Backends>>,
    /// The service whose backend it is, if it is not the first one.
    pub backend_of: Option<ServiceId>,
    /// How its health is checked; `None`: it is not. Backends have that of their service.
    pub health: Option<HealthPolicy>,
}

/// The target of a service.
#[derive(Clone, Debug)]
pub enum ServiceTarget {
    /// A given URL.
    Url(Address),
    /// The built-in target, started beside the run with these settings.
    Builtin(Builtin),
}

/// The origin of a URL and the path prefix of all steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// What is spoken there.
    pub protocol: Protocol,
    /// Whether over TLS.
    pub tls: bool,
    /// Name or literal address, without brackets.
    pub host: String,
    /// Port, explicit or the scheme's default.
    pub port: u16,
    /// Path prefix without a trailing slash: empty, or `/api`.
    pub prefix: String,
}

/// Settings of the built-in target.
#[derive(Clone, Debug, Default)]
pub struct Builtin {
    /// Service time of the test server; `None`: it responds at once.
    pub latency: Option<Distribution>,
    /// Maximum concurrent requests; `None`: unlimited.
    pub servers: Option<u32>,
    /// Number of servers, each of them a backend; 0 counts as 1.
    pub instances: u32,
}

impl Service {
    /// Default timeout of a call.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// The path prefixes of the service and its backends.
    pub fn prefixes(&self) -> Vec<String> {
        let others = self.backends.iter().flat_map(|all| &all.prefixes).cloned();
        std::iter::once(self.prefix().to_owned()).chain(others).collect()
    }

    /// Builds a service with default settings.
    pub fn new(name: &str, target: ServiceTarget) -> Self {
        Self {
            name: name.to_owned(),
            target,
            headers: Vec::new(),
            timeout: Self::TIMEOUT,
            transport: TransportConfig::default(),
            cookies: true,
            redirects: None,
            compress: false,
            contents: false,
            is_websocket: false,
            ws: WebSocketSettings::default(),
            grpc: None,
            mqtt: MqttSettings::default(),
            kafka: KafkaSettings::default(),
            backends: None,
            backend_of: None,
            health: None,
        }
    }

    /// Name of the service as a backend: its URL, or its number for a built-in target.
    pub fn backend_name(&self, number: usize) -> String {
        match &self.target {
            ServiceTarget::Url(address) => address.origin(),
            ServiceTarget::Builtin(_) => format!("builtin {}", number + 1),
        }
    }

    /// Sets what gRPC needs of its transport, if that is what it speaks: HTTP/2, and no cookies.
    pub fn use_http2_for_grpc(&mut self) {
        if self.protocol() == Protocol::Grpc {
            self.transport.version = HttpVersion::Http2;
            self.cookies = false;
        }
    }

    /// What the service speaks.
    pub fn protocol(&self) -> Protocol {
        match &self.target {
            ServiceTarget::Url(address) => address.protocol,
            ServiceTarget::Builtin(_) => Protocol::Http,
        }
    }

    /// Path prefix of the service.
    pub fn prefix(&self) -> &str {
        match &self.target {
            ServiceTarget::Url(address) => &address.prefix,
            ServiceTarget::Builtin(_) => "",
        }
    }

    /// Whether the service runs on the generator's machine.
    pub fn is_local(&self) -> bool {
        let local = |host: &str| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        let is_own_local = match &self.target {
            _ if self.transport.connect_to.is_some() => {
                self.transport.connect_to.iter().all(|(host, _)| local(host))
            }
            _ if self.transport.unix.is_some() => true,
            ServiceTarget::Builtin(_) => true,
            ServiceTarget::Url(address) => local(&address.host),
        };
        is_own_local && self.transport.bootstrap.iter().all(|(host, _)| local(host))
    }
}

impl Address {
    /// Returns `http://host:port` and the prefix, or another scheme.
    pub fn origin(&self) -> String {
        let scheme = self.scheme().name;
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }

    /// Whether its protocol, other than HTTP, goes over WebSocket at its path.
    pub fn is_over_websocket(&self) -> bool {
        self.protocol == Protocol::Mqtt && !self.prefix.is_empty()
    }

    fn scheme(&self) -> Scheme {
        if self.is_over_websocket() {
            Scheme::over_websocket(self.tls)
        } else {
            Scheme::for_protocol(self.protocol, self.tls)
        }
    }

    /// Returns `host:port` for the Host header: IPv6 in brackets, the scheme's default port left
    /// out.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own_port = self.scheme().port;
        if own_port == Some(self.port) { host } else { format!("{host}:{}", self.port) }
    }
}
