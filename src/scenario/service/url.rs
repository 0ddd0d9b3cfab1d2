//! Parses the base URL of a service.
//!
//! Invariant: an accepted URL has a host and a port.

use crate::plan::Address;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::Node;

/// Parses the base URL of a service; the error continues a sentence after the URL.
pub(crate) fn parse_url(text: &str) -> Result<Address, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme: write `http://` first")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => false,
        "https" | "wss" => true,
        _ => return Err("is none of http, https, ws and wss"),
    };
    if rest.contains(['?', '#']) {
        return Err("has a query or fragment: these belong to the steps");
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err("has a user name: send an `authorization` header instead");
    }
    let (host, port) = if let Some(inner) = authority.strip_prefix('[') {
        let (host, port) = inner.split_once(']').ok_or("has no `]` after its address")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "has no IPv6 address in its brackets")?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':').unwrap_or("?")) })
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("has no host");
    }
    let of_host = |c: char| c.is_ascii_alphanumeric() || "-._:%~".contains(c);
    if !host.chars().all(of_host) {
        return Err("has a host with invalid characters");
    }
    if path.chars().any(|c| c.is_control() || c == ' ' || !c.is_ascii()) {
        return Err("has a path with characters that have to be percent-encoded");
    }
    let port = match port {
        None if tls => 443,
        None => 80,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or("has a port that is not a number from 1 to 65535")?,
    };
    let prefix = path.trim_end_matches('/').to_owned();
    Ok(Address { tls, host: host.to_owned(), port, prefix })
}

/// Parses the URL of a service, and reports one that is wrong.
pub(crate) fn address(
    diagnostics: &mut Diagnostics,
    node: &Node,
    text: &str,
    expected: &str,
) -> Option<Address> {
    match parse_url(text) {
        Ok(address) => Some(address),
        Err(problem) => {
            let message = format!("`{}` {problem}", truncate(text));
            diagnostics.mistake(node.span, message).expected(expected);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_origins_with_a_prefix() {
        for (text, tls, host, port, prefix) in [
            ("http://127.0.0.1:8080", false, "127.0.0.1", 8080, ""),
            ("https://shop.example/", true, "shop.example", 443, ""),
            ("HTTP://shop.example/api/v1/", false, "shop.example", 80, "/api/v1"),
            ("http://[::1]:99", false, "::1", 99, ""),
            ("http://[::1]", false, "::1", 80, ""),
        ] {
            let prefix = prefix.to_owned();
            let address = Address { tls, host: host.to_owned(), port, prefix };
            assert_eq!(parse_url(text), Ok(address), "{text}");
        }
        for text in [
            "shop.example",
            "ftp://x",
            "http://",
            "http://:80",
            "http://x:0",
            "http://x:99999",
            "http://x?q=1",
            "http://u:p@x",
            "http://a b",
            "http://[::1",
            "http://[x]:1",
            "http://[::1]80",
            "http://x/é",
            "http://x\r\n",
            "",
        ] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
