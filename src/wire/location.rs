//! The destination of a Location header: references resolved as RFC 3986 §5 says.
//!
//! `engine` resolves redirects with it.
//! Invariant: a resolved target can stand in a request line: no control characters, no spaces.

use std::fmt::Write as _;

use crate::plan::Address;
use crate::stats::FailureKind;

/// The destination of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedirectLocation {
    /// Whether the scheme is `https`.
    pub tls: bool,
    /// Lower case, without brackets; an IPv6 address in its one short form (RFC 5952).
    pub host: String,
    /// The given port, or the scheme's default.
    pub port: u16,
    /// Path and query; the fragment is never sent.
    pub target: String,
}

impl RedirectLocation {
    /// Creates the location of `target` at `address`.
    pub fn new(address: &Address, target: &str) -> Self {
        Self {
            tls: address.tls,
            host: normalize_host(&address.host),
            port: address.port,
            target: target.to_owned(),
        }
    }

    /// Whether scheme, host and port are those of `address`.
    pub fn is_at(&self, address: &Address) -> bool {
        self.tls == address.tls
            && self.port == address.port
            && (self.host.eq_ignore_ascii_case(&address.host)
                || self.host.contains(':') && self.host == normalize_host(&address.host))
    }

    /// Scheme, host and port, as a URL begins.
    pub fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("{scheme}://[{host}]:{port}")
        } else {
            format!("{scheme}://{host}:{port}")
        }
    }

    /// Whether a reference only names the place where it was found: it is empty, or a bare
    /// fragment, which stays with the client.
    pub fn is_here(reference: &[u8]) -> bool {
        matches!(reference.trim_ascii().first(), None | Some(b'#'))
    }

    /// Resolves a reference that was found at this location.
    ///
    /// # Errors
    /// `Malformed` if it is no reference, `RedirectNotAllowed` if its scheme is not HTTP.
    pub fn resolve(&self, reference: &[u8]) -> Result<Self, FailureKind> {
        let text = encode_invalid(reference).ok_or(FailureKind::Malformed)?;
        let text = text.split('#').next().unwrap_or_default();
        let scheme = text.find([':', '/', '?']).filter(|&at| text[at..].starts_with(':'));
        let (tls, rest) = match scheme {
            Some(end) => match text[..end].to_ascii_lowercase().as_str() {
                "http" => (false, &text[end + 1..]),
                "https" => (true, &text[end + 1..]),
                _ => return Err(FailureKind::RedirectNotAllowed),
            },
            None => (self.tls, text),
        };
        if let Some(rest) = rest.strip_prefix("//") {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (host, port) = authority(&rest[..end], tls).ok_or(FailureKind::Malformed)?;
            return Ok(Self { tls, host, port, target: normalize(&rest[end..]) });
        }
        if scheme.is_some() {
            return Err(FailureKind::Malformed);
        }
        let own_path = self.target.split('?').next().unwrap_or_default();
        let target = match rest.bytes().next() {
            None => self.target.clone(),
            Some(b'/') => normalize(rest),
            Some(b'?') => format!("{own_path}{rest}"),
            Some(_) => {
                let folder = own_path.rfind('/').map_or("/", |last| &own_path[..=last]);
                normalize(&format!("{folder}{rest}"))
            }
        };
        Ok(Self { target, ..self.clone() })
    }
}

/// Percent-encodes characters that may not stand in a URL; `None` if there is one that cannot be
/// encoded.
fn encode_invalid(reference: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(reference.len());
    for &byte in reference.trim_ascii() {
        match byte {
            0..b' ' | 0x7f => return None,
            b' ' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                let _ = write!(out, "%{byte:02X}");
            }
            _ => out.push(char::from(byte)),
        }
    }
    Some(out)
}

/// Parses host and port; user information before them is dropped.
fn authority(text: &str, tls: bool) -> Option<(String, u16)> {
    let text = text.rsplit('@').next().unwrap_or(text);
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if rest.is_empty() { "" } else { rest.strip_prefix(':')? })
    } else {
        text.split_once(':').unwrap_or((text, ""))
    };
    let of_host = |c: char| c.is_ascii_alphanumeric() || "-._:%~".contains(c);
    if host.is_empty() || !host.chars().all(of_host) {
        return None;
    }
    let own = if tls { 443 } else { 80 };
    let port = if port.is_empty() { own } else { port.parse().ok().filter(|port| *port > 0)? };
    Some((normalize_host(host), port))
}

