//! Address scopes: loopback, private network, public, cloud metadata service.
//!
//! `plan::safety` classifies each host and address before load is sent.
//! Invariant: an IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4) has the scope
//! of the IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The scope of an address or a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressScope {
    /// This machine: loopback, and the unspecified address, which connects to loopback.
    Loopback,
    /// A private network: RFC 1918, and fc00::/7 (RFC 4193).
    Private,
    /// Everything else, including link-local and shared address space.
    Public,
    /// A cloud's metadata service, which hands out credentials.
    Metadata,
}

/// Host names of metadata services.
const METADATA_NAMES: [&str; 4] =
    ["metadata.google.internal", "metadata.goog", "metadata", "instance-data.ec2.internal"];

/// IPv4 addresses of clouds' metadata services.
const METADATA_V4: [[u8; 4]; 5] = [
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [169, 254, 170, 23],
    [100, 100, 100, 200],
    [192, 0, 0, 192],
];

/// IPv6 addresses of clouds' metadata services.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Last labels that no public name has (RFC 2606, 6761, 6762, 8375, and ICANN's `internal`).
const PRIVATE_ENDINGS: [&str; 8] =
    ["test", "example", "invalid", "localhost", "local", "internal", "lan", "home.arpa"];

/// Labels that suggest a production system.
const LIVE_LABELS: [&str; 3] = ["prod", "production", "live"];

impl AddressScope {
    /// Classifies an address.
    pub fn from_ip(ip: IpAddr) -> Self {
        match embedded_ipv4(ip) {
            IpAddr::V4(ip) if METADATA_V4.contains(&ip.octets()) => Self::Metadata,
            IpAddr::V6(ip) if METADATA_V6.contains(&ip) => Self::Metadata,
            ip if ip.is_loopback() || ip.is_unspecified() => Self::Loopback,
            IpAddr::V4(ip) if ip.octets()[0] == 127 || ip.octets()[0] == 0 => Self::Loopback,
            IpAddr::V4(ip) if ip.is_private() => Self::Private,
            IpAddr::V6(ip) if ip.is_unique_local() => Self::Private,
            _ => Self::Public,
        }
    }

    /// Classifies a host by its name alone; `None` if only a look-up can tell.
    pub fn from_host(host: &str) -> Option<Self> {
        let name = normalize_host(host);
        if let Ok(ip) = name.parse() {
            return Some(Self::from_ip(ip));
        }
        if METADATA_NAMES.contains(&name.as_str()) {
            return Some(Self::Metadata);
        }
        (name == "localhost" || name.ends_with(".localhost")).then_some(Self::Loopback)
    }
}

/// Returns the IPv4 address that an IPv6 address embeds, else the address unchanged.
pub fn embedded_ipv4(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = ip else { return ip };
    let parts = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // Mapped, translated (RFC 2765), NAT64 (RFC 6052, 8215).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x64, 0xff9b, 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => four(high, low),
        // Compatible (deprecated), but neither :: nor ::1.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => four(high, low),
        _ => ip,
    }
}

/// Normalizes a host name for comparison: lower case, without brackets, final dot and zone.
pub fn normalize_host(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
    // A zone names a link, not another address.
    let bare = bare.split('%').next().unwrap_or(bare);
    bare.to_ascii_lowercase()
}

/// Whether a name cannot be public: a single label, or a name below a reserved ending.
pub fn is_private_name(host: &str) -> bool {
    let name = normalize_host(host);
    let below = |ending: &&str| name.strip_suffix(*ending).is_some_and(|rest| rest.ends_with('.'));
    !name.contains('.') || PRIVATE_ENDINGS.iter().any(below)
}

/// Returns the label that suggests production: `prod`, `production` or `live`, alone or next to a
/// hyphen, at any level; `www` if the name may be public.
pub fn live_label(host: &str) -> Option<String> {
    let name = normalize_host(host);
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    let mut labels = name.split('.');
    let www = name.starts_with("www.") && !is_private_name(&name);
    let live = labels.find(|label| label.split('-').any(|part| LIVE_LABELS.contains(&part)));
    live.or(www.then_some("www")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scope() {
        use AddressScope::{Loopback, Metadata, Private, Public};
        for (text, scope) in [
            ("127.0.0.1", Loopback),
            ("127.200.3.4", Loopback),
            ("0.0.0.0", Loopback),
            ("0.1.2.3", Loopback),
            ("::", Loopback),
            ("::1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:0.0.0.0", Loopback),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("172.32.0.0", Public),
            ("192.168.9.9", Private),
            ("::ffff:10.1.2.3", Private),
            ("64:ff9b::10.1.2.3", Private),
            ("fd12:3456::1", Private),
            ("fc00::1", Private),
            ("fe80::1", Public),
            ("169.254.1.1", Public),
            ("100.64.0.1", Public),
            ("8.8.8.8", Public),
            ("::ffff:8.8.8.8", Public),
            ("::8.8.8.8", Public),
            ("2002:808:808::1", Public),
            ("2001:4860:4860::8888", Public),
            ("255.255.255.255", Public),
            ("224.0.0.1", Public),
            ("ff02::1", Public),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("100.100.100.200", Metadata),
            ("::ffff:169.254.169.254", Metadata),
            ("::169.254.169.254", Metadata),
            ("64:ff9b::a9fe:a9fe", Metadata),
            ("2002:a9fe:a9fe::", Metadata),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
        ] {
            assert_eq!(AddressScope::from_ip(text.parse().unwrap()), scope, "{text}");
            assert_eq!(AddressScope::from_host(text), Some(scope), "{text}");
        }
        for (host, scope) in [
            ("localhost", Some(Loopback)),
            ("LocalHost.", Some(Loopback)),
            ("a.localhost", Some(Loopback)),
            ("Metadata.Google.Internal.", Some(Metadata)),
            ("[::1]", Some(Loopback)),
            ("fe80::1%eth0", Some(Public)),
            ("shop.example.com", None),
            ("2130706433", None),
        ] {
            assert_eq!(AddressScope::from_host(host), scope, "{host}");
        }
    }

    #[test]
    fn host_names_suggest_production_or_are_private() {
        for (host, label) in [
            ("prod.shop.com", Some("prod")),
            ("api.PROD.internal", Some("prod")),
            ("api-prod.shop.com", Some("api-prod")),
            ("production", Some("production")),
            ("live.shop.com", Some("live")),
            ("www.shop.com", Some("www")),
            ("www.shop.test", None),
            ("products.shop.com", None),
            ("alive.shop.com", None),
            ("staging.shop.com", None),
            ("10.0.0.1", None),
        ] {
            assert_eq!(live_label(host).as_deref(), label, "{host}");
        }
        for (host, private) in [
            ("shop", true),
            ("shop.test", true),
            ("a.b.example", true),
            ("nas.home.arpa", true),
            ("shop.example.com", false),
            ("latest", true),
            ("lo.latest", false),
        ] {
            assert_eq!(is_private_name(host), private, "{host}");
        }
    }
}
