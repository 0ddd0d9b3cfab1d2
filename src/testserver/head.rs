//! The head of a request, as far as the server needs it to respond.
//!
//! `connection` passes it bytes, `shop` reads the result.
//! Invariant: no bytes make it panic; a head longer than [`MAX_HEAD`] is rejected.

use std::mem::MaybeUninit;
use std::ops::Range;

use httparse::{Header, Request, Status};

/// The longest head accepted, bytes.
pub(super) const MAX_HEAD: usize = 32 << 10;
/// Maximum headers accepted.
const MAX_HEADERS: usize = 100;

/// The status of the response to an invalid request; the connection ends after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeadError(pub u16);

/// How a head frames its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestFraming {
    /// By this number of bytes; zero if there is no body.
    Length(u64),
    /// By the last chunk.
    Chunked,
}

/// The methods that are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteMethod {
    Get,
    Head,
    Post,
    Other,
}

/// The scheduled start to which a generator assigns this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IntendedStart {
    pub index: u64,
    pub ns: u64,
}

/// A parsed head; positions are offsets in the parsed bytes.
#[expect(clippy::struct_excessive_bools, reason = "each is a header of its own")]
#[derive(Clone, Debug)]
pub(super) struct RequestHead {
    /// Bytes up to the body.
    pub length: usize,
    pub method: RouteMethod,
    /// Range of the path and query.
    pub target: Range<usize>,
    /// Whether the client speaks HTTP/1.0.
    pub old: bool,
    pub keep_alive: bool,
    pub framing: RequestFraming,
    /// Whether the client waits for "100 Continue".
    pub expects: bool,
    /// Whether there is an Authorization header.
    pub authorized: bool,
    pub intended: Option<IntendedStart>,
}

/// The headers, while they are parsed.
#[expect(clippy::struct_excessive_bools, reason = "each is a header of its own")]
#[derive(Default)]
struct SeenHeaders {
    host: bool,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    chunked: bool,
    expects: bool,
    authorized: bool,
    intended: Option<IntendedStart>,
}

/// Parses the head at the start of `input`; `None` if more must arrive.
pub(super) fn parse(input: &[u8]) -> Result<Option<RequestHead>, HeadError> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let length = match request.parse_with_uninit_headers(input, &mut headers) {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if input.len() <= MAX_HEAD => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError(431)),
        Err(httparse::Error::Version) => return Err(HeadError(505)),
        Err(_) => return Err(HeadError(400)),
    };
    let path = request.path.unwrap_or("/");
    // Both point into the same bytes, so the difference is the offset.
    let start = path.as_ptr().addr() - input.as_ptr().addr();
    let old = request.version == Some(0);
    let mut seen = SeenHeaders::default();
    for header in request.headers.iter() {
        seen.take(header)?;
    }
    if !old && !seen.host || old && seen.chunked || seen.chunked && seen.length.is_some() {
        return Err(HeadError(400));
    }
    Ok(Some(RequestHead {
        length,
        method: match request.method {
            Some("GET") => RouteMethod::Get,
            Some("HEAD") => RouteMethod::Head,
            Some("POST") => RouteMethod::Post,
            _ => RouteMethod::Other,
        },
        target: start + origin_length(path)..start + path.len(),
        old,
        keep_alive: !seen.close && (!old || seen.keep_alive),
        framing: if seen.chunked {
            RequestFraming::Chunked
        } else {
            RequestFraming::Length(seen.length.unwrap_or(0))
        },
        expects: seen.expects && !old,
        authorized: seen.authorized,
        intended: seen.intended,
    }))
}

/// Returns the length of `http://host` in a target in absolute form, as in requests to proxies.
fn origin_length(target: &str) -> usize {
    if target.starts_with('/') {
        return 0;
    }
    let Some(colon) = target.find("://") else { return 0 };
    target[colon + 3..].find('/').map_or(target.len(), |slash| colon + 3 + slash)
}

impl SeenHeaders {
    fn take(&mut self, header: &Header<'_>) -> Result<(), HeadError> {
        let (name, value) = (header.name, header.value);
        let is = |expected: &str| name.eq_ignore_ascii_case(expected);
        // By length first: most headers are irrelevant.
        match name.len() {
            4 if is("host") => self.host = true,
            6 if is("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError(417));
                }
                self.expects = true;
            }
            10 if is("connection") => {
                for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            13 if is("authorization") => self.authorized = true,
            14 if is("content-length") => {
                let length = number(value).ok_or(HeadError(400))?;
                // Two lengths that differ are a sign of request smuggling.
                if self.length.is_some_and(|earlier| earlier != length) {
                    return Err(HeadError(400));
                }
                self.length = Some(length);
            }
            15 if is("manada-intended") => {
                let mut words = value.split(|b| *b == b' ');
                if let (Some(index), Some(ns)) = (words.next(), words.next())
                    && let (Some(index), Some(ns)) = (number(index), number(ns))
                {
                    self.intended = Some(IntendedStart { index, ns });
                }
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError(501));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Parses digits only.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_parsed() {
        let text = "POST http://h:1/a?b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\
            Expect: 100-continue\r\nAuthorization: x\r\nmanada-intended: 7 99\r\n\r\nhello";
        let head = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(&text[head.target.clone()], "/a?b");
        assert_eq!(head.length, text.len() - 5);
        assert_eq!(head.framing, RequestFraming::Length(5));
        assert_eq!(head.intended, Some(IntendedStart { index: 7, ns: 99 }));
        assert!(head.expects && head.authorized && head.keep_alive && !head.old);
        assert_eq!(head.method, RouteMethod::Post);
        assert!(parse(&text.as_bytes()[..40]).unwrap().is_none());
    }

    #[test]
    fn keep_alive_follows_version_and_header() {
        for (version, header, keep_alive) in [
            ("1.1", "x: y", true),
            ("1.1", "Connection: upgrade, Close", false),
            ("1.0", "x: y", false),
            ("1.0", "connection: Keep-Alive", true),
        ] {
            let text = format!("GET / HTTP/{version}\r\nhost: h\r\n{header}\r\n\r\n");
            let head = parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!(head.keep_alive, keep_alive, "{version} {header}");
        }
    }

    #[test]
    fn invalid_heads_are_rejected() {
        let many = "a: b\r\n".repeat(101);
        let long = format!("a: {}\r\n", "b".repeat(MAX_HEAD));
        for (text, status) in [
            ("\0\0\0", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/3.0\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
            (
                "GET / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\
                transfer-encoding: chunked\r\n\r\n",
                400,
            ),
            ("GET / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip\r\n\r\n", 501),
            ("GET / HTTP/1.1\r\nhost: h\r\nexpect: money\r\n\r\n", 417),
            (&format!("GET / HTTP/1.1\r\nhost: h\r\n{many}\r\n"), 431),
            (&format!("GET / HTTP/1.1\r\nhost: h\r\n{long}\r\n"), 431),
            (&format!("GET / HTTP/1.1\r\nhost: h\r\n{long}"), 431),
        ] {
            let refused = parse(text.as_bytes()).unwrap_err();
            assert_eq!(refused, HeadError(status), "{}", &text[..text.len().min(80)]);
        }
    }
}
