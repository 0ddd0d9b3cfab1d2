//! The targets that an agent may connect to, by its own command line: they win over any plan.
//!
//! `cli` parses them, `wire` asks before each connection, once the address is known.
//! Invariant: what no entry names is refused. A network never permits a name whose address only a
//! proxy will know, and no entry for hosts permits a Unix socket.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::address_scope;
use super::host_pattern::HostPattern;

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedTarget {
    /// As it was written.
    text: String,
    place: AllowedPlace,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum AllowedPlace {
    /// All hosts and ports.
    Any,
    /// A host, at one port or all.
    Host(HostPattern, Option<u16>),
    /// A Unix socket.
    Socket(PathBuf),
}

/// The targets that an agent may connect to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedTargets(Vec<AllowedTarget>);

const EXPECTED: &str = "expected HOST[:PORT] or CIDR[:PORT], such as shop.example:443, \
                        10.0.0.0/8:8080 or [2001:db8::/32]:443; unix:/PATH of a socket; or `any`";

impl FromStr for AllowedTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let place = place(text).ok_or_else(|| EXPECTED.to_owned())?;
        Ok(Self { text: text.to_owned(), place })
    }
}

impl AllowedTarget {
    /// The only port that it allows; `None` if it allows all, or is a socket.
    pub fn port(&self) -> Option<u16> {
        match self.place {
            AllowedPlace::Host(_, port) => port,
            AllowedPlace::Any | AllowedPlace::Socket(_) => None,
        }
    }

    /// The path of the Unix socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            AllowedPlace::Socket(path) => Some(path),
            AllowedPlace::Any | AllowedPlace::Host(..) => None,
        }
    }
}

fn place(text: &str) -> Option<AllowedPlace> {
    if text == "any" {
        return Some(AllowedPlace::Any);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return path.starts_with('/').then(|| AllowedPlace::Socket(path.into()));
    }
    let (host, port) = match text.rsplit_once(':') {
        // In brackets, or with colons of its own: an address of IPv6.
        Some((_, rest)) if text.starts_with('[') && rest.ends_with(']') => (text, None),
        Some((host, port)) if text.starts_with('[') || !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    };
    let port = match port {
        Some(port) => Some(port.parse().ok().filter(|port: &u16| *port > 0)?),
        None => None,
    };
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => host,
    };
    Some(AllowedPlace::Host(HostPattern::parse(host)?, port))
}

impl AllowedTargets {
    /// Makes the list.
    pub fn new(targets: Vec<AllowedTarget>) -> Self {
        Self(targets)
    }

    /// Returns why a host may not be connected to; `None` if it may, or if only its address, which
    /// is `None` before a look-up, can tell. `is_final`: the address will never be known here,
    /// because a proxy resolves the name.
    pub fn refusal(
        &self,
        host: &str,
        ip: Option<IpAddr>,
        port: u16,
        is_final: bool,
    ) -> Option<String> {
        let name = address_scope::normalize_host(host);
        let ip = ip.or_else(|| name.parse().ok());
        let permits = |target: &AllowedTarget| match &target.place {
            AllowedPlace::Any => true,
            AllowedPlace::Socket(_) => false,
            AllowedPlace::Host(_, only) if only.is_some_and(|only| only != port) => false,
            AllowedPlace::Host(host, _) => match ip {
                Some(ip) => host.has_address(ip) || host.has_name(&name),
                None => host.has_name(&name) || !is_final && matches!(host, HostPattern::Net(..)),
            },
        };
        if self.0.iter().any(permits) {
            return None;
        }
        let shown = if name.contains(':') { format!("[{name}]") } else { name.clone() };
        let address = ip.filter(|ip| name.parse() != Ok(*ip));
        let address = address.map_or(String::new(), |ip| format!(" ({ip})"));
        Some(format!(
            "{shown}:{port}{address} is not among the targets that this agent allows ({self}); if \
             it may load it, start it with `--allow {shown}:{port}`"
        ))
    }

