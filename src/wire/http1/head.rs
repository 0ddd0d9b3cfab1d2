//! Heads of responses, parsed as far as they concern the connection and the body.
//!
//! `framing` calls it.
//! Invariant: heads, their lines and empty lines before them are bounded.

use std::mem::MaybeUninit;

use crate::stats::FailureKind;
use crate::wire::http1::framing_error::FramingError;
use crate::wire::http1::limits::MAX_HEADERS;
use crate::wire::http1::plain;

/// Headers parsed without a heap allocation; real responses have fewer.
const USUAL_HEADERS: usize = 48;
/// Maximum bytes of empty lines before a status line: the parser skips them, again with each piece
/// that arrives.
const MAX_BLANK: usize = 64;

/// A parsed head, as far as it concerns the body.
pub(super) struct BodyHead {
    pub(super) length: usize,
    pub(super) status: u16,
    pub(super) keep_alive: bool,
    pub(super) framing: BodyFraming,
    /// Length of the status line, bytes.
    pub(super) line: usize,
    /// Whether the head has a Set-Cookie.
    pub(super) sets_cookie: bool,
    /// Whether the head has a Content-Encoding.
    pub(super) encoded: bool,
    /// The rewritten bytes of the head, if they had to be rewritten to be parsed.
    pub(super) plain: Option<Vec<u8>>,
}

pub(super) enum BodyFraming {
    Length(u64),
    Chunked,
    UntilClose,
}

/// Parses a whole head at the start of `bytes`; `None` if more must arrive.
#[inline]
pub(super) fn parse(bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
    if bytes.iter().take(MAX_BLANK + 1).all(|byte| matches!(byte, b'\r' | b'\n'))
        && bytes.len() > MAX_BLANK
    {
        return Err(FramingError::head(FailureKind::NotHttp));
    }
    let mut usual_headers = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut response, bytes, &mut usual_headers) {
        Ok(httparse::Status::Complete(length)) => read_head(&response, bytes, length).map(Some),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => parse_odd(bytes),
    }
}

/// Parses a head with more headers than usual, or in a form that only readers must accept.
#[cold]
fn parse_odd(bytes: &[u8]) -> Result<Option<BodyHead>, FramingError> {
    let plain = plain::head(bytes);
    let bytes = plain.as_deref().unwrap_or(bytes);
    let mut all_headers = vec![httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut all_headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => read_head(&response, bytes, length)?,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(FramingError::head(FailureKind::TooManyHeaders));
        }
        Err(_) if plain::is_http(bytes) => return Err(FramingError::head(FailureKind::Malformed)),
        Err(_) => return Err(FramingError::head(FailureKind::NotHttp)),
    };
    Ok(Some(BodyHead { plain, ..head }))
}

/// Extracts what a parsed head says about the connection and the body (RFC 9112 §6.3, §9.3).
fn read_head(
    response: &httparse::Response<'_, '_>,
    bytes: &[u8],
    length: usize,
) -> Result<BodyHead, FramingError> {
    let malformed = FramingError::head(FailureKind::Malformed);
    let mut keep_alive = response.version == Some(1);
    let mut close = false;
    let mut content_length: Option<u64> = None;
    let mut transfer: Option<bool> = None;
    let (mut sets_cookie, mut encoded) = (false, false);
    for header in response.headers.iter() {
        // By length first: most headers are irrelevant here.
        match header.name.len() {
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for word in header.value.split(|b| *b == b',') {
                    let word = word.trim_ascii();
                    keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                    close |= word.eq_ignore_ascii_case(b"close");
                }
            }
            10 if header.name.eq_ignore_ascii_case("set-cookie") => sets_cookie = true,
            16 if header.name.eq_ignore_ascii_case("content-encoding") => encoded = true,
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = digits(header.value).ok_or(malformed)?;
                if content_length.is_some_and(|before| before != value) {
                    return Err(malformed);
                }
                content_length = Some(value);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                // Empty list elements are ignored (RFC 9110 §5.6.1).
                let codings = header.value.rsplit(|b| *b == b',').map(<[u8]>::trim_ascii);
                let last = codings.into_iter().find(|coding| !coding.is_empty());
                let chunked = last.map(|coding| coding.eq_ignore_ascii_case(b"chunked"));
                transfer = chunked.or(transfer).or(Some(false));
            }
            _ => {}
        }
    }
    // `close` wins, wherever it stands (RFC 9112 §9.3).
    keep_alive &= !close;
    let framing = match (transfer, content_length) {
        // Chunked from an HTTP/1.0 server cannot be trusted; hyper rejects it, too.
        (Some(_), _) if response.version == Some(0) => return Err(malformed),
        (Some(true), length) => {
            // A length beside chunks is how request smuggling begins: read it, but do not reuse the
            // connection.
            keep_alive &= length.is_none();
            BodyFraming::Chunked
        }
        (Some(false), _) | (None, None) => BodyFraming::UntilClose,
        (None, Some(length)) => BodyFraming::Length(length),
    };
    let line = memchr::memchr(b'\n', bytes).map_or(length, |at| at + 1).min(length);
    // The parser accepts any three digits; there is no status below 100 (RFC 9110 §15).
    let status = response.code.filter(|code| *code >= 100).ok_or(malformed)?;
    Ok(BodyHead { length, status, keep_alive, framing, line, sets_cookie, encoded, plain: None })
}

/// Parses a Content-Length: digits alone; a list must repeat the same number (RFC 9112 §6.3).
fn digits(value: &[u8]) -> Option<u64> {
    let mut all = value.split(|b| *b == b',').map(|one| {
        let one = one.trim_ascii();
        let plain = !one.is_empty() && one.iter().all(u8::is_ascii_digit);
        let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
        plain.then(|| one.iter().try_fold(0, add)).flatten()
    });
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}
