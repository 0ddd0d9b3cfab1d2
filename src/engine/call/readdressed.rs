//! A request for one backend, made of that for the first backend of its service.
//!
//! `balanced` calls it for each attempt that goes to another backend than the first.
//! Invariant: only the origin and the prefix in the first line, and a Host header with the name of
//! the first backend, change.

use super::request::split_line;
use crate::plan::Address;

/// Writes the request `bytes`, which is addressed to `from`, into `out` as one addressed to `to`.
pub(crate) fn readdress(bytes: &[u8], from: &Address, to: &Address, out: &mut Vec<u8>) {
    out.clear();
    let Some((line, rest)) = split_line(bytes) else {
        out.extend_from_slice(bytes);
        return;
    };
    write_line(line, from, to, out);
    let mut rest = rest;
    let host = format!("Host: {}\r\n", from.authority());
    while let Some((header, after)) = split_line(rest) {
        if header.len() <= 2 {
            break;
        }
        if header == host.as_bytes() {
            out.extend_from_slice(format!("Host: {}\r\n", to.authority()).as_bytes());
            rest = after;
            break;
        }
        out.extend_from_slice(header);
        rest = after;
    }
    out.extend_from_slice(rest);
}

/// Writes the request line with the other origin and prefix.
fn write_line(line: &[u8], from: &Address, to: &Address, out: &mut Vec<u8>) {
    let target = line.iter().position(|&byte| byte == b' ').map_or(0, |space| space + 1);
    let (method, mut rest) = line.split_at(target);
    out.extend_from_slice(method);
    // A proxy that reads the request gets a whole URL.
    let origin = format!("http://{}", from.authority());
    if let Some(path) = rest.strip_prefix(origin.as_bytes()) {
        out.extend_from_slice(format!("http://{}", to.authority()).as_bytes());
        rest = path;
    }
    if let Some(path) = rest.strip_prefix(from.prefix.as_bytes()) {
        out.extend_from_slice(to.prefix.as_bytes());
        rest = path;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16, prefix: &str) -> Address {
        Address { tls: false, host: host.to_owned(), port, prefix: prefix.to_owned() }
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
