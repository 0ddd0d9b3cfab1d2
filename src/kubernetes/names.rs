//! Names, quantities and addresses, checked by the rules of Kubernetes.
//!
//! `cli` parses its options with it.
//! Invariant: what is parsed is accepted by the API server, as far as its rules are published.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest label, and so the longest name of most objects.
const MAX_LABEL: usize = 63;

/// The longest name of a Secret, and of a host.
const MAX_SUBDOMAIN: usize = 253;

/// The longest reference of an image.
const MAX_IMAGE: usize = 512;

/// The port of Redis.
const REDIS_PORT: u16 = 6379;

/// A label of DNS (RFC 1123): the name of a run, a namespace, a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterName(String);

/// The reference of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference(String);

/// A quantity of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceQuantity(String);

/// A variable of the agents' environment, from a key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretVariable {
    /// Name of the variable.
    pub name: String,
    /// Name of the Secret.
    pub secret: ClusterName,
    /// The key of the Secret.
    pub key: String,
}

/// What agents may connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// As it was written.
    pub text: String,
    /// Where.
    pub host: DestinationHost,
    /// The port.
    pub port: u16,
}

/// Where a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationHost {
    /// A name of DNS.
    Name(String),
    /// A network, as an address and the length of its prefix.
    Network(IpAddr, u8),
}

/// The address of a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusLocation {
    /// The URL, without a password.
    pub url: String,
    /// The user in it.
    pub user: Option<String>,
    /// Host and port.
    pub destination: Destination,
}

impl FromStr for ClusterName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_label(text) {
            return Ok(Self(text.to_owned()));
        }
        Err("expected at most 63 characters a to z, 0 to 9 and `-`, with a letter or digit at both \
             ends, such as shop-7"
            .to_owned())
    }
}

impl FromStr for ImageReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        let has_ends = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.ends_with(|c: char| c.is_ascii_alphanumeric());
        if has_ends && text.len() <= MAX_IMAGE && text.chars().all(is_part) {
            return Ok(Self(text.to_owned()));
        }
        Err("expected an image, such as registry.example/manada:0.2.0".to_owned())
    }
}

impl FromStr for SecretVariable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected NAME=SECRET/KEY, such as API_TOKEN=shop/token; never the value itself"
                .to_owned()
        };
        let (name, place) = text.split_once('=').ok_or_else(expected)?;
        let (secret, key) = place.split_once('/').ok_or_else(expected)?;
        let is_key = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_key = !key.is_empty()
            && key.len() <= MAX_SUBDOMAIN
            && key.chars().all(is_key)
            && ![".", ".."].contains(&key);
        if !is_variable(name) || !is_key {
            return Err(expected());
        }
        let secret = secret.parse().map_err(|_| expected())?;
        Ok(Self { name: name.to_owned(), secret, key: key.to_owned() })
    }
}

impl FromStr for Destination {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            "expected HOST:PORT or CIDR:PORT, such as shop.example:443, 10.0.0.0/8:8080 or \
             [2001:db8::/32]:443"
                .to_owned()
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(expected)?;
        let port = port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(expected)?;
        let inner = host.strip_prefix('[').map(|rest| rest.strip_suffix(']'));
        let host = match inner {
            Some(inner) => inner.ok_or_else(expected)?,
            // Without brackets the last part of an address of IPv6 reads as a port.
            None if host.contains(':') => return Err(expected()),
            None => host,
        };
        let network = match host.split_once('/') {
            Some((address, prefix)) => Some(network(address, prefix).ok_or_else(expected)?),
            None => host.parse::<IpAddr>().ok().map(|ip| (ip, if ip.is_ipv4() { 32 } else { 128 })),
        };
        let host = match network {
            Some((address, prefix)) => DestinationHost::Network(address, prefix),
            None if inner.is_none() && is_subdomain(host) => DestinationHost::Name(host.to_owned()),
            None => return Err(expected()),
        };
        Ok(Self { text: text.to_owned(), host, port })
    }
}

