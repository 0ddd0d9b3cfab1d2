//! A response whose body is parsed at most once, for the checks and captures on it.
//!
//! `apply` creates it, `check` and `capture` read it.
//! Invariant: a limit that was exceeded is recorded, and the part beyond it counts as absent.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::time::Duration;

use serde_json::Value as Json;

use super::limits::{MAX_JSON, MAX_SEARCHED, TooComplex};
#[cfg(feature = "css")]
use super::page;
use super::path::{BoundedPath, NodesByDepth};
use crate::template::exact_json;

/// A complete response, as far as it was captured.
#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    /// Status code of the response.
    pub status: u16,
    /// The raw header block after the status line; empty if it was not captured.
    pub head: &'a [u8],
    /// The decoded body, empty if it is not needed; `None` if it could not be decoded: then
    /// conditions on it fail.
    pub body: Option<BodyView<'a>>,
    /// The user's cookies for this service, after this response; empty if they are not needed.
    pub cookies: &'a [(String, String)],
    /// From dispatch to the last byte.
    pub service: Duration,
    /// From dispatch to the first byte.
    pub first_byte: Duration,
    /// What was observed of a response in pieces; `None` if nothing was.
    pub streamed: Option<StreamedView<'a>>,
}

/// What was observed of a response in pieces.
#[derive(Clone, Copy, Debug)]
pub struct StreamedView<'a> {
    /// Why the model stopped.
    pub finish: Option<&'a str>,
    /// Events, lines or messages.
    pub messages: u64,
    /// Tokens of the answer; pieces with content, if the response does not say.
    pub tokens: u64,
    /// From dispatch to the first content; `None` without content.
    pub first: Option<Duration>,
}

/// The body of a response, its content codings decoded.
#[derive(Clone, Copy, Debug)]
pub struct BodyView<'a> {
    /// The body's own bytes.
    pub bytes: &'a [u8],
    /// The body in UTF-8, or as received if its charset is unknown.
    pub text: &'a [u8],
}

/// A response whose body is parsed at most once, on first use.
#[derive(Debug)]
pub struct ParsedResponse<'a> {
    pub(super) view: ResponseView<'a>,
    json: OnceCell<Option<Json>>,
    levels: OnceCell<NodesByDepth>,
    #[cfg(feature = "css")]
    html: OnceCell<Option<scraper::Html>>,
    /// Whether a limit was exceeded.
    pub(super) is_too_complex: Cell<bool>,
}

impl<'a> ParsedResponse<'a> {
    /// The rows that a statement of SQL returned or changed; `None` if the response has none.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.headers("rows").next()?.parse().ok()
    }

    /// Wraps a response.
    pub fn new(view: ResponseView<'a>) -> Self {
        Self {
            view,
            json: OnceCell::new(),
            levels: OnceCell::new(),
            #[cfg(feature = "css")]
            html: OnceCell::new(),
            is_too_complex: Cell::new(false),
        }
    }

    /// Returns the result; `None` if it exceeded a limit, which is recorded.
    pub(super) fn accept<T>(&self, found: Result<T, TooComplex>) -> Option<T> {
        self.is_too_complex.set(self.is_too_complex.get() || found.is_err());
        found.ok()
    }

    /// The body as text; `None` if it could not be decoded.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        self.view.body.map(|body| body.text)
    }

    /// Whether the value of a response that is no HTTP is its text: its reader says otherwise of
    /// numbers, lists and maps.
    pub(super) fn is_text(&self) -> bool {
        self.headers("type").next().is_none_or(|kind| kind == "string" || kind == "error")
    }

    /// The body as JSON; `None` if it is not JSON.
    pub(super) fn json(&self) -> Option<&Json> {
        let parse = || {
            let body = self.text()?;
            self.accept(check_value_count(body))?;
            exact_json::parse(body).ok()
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// The nodes of the body that a path selects.
    pub(super) fn select(&self, path: &BoundedPath) -> Option<Vec<&Json>> {
        let json = self.json()?;
        self.accept(path.query(json, || self.levels.get_or_init(|| NodesByDepth::of(json))))
    }

    /// The body as HTML; any text is HTML, unless it exceeds a limit.
    #[cfg(feature = "css")]
    pub(super) fn html(&self) -> Option<&scraper::Html> {
        self.html.get_or_init(|| self.accept(page::parse(self.text()?))).as_ref()
    }

    /// The body for a regular expression; `None` if it is too long.
    pub(super) fn searchable_text(&self) -> Option<&'a [u8]> {
        let body = self.text()?;
        self.accept(if body.len() > MAX_SEARCHED { Err(TooComplex) } else { Ok(body) })
    }

    /// The values of all headers of this name, in order, decoded by [`text_of`].
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        // The wire's parser has accepted the block; splitting it into lines needs no limit on their
        // number, which a table of headers would.
        self.view.head.split(|&byte| byte == b'\n').filter_map(move |line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (key, value) = (&line[..colon], &line[colon + 1..]);
            let value = key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)?.trim_ascii();
            Some(text_of(value))
        })
    }

    /// The values that this response gives a cookie of this name.
    pub(super) fn set_cookies(&self, name: &str) -> impl Iterator<Item = String> {
        self.headers("set-cookie").filter_map(move |text| {
            let (own, value) = text.split(';').next()?.split_once('=')?;
            (own.trim() == name).then(|| value.trim().to_owned())
        })
    }
}

/// Decodes the octets of a header: UTF-8, or else ISO-8859-1 (RFC 9110 §5.5).
pub fn text_of(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => octets.iter().copied().map(char::from).collect::<String>().into(),
    }
}

/// Checks that a JSON body has few enough values to be parsed.
fn check_value_count(body: &[u8]) -> Result<(), TooComplex> {
    if body.len() <= MAX_JSON {
        return Ok(());
    }
    // Each value but the first follows one of these, outside texts; `{` and `[` begin one, too.
    let (mut values, mut at) = (1, 0);
    while let Some(&byte) = body.get(at) {
        values += usize::from(matches!(byte, b',' | b'[' | b'{'));
        at += 1;
        if byte == b'"' {
            while let Some(found) = memchr::memchr2(b'"', b'\\', &body[at.min(body.len())..]) {
                at += found + 1;
                if body[at - 1] == b'"' {
                    break;
                }
                at += 1;
            }
        }
    }
    if values > MAX_JSON { Err(TooComplex) } else { Ok(()) }
}