/// Returns a host in one spelling: lower case, an IPv6 address in its short form.
fn normalize_host(host: &str) -> String {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// Returns path and query without dot segments (RFC 3986 §5.2.4), never empty.
fn normalize(text: &str) -> String {
    let (path, query) = text.find('?').map_or((text, ""), |at| text.split_at(at));
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(segment),
        }
    }
    format!("/{}{query}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> RedirectLocation {
        RedirectLocation {
            tls: false,
            host: "a".to_owned(),
            port: 80,
            target: "/b/c/d;p?q".to_owned(),
        }
    }

    fn shown(reference: &str) -> String {
        match base().resolve(reference.as_bytes()) {
            Ok(RedirectLocation { tls, host, port, target }) => {
                format!("http{}://{host}:{port}{target}", if tls { "s" } else { "" })
            }
            Err(kind) => kind.name().to_owned(),
        }
    }

    #[test]
    fn references_resolve_as_in_rfc_3986() {
        for (reference, expect) in [
            ("g", "http://a:80/b/c/g"),
            ("./g", "http://a:80/b/c/g"),
            ("g/", "http://a:80/b/c/g/"),
            ("/g", "http://a:80/g"),
            ("//g", "http://g:80/"),
            ("?y", "http://a:80/b/c/d;p?y"),
            ("g?y", "http://a:80/b/c/g?y"),
            ("#s", "http://a:80/b/c/d;p?q"),
            ("g#s", "http://a:80/b/c/g"),
            ("g?y#s", "http://a:80/b/c/g?y"),
            (";x", "http://a:80/b/c/;x"),
            ("", "http://a:80/b/c/d;p?q"),
            (".", "http://a:80/b/c/"),
            ("./", "http://a:80/b/c/"),
            ("..", "http://a:80/b/"),
            ("../g", "http://a:80/b/g"),
            ("../..", "http://a:80/"),
            ("../../../g", "http://a:80/g"),
            ("/./g", "http://a:80/g"),
            ("/../g", "http://a:80/g"),
            ("g.", "http://a:80/b/c/g."),
            ("..g", "http://a:80/b/c/..g"),
            ("./../g", "http://a:80/b/g"),
            ("g;x=1/../y", "http://a:80/b/c/y"),
            ("g?y/../x", "http://a:80/b/c/g?y/../x"),
            ("HTTPS://B.c/x y?é", "https://b.c:443/x%20y?%C3%A9"),
            ("http://u:p@h:8080?q", "http://h:8080/?q"),
            ("http://[::1]:99/x", "http://::1:99/x"),
            ("http://[0:0::0:1]/x", "http://::1:80/x"),
            ("http://[2001:DB8:0:0:8:800:200C:417A]/", "http://2001:db8::8:800:200c:417a:80/"),
            ("ftp://h/", "redirect_not_allowed"),
            ("javascript:alert(1)", "redirect_not_allowed"),
            ("http:g", "malformed"),
            ("http:///x", "malformed"),
            ("//h:0/", "malformed"),
            ("//h:99999/", "malformed"),
            ("/a\u{1}b", "malformed"),
        ] {
            assert_eq!(shown(reference), expect, "{reference}");
        }
    }

    #[test]
    fn address_spellings_are_one_host() {
        let address =
            |host: &str| Address { host: host.to_owned(), port: 80, ..Address::default() };
        for (reference, host, same) in [
            ("http://[::1]/", "::1", true),
            ("http://[0:0::0:1]/", "::1", true),
            ("http://[::1]/", "0:0:0:0:0:0:0:1", true),
            ("http://[::2]/", "::1", false),
            ("http://[::ffff:1.2.3.4]/", "::FFFF:102:304", true),
            ("http://SHOP.example/", "shop.EXAMPLE", true),
            ("http://shop.example./", "shop.example", false),
        ] {
            let to = base().resolve(reference.as_bytes()).unwrap();
            assert_eq!(to.is_at(&address(host)), same, "{reference} at {host}");
            assert_eq!(
                RedirectLocation::new(&address(host), "/") == to,
                same,
                "{reference} of {host}"
            );
        }
        let to = base().resolve(b"https://[0:0::0:1]:8443/x").unwrap();
        assert_eq!(to.origin(), "https://[::1]:8443");
        assert_eq!(base().origin(), "http://a:80");
    }

    #[test]
    fn empty_and_fragment_references_stay_here() {
        for (reference, is_here) in
            [("", true), (" \t", true), ("#", true), ("#top", true), ("?", false), (".", false)]
        {
            assert_eq!(RedirectLocation::is_here(reference.as_bytes()), is_here, "{reference:?}");
        }
    }

    proptest! {
        #[test]
        fn resolved_target_is_valid_in_a_request_line(
            reference in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Ok(location) = base().resolve(&reference) {
                prop_assert!(location.target.starts_with('/'));
                prop_assert!(location.target.bytes().all(|b| b > b' ' && b < 0x7f));
                prop_assert!(!location.target.contains('#'));
            }
        }
    }
}