    /// Returns why a Unix socket may not be connected to; `None` if it may.
    pub fn socket_refusal(&self, path: &Path) -> Option<String> {
        let permits = |target: &AllowedTarget| match &target.place {
            AllowedPlace::Socket(own) => own == path,
            _ => false,
        };
        let path = path.display();
        (!self.0.iter().any(permits)).then(|| {
            format!(
                "the socket {path} is not among the targets that this agent allows ({self}); if it \
                 may load it, start it with `--allow unix:{path}`"
            )
        })
    }
}

impl fmt::Display for AllowedTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.0.iter().map(|target| target.text.as_str()).collect();
        f.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> AllowedTargets {
        AllowedTargets::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn entries_permit_hosts_networks_and_ports_and_nothing_else() {
        for (entry, host, ip, port, is_permitted) in [
            ("any", "shop.test", "10.0.0.1", 80, true),
            ("shop.test", "Shop.Test.", "10.0.0.1", 80, true),
            ("shop.test:443", "shop.test", "10.0.0.1", 443, true),
            ("shop.test:443", "shop.test", "10.0.0.1", 80, false),
            ("shop.test", "shop.test.evil.example", "10.0.0.1", 80, false),
            ("*.test:80", "a.test", "10.0.0.1", 80, true),
            ("10.0.0.0/8:80", "shop.test", "10.9.0.1", 80, true),
            ("10.0.0.0/8:80", "shop.test", "11.0.0.1", 80, false),
            ("10.0.0.0/8:80", "10.x.evil.example", "11.0.0.1", 80, false),
            ("10.0.0.1", "10.0.0.1", "10.0.0.1", 9, true),
            ("10.0.0.1", "::ffff:10.0.0.1", "::ffff:10.0.0.1", 9, true),
            ("[fd00::/8]:80", "x", "fd12::1", 80, true),
            ("[fd00::/8]:80", "x", "fd12::1", 81, false),
            ("[fd00::1]", "fd00::1", "fd00::1", 81, true),
            ("fd00::/8", "x", "fd12::1", 81, true),
            ("unix:/run/x", "x", "10.0.0.1", 80, false),
        ] {
            let refused = list(&[entry]).refusal(host, ip.parse().ok(), port, false);
            assert_eq!(refused.is_none(), is_permitted, "{entry} {host} {ip} {port}: {refused:?}");
        }
    }

    #[test]
    fn a_network_decides_by_address_and_never_for_a_proxy() {
        let network = list(&["10.0.0.0/8:80"]);
        assert_eq!(network.refusal("shop.test", None, 80, false), None);
        assert!(network.refusal("shop.test", None, 81, false).is_some());
        assert!(network.refusal("shop.test", None, 80, true).is_some());
        assert!(network.refusal("11.0.0.1", None, 80, false).is_some());
        assert!(list(&["other.test"]).refusal("shop.test", None, 80, false).is_some());
        let why = list(&["10.0.0.0/8:80", "b"]).refusal("a", "11.0.0.1".parse().ok(), 80, false);
        assert_eq!(
            why.unwrap(),
            "a:80 (11.0.0.1) is not among the targets that this agent allows (10.0.0.0/8:80, b); \
             if it may load it, start it with `--allow a:80`"
        );
    }

    #[test]
    fn sockets_are_permitted_by_their_path_alone() {
        let path = Path::new("/run/docker.sock");
        assert!(list(&["any"]).socket_refusal(path).is_some());
        assert!(list(&["unix:/run/other"]).socket_refusal(path).is_some());
        assert_eq!(list(&["any", "unix:/run/docker.sock"]).socket_refusal(path), None);
    }

    #[test]
    fn what_is_no_target_is_refused() {
        for text in [
            "",
            " ",
            ":80",
            "a:",
            "a:0",
            "a:65536",
            "a:b",
            "http://a",
            "a/8",
            "10.0.0.0/33",
            "[a",
            "[::1",
            "[::1]:",
            "[::1]x",
            "unix:",
            "unix:run/x",
            "a b",
        ] {
            assert!(text.parse::<AllowedTarget>().is_err(), "{text}");
        }
    }
}
