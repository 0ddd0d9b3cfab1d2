//! How a service is reached: name, address, proxy, TLS, HTTP version, credentials.
//!
//! `scenario` reads it as part of a service, `wire` and `engine::request` use it.
//! Invariant: certificates and keys are parsed and match; names are not resolved here.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::plan::kafka::KafkaLoginMethod;
use crate::template::Template;

/// How a service is reached.
#[derive(Clone, Debug, Default)]
pub struct TransportConfig {
    /// Credentials, in an Authorization header.
    pub auth: Option<Auth>,
    /// What a connection of another protocol than HTTP says first; `None`: nothing.
    pub login: Option<Login>,
    /// How Kafka's connections say it.
    pub kafka_login: KafkaLoginMethod,
    /// TLS settings.
    pub tls: TlsConfig,
    /// Connect to this host and port instead; the Host header and the TLS name stay.
    pub connect_to: Option<(String, u16)>,
    /// Further addresses of a cluster of Kafka, tried in this order if the URL's takes no
    /// connection.
    pub bootstrap: Vec<(String, u16)>,
    /// Connect to this Unix socket instead.
    pub unix: Option<PathBuf>,
    /// Local addresses, assigned in turn by user number; empty: the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Proxy for all connections.
    pub proxy: Option<Proxy>,
    /// How the host name is looked up.
    pub dns: DnsConfig,
    /// The version of HTTP.
    pub version: HttpVersion,
    /// Whether it is a cluster of Redis, whose redirects are followed.
    pub cluster: bool,
    /// Pings of HTTP/2; `None`: none are sent.
    pub ping: Option<PingInterval>,
}

/// When a connection is asked whether its target is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingInterval {
    /// Silence of the target after which a ping is sent.
    pub after: Duration,
    /// Longest wait for the answer.
    pub pong: Duration,
}

impl PingInterval {
    /// The default of `pong`, which is that of WebSockets.
    pub const PONG: Duration = Duration::from_secs(10);
}

/// What a connection says before its first request.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; `None`: the server's default.
    pub user: Option<String>,
    /// The password; `None`: none is sent.
    pub password: Option<String>,
    /// The database; `None`: the server's default.
    pub database: Option<String>,
}

/// Without the password.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Login");
        shown.field("user", &self.user).field("database", &self.database);
        shown.finish_non_exhaustive()
    }
}

/// Credentials, in an Authorization header.
#[derive(Clone, Debug)]
pub enum Auth {
    /// `user:password` (RFC 7617).
    Basic(Template),
    /// A token (RFC 6750).
    Bearer(Template),
}

/// TLS settings.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// Whether a certificate that cannot be verified is accepted.
    pub insecure: bool,
    /// Roots to trust instead of the system's; empty: the system's.
    pub roots: Vec<CertificateDer<'static>>,
    /// The client certificate.
    pub identity: Option<ClientIdentity>,
    /// Name to send and verify instead of the URL's host.
    pub server_name: Option<String>,
}

/// A client certificate with its key.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The chain, its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// A proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Protocol of the proxy.
    pub kind: ProxyKind,
    /// Name or literal address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User and password.
    pub login: Option<(String, String)>,
}

/// The protocol of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP: whole URLs for http, CONNECT for https (RFC 9112 §3.2.2, RFC 9110 §9.3.6).
    Http,
    /// SOCKS 5 (RFC 1928); the proxy resolves names.
    Socks5,
}

/// How a host name is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// How long a result is cached.
    pub ttl: DnsTtl,
    /// Which of several addresses is tried first.
    pub pick: AddressOrder,
    /// Address families to use.
    pub family: AddressFamily,
}

/// How long the result of a look-up is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsTtl {
    /// For the whole run, on each shard.
    #[default]
    Run,
    /// For one connection.
    Connection,
    /// For this time.
    For(Duration),
}

/// Which of several addresses is tried first; the others follow in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressOrder {
    /// The first one of the resolver's result.
    #[default]
    First,
    /// The next one for each connection of a shard.
    Rotate,
    /// A random one for each connection.
    Random,
}

/// Address families to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// Both.
    #[default]
    Any,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The version of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 over plain TCP; over TLS the target selects 1.1 or 2.
    Auto,
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: prior knowledge over plain TCP, ALPN over TLS.
    Http2,
}

impl Proxy {
    /// Returns the value of Proxy-Authorization; `None` without a login.
    pub fn authorization(&self) -> Option<String> {
        let (user, password) = self.login.as_ref()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }
}

/// The emulated network of a user, such as mobile or a distant country.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkProfile {
    /// Added to each round trip.
    pub latency: Duration,
    /// Bytes per second to the user; `None`: unlimited.
    pub down: Option<u64>,
    /// Bytes per second from the user; `None`: unlimited.
    pub up: Option<u64>,
}
