//! A request for one backend, made of that for the first backend of its service.
//!
//! `balanced` calls it for each attempt that goes to another backend than the first.
//! Invariant: only the origin and the prefix in the first line, and a Host header with the name of
//! the first backend, change.

use super::request::split_line;
use crate::plan::Address;

/// The parts of a request that name its target.
#[derive(Debug)]
pub(crate) struct TargetText {
    /// The Host header with its line end.
    host: Box<[u8]>,
    /// The scheme and authority of whole URLs, for a proxy that reads the request.
    origin: Box<[u8]>,
    /// The prefix of all paths.
    prefix: Box<[u8]>,
}

impl TargetText {
    /// The parts for an address.
    pub(crate) fn new(address: &Address) -> Self {
        let authority = address.authority();
        Self {
            host: format!("Host: {authority}\r\n").into_bytes().into(),
            origin: format!("http://{authority}").into_bytes().into(),
            prefix: address.prefix.as_bytes().into(),
        }
    }
}

/// Writes the request `bytes`, which is addressed to `from`, into `out` as one addressed to `to`.
pub(crate) fn readdress(bytes: &[u8], from: &TargetText, to: &TargetText, out: &mut Vec<u8>) {
    out.clear();
    let Some((line, rest)) = split_line(bytes) else {
        out.extend_from_slice(bytes);
        return;
    };
    write_line(line, from, to, out);
    let mut rest = rest;
    while let Some((header, after)) = split_line(rest) {
        if header.len() <= 2 {
            break;
        }
        if header == &*from.host {
            out.extend_from_slice(&to.host);
            rest = after;
            break;
        }
        out.extend_from_slice(header);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Writes the request line with the other origin and prefix.
fn write_line(line: &[u8], from: &TargetText, to: &TargetText, out: &mut Vec<u8>) {
    let target = line.iter().position(|&byte| byte == b' ').map_or(0, |space| space + 1);
    let (method, mut rest) = line.split_at(target);
    out.extend_from_slice(method);
    // A proxy that reads the request gets a whole URL.
    if let Some(path) = rest.strip_prefix(&*from.origin) {
        out.extend_from_slice(&to.origin);
        rest = path;
    }
    if let Some(path) = rest.strip_prefix(&*from.prefix) {
        out.extend_from_slice(&to.prefix);
        rest = path;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16, prefix: &str) -> TargetText {
        let (host, prefix) = (host.to_owned(), prefix.to_owned());
        TargetText::new(&Address { host, port, prefix, ..Address::default() })
    }

    #[test]
    fn only_line_and_host_change() {
        let (a, b) = (address("a", 81, "/v1"), address("::1", 80, ""));
        for (before, after) in [
            (
                "GET /v1/x?y=/v1 HTTP/1.1\r\nHost: a:81\r\nX: Host: a:81\r\n\r\nHost: a:81\r\n",
                "GET /x?y=/v1 HTTP/1.1\r\nHost: [::1]\r\nX: Host: a:81\r\n\r\nHost: a:81\r\n",
            ),
            (
                "GET /v1/ HTTP/1.1\r\nA: b\r\nHost: shop\r\n\r\n",
                "GET / HTTP/1.1\r\nA: b\r\nHost: shop\r\n\r\n",
            ),
            (
                "POST http://a:81/v1/x HTTP/1.1\r\nHost: a:81\r\n\r\nbody",
                "POST http://[::1]/x HTTP/1.1\r\nHost: [::1]\r\n\r\nbody",
            ),
            ("GET /v1/ HTTP/1.1\r\n\r\nHost: a:81\r\n", "GET / HTTP/1.1\r\n\r\nHost: a:81\r\n"),
        ] {
            let mut out = vec![1];
            readdress(before.as_bytes(), &a, &b, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), after);
        }
    }
}
