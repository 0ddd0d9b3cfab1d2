//! Where calls go.
//!
//! `scenario` reads it, `run` starts what is built in, `wire` connects to it.
//! Invariant: an address has a host and a port; nothing is resolved here.

use std::net::IpAddr;
use std::time::Duration;

use super::transport::TransportConfig;
use crate::curve::Distribution;
use crate::template::Template;

/// A target by name.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the scenario.
    pub name: String,
    /// What stands behind it.
    pub target: ServiceTarget,
    /// Headers sent with every call; values are templates without variables.
    pub headers: Vec<(String, Template)>,
    /// How long a call may take.
    pub timeout: Duration,
    /// How it is reached.
    pub reach: TransportConfig,
    /// Whether its users keep cookies.
    pub cookies: bool,
    /// How many redirects a call follows where its step says nothing; none: 3xx are answers.
    pub redirects: Option<u32>,
    /// Whether compressed answers are asked for.
    pub compress: bool,
}

/// What stands behind a service.
#[derive(Clone, Debug)]
pub enum ServiceTarget {
    /// A given URL.
    Url(Address),
    /// The built-in target, started beside the run with these settings.
    Builtin(Builtin),
}

/// The origin of a URL, and the path all steps are below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether it is `https`.
    pub tls: bool,
    /// Name or literal address, without brackets.
    pub host: String,
    /// Port, given or the scheme's own.
    pub port: u16,
    /// Path prefix without a trailing slash: empty, or `/api`.
    pub prefix: String,
}

/// What a scenario may set on the built-in target.
#[derive(Clone, Debug, Default)]
pub struct Builtin {
    /// The law of its service time; none: it answers at once.
    pub latency: Option<Distribution>,
    /// How many requests it serves at once; none: as many as come.
    pub servers: Option<u32>,
}

impl Service {
    /// How long a call may take where nothing is said.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// One of which nothing is said but what stands behind it.
    pub fn plain(name: &str, target: ServiceTarget) -> Self {
        Self {
            name: name.to_owned(),
            target,
            headers: Vec::new(),
            timeout: Self::TIMEOUT,
            reach: TransportConfig::default(),
            cookies: true,
            redirects: None,
            compress: false,
        }
    }

    /// Whether it shares the machine with the generator.
    pub fn is_local(&self) -> bool {
        let local = |host: &str| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        if let Some((host, _)) = &self.reach.connect_to {
            return local(host);
        }
        match &self.target {
            _ if self.reach.unix.is_some() => true,
            ServiceTarget::Builtin(_) => true,
            ServiceTarget::Url(address) => local(&address.host),
        }
    }
}

impl Address {
    /// `http://host:port` and the prefix.
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.prefix)
    }

    /// `host:port` as the Host header wants it: IPv6 in brackets, the scheme's own port left out.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own_port = if self.tls { 443 } else { 80 };
        if self.port == own_port { host } else { format!("{host}:{}", self.port) }
    }
}
