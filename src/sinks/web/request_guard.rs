//! Access checks: the target, the origin and the token of a request.
//!
//! `server` checks each request first.
//! Invariant: a page of another origin, or another name for this address (DNS rebinding), gets
//! nothing; a request without the token changes nothing.

use std::net::SocketAddr;

use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};

/// Maximum size of a request's head, bytes.
const HEAD: usize = 16 << 10;

/// What the checks compare with.
#[derive(Debug)]
pub struct RequestGuard {
    /// The local address of the server.
    pub place: SocketAddr,
    /// The token of the controls.
    pub token: String,
}

impl RequestGuard {
    /// Whether a request may be handled.
    ///
    /// # Errors
    /// The status and the reason of the response.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let size = |(name, value): (&HeaderName, &axum::http::HeaderValue)| {
            name.as_str().len() + value.len()
        };
        if headers.iter().map(size).sum::<usize>() + uri.to_string().len() > HEAD {
            return Err((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the head is too large"));
        }
        let other = (StatusCode::FORBIDDEN, "the request names another host than this dashboard");
        let host = only(headers, &HOST).filter(|host| self.is_own(host)).ok_or(other)?;
        if uri.authority().is_some_and(|authority| authority.as_str() != host) {
            return Err(other);
        }
        let own = format!("http://{host}");
        if headers.contains_key(ORIGIN) && only(headers, &ORIGIN) != Some(&own) {
            return Err((StatusCode::FORBIDDEN, "pages of other origins are not allowed"));
        }
        Ok(())
    }

    /// Whether a request has the token.
    ///
    /// # Errors
    /// The status and the reason of the response.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
        let given = only(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let given = given.ok_or((StatusCode::UNAUTHORIZED, "expected a bearer token"))?;
        if is_same(given.as_bytes(), self.token.as_bytes()) {
            Ok(())
        } else {
            Err((StatusCode::FORBIDDEN, "this is not the token of this run"))
        }
    }

    /// Whether an authority is this server.
    fn is_own(&self, host: &str) -> bool {
        let (place, port) = (self.place, self.place.port());
        // A browser leaves out the default port of http.
        let host = if port == 80 && !host.ends_with(":80") {
            format!("{host}:80")
        } else {
            host.to_owned()
        };
        let named = place.ip().is_loopback() && host == format!("localhost:{port}");
        let any = || {
            let literal = host.parse::<SocketAddr>().is_ok_and(|host| host.port() == port);
            place.ip().is_unspecified() && literal
        };
        named || host == place.to_string() || any()
    }
}

/// Returns the value of a header that occurs exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Compares in a time that depends on the lengths only.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differs = one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b));
    std::hint::black_box(differs) == 0 && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(place: &str) -> RequestGuard {
        RequestGuard { place: place.parse().unwrap(), token: "0123456789abcdef".to_owned() }
    }

    fn headers(all: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in all {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_its_own_host_is_served() {
        for (place, host, may) in [
            ("127.0.0.1:7373", "127.0.0.1:7373", true),
            ("127.0.0.1:7373", "localhost:7373", true),
            ("127.0.0.1:7373", "localhost", false),
            ("127.0.0.1:7373", "127.0.0.1", false),
            ("127.0.0.1:7373", "127.0.0.1:7374", false),
            ("127.0.0.1:7373", "evil.example:7373", false),
            ("127.0.0.1:7373", "localhost.evil.example:7373", false),
            ("127.0.0.1:7373", "[::1]:7373", false),
            ("127.0.0.1:80", "127.0.0.1", true),
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("[::1]:7373", "[::1]:7373", true),
            ("192.168.1.5:7373", "192.168.1.5:7373", true),
            ("192.168.1.5:7373", "localhost:7373", false),
            ("0.0.0.0:7373", "192.168.1.5:7373", true),
            ("0.0.0.0:7373", "[fe80::1]:7373", true),
            ("0.0.0.0:7373", "192.168.1.5:7374", false),
            ("0.0.0.0:7373", "evil.example:7373", false),
        ] {
            let found = gate(place).check(&Uri::from_static("/"), &headers(&[("host", host)]));
            assert_eq!(found.is_ok(), may, "{place} asked for {host}");
        }
    }

    #[test]
    fn other_origins_and_odd_heads_are_refused() {
        let gate = gate("127.0.0.1:7373");
        let own = ("host", "127.0.0.1:7373");
        let long = "x".repeat(HEAD);
        for (uri, all, status) in [
            ("/", vec![own, ("origin", "http://127.0.0.1:7373")], 200),
            ("/", vec![own, ("origin", "http://localhost:7373")], 403),
            ("/", vec![own, ("origin", "https://127.0.0.1:7373")], 403),
            ("/", vec![own, ("origin", "http://evil.example")], 403),
            ("/", vec![own, ("origin", "null")], 403),
            ("/", vec![own, ("origin", "")], 403),
            ("/", vec![own, own], 403),
            ("/", vec![], 403),
            ("http://127.0.0.1:7373/", vec![own], 200),
            ("http://evil.example/", vec![own], 403),
            ("/", vec![own, ("cookie", &long)], 431),
        ] {
            let found = gate.check(&uri.parse().unwrap(), &headers(&all));
            assert_eq!(
                found.map_or_else(|(status, _)| status.as_u16(), |()| 200),
                status,
                "{all:?}"
            );
        }
    }

    #[test]
    fn only_the_token_admits() {
        let gate = gate("127.0.0.1:7373");
        for (value, status) in [
            (None, 401),
            (Some("0123456789abcdef"), 401),
            (Some("Basic 0123456789abcdef"), 401),
            (Some("Bearer "), 403),
            (Some("Bearer 0123456789abcdeF"), 403),
            (Some("Bearer 0123456789abcdef0"), 403),
            (Some("Bearer 0123456789abcde"), 403),
            (Some("Bearer 0123456789abcdef"), 200),
        ] {
            let all: Vec<_> = value.map(|value| ("authorization", value)).into_iter().collect();
            let found =
                gate.admit(&headers(&all)).map_or_else(|(status, _)| status.as_u16(), |()| 200);
            assert_eq!(found, status, "{value:?}");
        }
    }
}
