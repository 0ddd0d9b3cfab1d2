//! Where calls go.
//!
//! `scenario` reads it, `run` starts what is built in, `wire` connects to it.
//! Invariant: an address has a host and a port; nothing is resolved here.

use std::net::IpAddr;
use std::time::Duration;

use crate::curve::Distribution;

/// A target by name.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name in the scenario.
    pub name: String,
    /// What stands behind it.
    pub target: Target,
    /// Headers sent with every call, as name and value.
    pub headers: Vec<(String, String)>,
    /// How long a call may take.
    pub timeout: Duration,
    /// Whether a certificate that cannot be verified is accepted.
    pub insecure: bool,
}

/// What stands behind a service.
#[derive(Clone, Debug)]
pub enum Target {
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

    /// Whether it shares the machine with the generator.
    pub fn is_local(&self) -> bool {
        match &self.target {
            Target::Builtin(_) => true,
            Target::Url(address) => {
                address.host == "localhost"
                    || address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            }
        }
    }
}

impl Address {
    /// `host:port` as the Host header wants it: IPv6 in brackets, the scheme's own port left out.
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let own_port = if self.tls { 443 } else { 80 };
        if self.port == own_port { host } else { format!("{host}:{}", self.port) }
    }
}
