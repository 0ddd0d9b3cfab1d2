//! Requests and heads of HTTP/1.1 as HTTP/2 has them (RFC 9113 §8).
//!
//! `http2` turns what the engine rendered into its own form, and answers back into header blocks.
//! Invariant: what is kept of an answer looks the same whatever version it came in.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request};

use super::framing::MAX_HEADERS;
use super::response_capture::{CaptureRequest, ResponseCapture};

/// Headers that speak of a connection of HTTP/1.1 (RFC 9113 §8.2.2), and Host, which becomes the
/// authority.
const LEFT_OUT: [&str; 6] =
    ["host", "connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"];

/// What stands after the head.
pub(super) fn body_of(bytes: &[u8]) -> &[u8] {
    memchr::memmem::find(bytes, b"\r\n\r\n").map_or(&[], |end| &bytes[end + 4..])
}

/// A rendered request in the form of HTTP/2; `None` when its target or a header cannot be one.
pub(super) fn request(bytes: &[u8], scheme: Scheme) -> Option<(Request<()>, Bytes)> {
    let mut room = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut room);
    let Ok(httparse::Status::Complete(length)) = parsed.parse(bytes) else { return None };
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    let headers = request.headers_mut();
    headers.reserve(parsed.headers.len());
    let mut authority = None;
    for header in parsed.headers.iter() {
        if header.name.eq_ignore_ascii_case("host") {
            authority = Authority::try_from(header.value).ok();
        }
        if LEFT_OUT.iter().any(|name| header.name.eq_ignore_ascii_case(name)) {
            continue;
        }
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority?);
    parts.path_and_query = Some(PathAndQuery::try_from(parsed.path?).ok()?);
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    Some((request, Bytes::copy_from_slice(&bytes[length..])))
}

/// The length of a head as a header block of HTTP/1.1, bytes.
pub(super) fn head_length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// The length that an answer's head declares.
pub(super) fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Keeps of an answer's head what is wanted, as a header block of HTTP/1.1.
pub(super) fn keep_head(
    headers: &HeaderMap,
    status: u16,
    wanted: &CaptureRequest,
    kept: &mut ResponseCapture,
) {
    kept.head.clear();
    kept.body.clear();
    kept.sets_cookie = wanted.cookies && headers.contains_key(http::header::SET_COOKIE);
    kept.encoded = wanted.keep_body && headers.contains_key(http::header::CONTENT_ENCODING);
    if !(wanted.head_of(status) || kept.sets_cookie || kept.encoded) {
        return;
    }
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            kept.head.extend_from_slice(part);
        }
    }
    kept.head.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_request_keeps_its_meaning() {
        let bytes = b"POST /a?b=c HTTP/1.1\r\nHost: shop.example:81\r\nX-Y: z\r\n\
            Connection: close\r\nContent-Length: 2\r\n\r\nhi";
        let (request, body) = request(bytes, Scheme::HTTP).unwrap();
        assert_eq!(request.uri(), "http://shop.example:81/a?b=c");
        assert_eq!((request.method(), &body[..]), (&Method::POST, &b"hi"[..]));
        let names: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["x-y", "content-length"]);
        assert_eq!(body_of(bytes), b"hi");
        for broken in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n"]
        {
            assert!(super::request(broken, Scheme::HTTP).is_none());
        }
    }

    #[test]
    fn heads_look_as_those_of_http_1() {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        let wanted = CaptureRequest {
            head_request: false,
            max_body: 1,
            keep_head: false,
            keep_body: false,
            cookies: true,
            location: false,
            retry_after: false,
        };
        let mut kept = ResponseCapture { body: vec![1].into(), ..ResponseCapture::default() };
        keep_head(&headers, 200, &wanted, &mut kept);
        assert_eq!(kept.head, b"set-cookie: a=1\r\nset-cookie: b=2\r\n\r\n");
        assert!(kept.sets_cookie && !kept.encoded && kept.body.is_empty());
        keep_head(&HeaderMap::new(), 302, &wanted, &mut kept);
        assert!(kept.head.is_empty() && !kept.sets_cookie);
        // The head says how to read a body.
        let wanted = CaptureRequest { keep_body: true, ..wanted };
        let mut headers = HeaderMap::new();
        headers.append("content-encoding", HeaderValue::from_static("br"));
        keep_head(&headers, 200, &wanted, &mut kept);
        assert_eq!((kept.encoded, &*kept.head), (true, &b"content-encoding: br\r\n\r\n"[..]));
    }
}
