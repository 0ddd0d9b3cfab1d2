//! Parses addresses and proxies, for a service's keys and the flags of `hit`.
//!
//! Invariant: a parsed address has a host, and a port from 1 to 65535.

use crate::plan::transport::{Proxy, ProxyKind};
use crate::scenario::service::url::parse_url;
use crate::scenario::syntax::header;

/// The expected form of an address.
pub(crate) const ADDRESS: &str = "`host:port`, such as 127.0.0.1:8080";

/// The expected form of a proxy.
pub(crate) const PROXY: &str = "a URL such as \"http://proxy:3128\" or \"socks5://proxy:1080\"";

/// Parses `host:port`, IPv6 in brackets.
pub(crate) fn address(text: &str) -> Option<(String, u16)> {
    let address = parse_url(&format!("http://{text}")).ok()?;
    let (_, port) = text.rsplit_once(':')?;
    (port.parse() == Ok(address.port)).then_some((address.host, address.port))
}

/// Parses `http://[user:password@]host[:port]`, or the same with `socks5` or `socks5h`.
pub(crate) fn proxy(text: &str) -> Option<Proxy> {
    let (scheme, rest) = text.split_once("://")?;
    let kind = match scheme {
        "http" => ProxyKind::Http,
        "socks5" | "socks5h" => ProxyKind::Socks5,
        _ => return None,
    };
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login.split_once(':').unwrap_or((login, ""))), rest),
        None => (None, rest),
    };
    let own = |text: &str| decode(text).filter(|text| text.len() <= 255);
    let login = match login {
        Some((user, password)) => Some((own(user)?, own(password)?)),
        None => None,
    };
    let address = parse_url(&format!("http://{rest}")).ok()?;
    if !address.prefix.is_empty() {
        return None;
    }
    let named = rest.trim_end_matches('/').rsplit_once(':');
    let named = named.is_some_and(|(_, port)| port.parse() == Ok(address.port));
    let usual = if kind == ProxyKind::Http { 80 } else { 1_080 };
    let port = if named { address.port } else { usual };
    Some(Proxy { kind, host: address.host, port, login })
}

/// Percent-decodes a text; `None` if the result is not valid in a header.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || (bytes.next()? as char).to_digit(16);
        out.push(if byte == b'%' { (digit()? * 16 + digit()?) as u8 } else { byte });
    }
    String::from_utf8(out).ok().filter(|text| header::is_value(text))
}
