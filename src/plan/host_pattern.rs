//! Patterns for hosts: names with `*`, addresses and networks.
//!
//! `safety` and `allowed_targets` compare hosts with them.
//! Invariant: a name never matches a network, and an IPv4 address within an IPv6 one is that IPv4
//! address.

use std::net::IpAddr;

use super::{address_scope, endpoint_pattern};

/// A pattern for hosts, by name or by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// A name in lower case, in which `*` matches anything.
    Name(String),
    /// A network: an address and the length of its prefix, bits.
    Net(IpAddr, u8),
}

impl HostPattern {
    /// Reads `*.staging.example`, `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = address_scope::normalize_host(text.trim());
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits.parse::<u8>().ok()?)),
            None => (text.as_str(), None),
        };
        if let Ok(ip) = base.parse::<IpAddr>() {
            let all = if ip.is_ipv4() { 32 } else { 128 };
            let bits = bits.unwrap_or(all);
            return (bits <= all).then_some(Self::Net(ip, bits));
        }
        let of_name = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
        let is_name = bits.is_none() && !text.is_empty() && text.chars().all(of_name);
        is_name.then_some(Self::Name(text))
    }

    /// Whether it matches a normalized name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let Self::Name(pattern) = self else { return false };
        endpoint_pattern::matches(pattern.as_bytes(), name.as_bytes())
    }

    /// Whether it contains an address, also one of IPv4 within one of IPv6.
    pub(super) fn has_address(&self, ip: IpAddr) -> bool {
        let Self::Net(base, bits) = *self else { return false };
        let same = |a: u128, b: u128, width: u32| {
            let shift = width - u32::from(bits);
            shift >= 128 || a >> shift == b >> shift
        };
        match (base, ip, address_scope::embedded_ipv4(ip)) {
            (IpAddr::V4(a), _, IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b), _) => same(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}