impl FromStr for BusLocation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Without the text, which may contain a password.
        let expected = || "expected a URL such as rediss://redis.example:6379".to_owned();
        let rest = match text.split_once("://") {
            Some(("rediss", rest)) => rest,
            Some(("redis", _)) => {
                return Err(
                    "redis:// is not encrypted, and everything in the network of a cluster \
                            could read and change the run; use rediss://"
                        .to_owned(),
                );
            }
            _ => return Err(expected()),
        };
        let (place, database) = rest.split_once('/').unwrap_or((rest, ""));
        let is_database = database.is_empty() || database.parse::<u32>().is_ok();
        let (user, place) = match place.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, place),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err("the URL has a password, which everybody who can read the Job would see; \
                        write it to a Secret with the key `password`, and name it with \
                        `--bus-secret`"
                .to_owned());
        }
        let is_user = |c: char| c.is_ascii_alphanumeric() || "._~-%".contains(c);
        if !is_database || user.is_some_and(|user| user.is_empty() || !user.chars().all(is_user)) {
            return Err(expected());
        }
        let has_port = place.rsplit_once(':').is_some_and(|(host, _)| {
            !host.contains(':') || (host.starts_with('[') && host.ends_with(']'))
        });
        let place = if has_port { place.to_owned() } else { format!("{place}:{REDIS_PORT}") };
        let destination: Destination = place.parse().map_err(|_| expected())?;
        let is_here = match &destination.host {
            DestinationHost::Name(name) => name == "localhost",
            DestinationHost::Network(ip, _) => ip.is_loopback() || ip.is_unspecified(),
        };
        if is_here {
            return Err("agents in a cluster cannot reach this machine by that name; use an \
                        address that they can reach"
                .to_owned());
        }
        Ok(Self { url: text.to_owned(), user: user.map(str::to_owned), destination })
    }
}

/// Parses an amount of CPU: whole cores, or thousandths as `500m`.
///
/// # Errors
/// What was expected.
pub fn cpu(text: &str) -> Result<ResourceQuantity, String> {
    let digits = text.strip_suffix('m').unwrap_or(text);
    match number(digits, 1_000_000) {
        Some(_) => Ok(ResourceQuantity(text.to_owned())),
        None => Err("expected cores, such as 2 or 500m".to_owned()),
    }
}

/// Parses an amount of memory with a binary unit.
///
/// # Errors
/// What was expected.
pub fn memory(text: &str) -> Result<ResourceQuantity, String> {
    let units = ["Ki", "Mi", "Gi", "Ti"];
    let digits = units.into_iter().find_map(|unit| text.strip_suffix(unit));
    match digits.and_then(|digits| number(digits, 1_000_000_000)) {
        Some(_) => Ok(ResourceQuantity(text.to_owned())),
        None => Err("expected an amount of memory with its unit, such as 512Mi or 1Gi".to_owned()),
    }
}

/// A whole number above zero, without a sign or a leading zero.
fn number(digits: &str, most: u64) -> Option<u64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|number| is_plain && *number <= most)
}

fn network(address: &str, prefix: &str) -> Option<(IpAddr, u8)> {
    let address: IpAddr = address.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let is_plain = prefix == "0" || number(prefix, bits).is_some();
    let prefix = prefix.parse::<u8>().ok().filter(|_| is_plain)?;
    let is_base = match address {
        IpAddr::V4(ip) => u32::MAX.checked_shr(prefix.into()).unwrap_or(0) & u32::from(ip) == 0,
        IpAddr::V6(ip) => u128::MAX.checked_shr(prefix.into()).unwrap_or(0) & u128::from(ip) == 0,
    };
    is_base.then_some((address, prefix))
}

/// Whether a text is a label of DNS (RFC 1123).
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_LABEL).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether a text is a name of DNS.
fn is_subdomain(text: &str) -> bool {
    text.len() <= MAX_SUBDOMAIN
        && text.to_ascii_lowercase().split('.').all(is_label)
        // Otherwise it is an address with a mistake.
        && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

fn is_variable(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MAX_SUBDOMAIN
        && text.chars().all(is_inner)
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

impl ClusterName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ResourceQuantity {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
