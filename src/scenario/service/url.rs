//! Parses the base URL of a service.
//!
//! Invariant: an accepted URL has a host and a port.

use std::borrow::Cow;

use crate::plan::Address;
use crate::plan::transport::Login;
use crate::protocol::{Protocol, SCHEMES, Scheme};
use crate::redact::register_secret;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::Node;
use crate::suggest::nearest;

/// Parses the base URL of an HTTP service; the error continues a sentence after the URL.
pub(crate) fn parse_url(text: &str) -> Result<Address, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme: write `http://` first")?;
    let scheme = Scheme::of(scheme).filter(|scheme| scheme.protocol == Protocol::Http);
    let scheme = scheme.ok_or("is none of http, https, ws and wss")?;
    let (authority, path) = split_path(rest)?;
    if authority.contains('@') {
        return Err("has a user name: send an `authorization` header instead");
    }
    let (host, port) = parse_authority(authority, scheme)?;
    if path.chars().any(|c| c.is_control() || c == ' ' || !c.is_ascii()) {
        return Err("has a path with characters that have to be percent-encoded");
    }
    let prefix = path.trim_end_matches('/').to_owned();
    Ok(Address { protocol: Protocol::Http, tls: scheme.tls, host, port, prefix })
}

/// Parses the URL of a service of any protocol, with the login that it may hold.
pub(crate) fn parse_service_url(text: &str) -> Result<(Address, Login), &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme: write `http://` first")?;
    let scheme = Scheme::of(scheme).ok_or("has a scheme that no protocol here has")?;
    if scheme.protocol == Protocol::Http {
        return parse_url(text).map(|address| (address, Login::default()));
    }
    let (authority, path) = split_path(rest)?;
    let (login, authority) = match authority.rsplit_once('@') {
        Some((login, authority)) => (Some(login), authority),
        None => (None, authority),
    };
    let (host, port) = parse_authority(authority, scheme)?;
    let (database, prefix) = match scheme.is_over_websocket() {
        // Brokers offer it at this path, unless the URL has another.
        true if path.trim_matches('/').is_empty() => ("", WEBSOCKET_PATH),
        true => ("", path),
        false => (path.trim_matches('/'), ""),
    };
    if prefix.chars().any(|c| c.is_control() || c == ' ' || !c.is_ascii()) {
        return Err("has a path with characters that have to be percent-encoded");
    }
    let takes_login = scheme.protocol.has_login();
    if !takes_login && login.is_some() {
        return Err("has a user name, which this protocol does not have");
    }
    if !takes_login && !database.is_empty() {
        return Err("has a path, which this protocol does not have");
    }
    let is_number = database.bytes().all(|byte| byte.is_ascii_digit());
    if scheme.protocol == Protocol::Redis && !is_number {
        return Err("has a path that is no number of a database, such as /0");
    }
    if scheme.protocol == Protocol::Kafka && !database.is_empty() {
        return Err("has a path, which this protocol does not have");
    }
    if scheme.protocol == Protocol::Amqp && database.contains('/') {
        return Err("has a virtual host with a slash, which has to be written as %2F");
    }
    let (user, password) = match login {
        None => (None, None),
        Some(login) => match login.split_once(':') {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (decoded(login)?, None),
        },
    };
    let database = decoded(database)?;
    let parts = [&user, &password, &database];
    if parts.into_iter().flatten().any(|part| part.contains('\0')) {
        return Err("has a login with a zero byte");
    }
    let prefix = prefix.to_owned();
    let address = Address { protocol: scheme.protocol, tls: scheme.tls, host, port, prefix };
    Ok((address, Login { user, password, database }))
}

/// The path of MQTT over WebSocket, of a URL without one.
const WEBSOCKET_PATH: &str = "/mqtt";

/// A percent-decoded part of a login; `None` if it is empty.
fn decoded(part: &str) -> Result<Option<String>, &'static str> {
    let decoded = percent_encoding::percent_decode_str(part).decode_utf8();
    let decoded = decoded.map_err(|_| "has a login that is not UTF-8")?;
    Ok((!decoded.is_empty()).then(|| decoded.into_owned()))
}

/// Splits what follows the scheme into authority and path.
fn split_path(rest: &str) -> Result<(&str, &str), &'static str> {
    if rest.contains(['?', '#']) {
        return Err("has a query or fragment: these belong to the steps");
    }
    Ok(match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    })
}

/// Parses host and port.
fn parse_authority(authority: &str, scheme: Scheme) -> Result<(String, u16), &'static str> {
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
    let port = match port {
        None => scheme.port.ok_or("has no port, which this protocol needs")?,
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or("has a port that is not a number from 1 to 65535")?,
    };
    Ok((host.to_owned(), port))
}

