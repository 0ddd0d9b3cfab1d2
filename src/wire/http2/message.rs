//! Converts HTTP/1.1 requests and heads to HTTP/2 and back (RFC 9113 §8).
//!
//! `http2` converts rendered requests with it, and responses back into header blocks.
//! Invariant: a captured response looks the same whichever HTTP version it came over.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, Request};

use crate::wire::body::capture_request::{CaptureRequest, TakesOver};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::http1::limits::MAX_HEADERS;

/// Headers that concern an HTTP/1.1 connection (RFC 9113 §8.2.2), and Host, which becomes the
/// authority.
const LEFT_OUT: [&str; 6] =
    ["host", "connection", "keep-alive", "transfer-encoding", "upgrade", "proxy-connection"];

/// Returns the bytes after the head.
pub(in crate::wire) fn body_of(bytes: &[u8]) -> &[u8] {
    memchr::memmem::find(bytes, b"\r\n\r\n").map_or(&[], |end| &bytes[end + 4..])
}

/// Converts a rendered request; `None` if its target or a header is not valid in HTTP/2.
pub(in crate::wire) fn request(bytes: &[u8], scheme: Scheme) -> Option<(Request<()>, Bytes)> {
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

/// Returns the length that a head has as an HTTP/1.1 header block, bytes.
pub(in crate::wire) fn head_length(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// Returns the body length that a response's head declares.
pub(in crate::wire) fn length_of(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Captures the requested parts of a response's head, as an HTTP/1.1 header block.
pub(in crate::wire) fn keep_head(
    headers: &HeaderMap,
    status: u16,
    request: &CaptureRequest,
    capture: &mut ResponseCapture,
) {
    capture.head.clear();
    capture.body.clear();
    capture.sets_cookie = request.cookies && headers.contains_key(http::header::SET_COOKIE);
    capture.encoded = request.keep_body && headers.contains_key(http::header::CONTENT_ENCODING);
    let is_taken_over = request.takes_over == TakesOver::Body;
    if !(request.head_of(status) || capture.sets_cookie || capture.encoded || is_taken_over) {
        return;
    }
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            capture.head.extend_from_slice(part);
        }
    }
    capture.head.extend_from_slice(b"\r\n");
}

/// Adds trailers to a captured head.
pub(in crate::wire) fn add_trailers(trailers: &HeaderMap, capture: &mut ResponseCapture) {
    if capture.head.is_empty() {
        return;
    }
    // The empty line that ends the head.
    capture.head.truncate(capture.head.len() - 2);
    for (name, value) in trailers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            capture.head.extend_from_slice(part);
        }
    }
    capture.head.extend_from_slice(b"\r\n");
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
    fn captured_heads_look_like_http_1() {
        let mut headers = HeaderMap::new();
        headers.append("set-cookie", HeaderValue::from_static("a=1"));
        headers.append("set-cookie", HeaderValue::from_static("b=2"));
        let request = CaptureRequest {
            head_request: false,
            max_body: 1,
            keep_head: false,
            keep_body: false,
            cookies: true,
            location: false,
            retry_after: false,
            takes_over: TakesOver::Nothing,
            observes: None,
        };
        let mut capture = ResponseCapture { body: vec![1].into(), ..ResponseCapture::default() };
        keep_head(&headers, 200, &request, &mut capture);
        assert_eq!(capture.head, b"set-cookie: a=1\r\nset-cookie: b=2\r\n\r\n");
        assert!(capture.sets_cookie && !capture.encoded && capture.body.is_empty());
        keep_head(&HeaderMap::new(), 302, &request, &mut capture);
        assert!(capture.head.is_empty() && !capture.sets_cookie);
        // Capturing the body captures the head, too, which says how to decode it.
        let request = CaptureRequest { keep_body: true, ..request };
        let mut headers = HeaderMap::new();
        headers.append("content-encoding", HeaderValue::from_static("br"));
        keep_head(&headers, 200, &request, &mut capture);
        assert_eq!((capture.encoded, &*capture.head), (true, &b"content-encoding: br\r\n\r\n"[..]));
    }
}