/// Parses the URL of a service of any protocol, and reports one that is wrong. A password in it is
/// one of the values that no output shows.
pub(crate) fn service_address(
    diagnostics: &mut Diagnostics,
    node: &Node,
    text: &str,
    expected: &str,
) -> Option<(Address, Login)> {
    match parse_service_url(text) {
        Ok((address, login)) => {
            if let Some(password) = &login.password {
                let _ = register_secret(password);
            }
            Some((address, login))
        }
        Err(problem) => {
            let shown = without_login(text);
            let message = format!("`{}` {problem}", truncate(&shown));
            let mistake = diagnostics.mistake(node.span, message);
            mistake.expected(expected);
            let scheme = text.split("://").next().unwrap_or_default().to_ascii_lowercase();
            let schemes = SCHEMES.map(|scheme| scheme.name);
            if !schemes.contains(&&*scheme)
                && let Some(known) = nearest(&scheme, schemes)
            {
                mistake.help(format!("did you mean `{known}://`?"));
            }
            None
        }
    }
}

/// A URL without what stands before `@`.
fn without_login(text: &str) -> Cow<'_, str> {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => Cow::Owned(format!("{scheme}://…@{rest}")),
        _ => Cow::Borrowed(text),
    }
}

/// Parses the URL of an HTTP service, and reports one that is wrong.
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
            let protocol = Protocol::Http;
            let address = Address { protocol, tls, host: host.to_owned(), port, prefix };
            assert_eq!(parse_url(text), Ok(address), "{text}");
        }
    }

    #[test]
    fn urls_of_other_protocols_have_ports_and_logins() {
        let login = |user: Option<&str>, password: Option<&str>, database: Option<&str>| {
            let [user, password, database] =
                [user, password, database].map(|part| part.map(str::to_owned));
            Login { user, password, database }
        };
        for (text, protocol, tls, port, given) in [
            ("redis://h", Protocol::Redis, false, 6379, login(None, None, None)),
            ("REDISS://h:1/3", Protocol::Redis, true, 1, login(None, None, Some("3"))),
            ("redis://:p%40s@h", Protocol::Redis, false, 6379, login(None, Some("p@s"), None)),
            (
                "redis://u:p:q@h/0",
                Protocol::Redis,
                false,
                6379,
                login(Some("u"), Some("p:q"), Some("0")),
            ),
            ("tcp://h:9", Protocol::Tcp, false, 9, Login::default()),
            ("tls://h:9/", Protocol::Tcp, true, 9, Login::default()),
            ("udp://h:8125", Protocol::Udp, false, 8125, Login::default()),
            ("dns://h", Protocol::Dns, false, 53, Login::default()),
            ("dns+tls://h", Protocol::DnsTcp, true, 853, Login::default()),
            (
                "postgres://u:p%2Fw@h/my%20shop",
                Protocol::Postgres,
                false,
                5432,
                login(Some("u"), Some("p/w"), Some("my shop")),
            ),
            ("PostgreSQL://h:1/", Protocol::Postgres, false, 1, Login::default()),
            ("postgres+tls://h", Protocol::Postgres, true, 5432, Login::default()),
            ("mqtt://u@h", Protocol::Mqtt, false, 1883, login(Some("u"), None, None)),
            ("amqp://h", Protocol::Amqp, false, 5672, Login::default()),
            ("amqps://h/", Protocol::Amqp, true, 5671, Login::default()),
            ("amqp://h/%2f", Protocol::Amqp, false, 5672, login(None, None, Some("/"))),
            ("amqp://h:9/%2Fa%2F", Protocol::Amqp, false, 9, login(None, None, Some("/a/"))),
            (
                "amqp://u:p%40@h/my%20shop",
                Protocol::Amqp,
                false,
                5672,
                login(Some("u"), Some("p@"), Some("my shop")),
            ),
        ] {
            let (address, login) = parse_service_url(text).unwrap();
            assert_eq!((address.protocol, address.tls, address.port), (protocol, tls, port));
            assert_eq!(login, given, "{text}");
        }
        for text in [
            "tcp://h",
            "udp://u@h:1",
            "redis://h/x",
            "dns://h/a",
            "redis://h:0",
            "kafka",
            "postgres://h/a?sslmode=require",
            "postgres://a%00b@h",
            "amqp://h/a/b",
            "amqp://h/a%00b",
        ] {
            assert!(parse_service_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn wrong_urls_are_refused() {
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
