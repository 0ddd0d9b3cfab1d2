//! Checks and captures: conditions on a response, and values kept from it.
//!
//! `scenario` compiles them, the engine applies them to a kept answer with [`apply`].
//! Invariant: an answer is hostile input: nothing here trusts its size, encoding or shape, and the
//! work on it is bounded (ARCHITECTURE.md, the table of bounds).

mod capture;
mod check;
#[cfg(feature = "css")]
mod counted;
#[cfg(feature = "css")]
mod page;
mod path;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::time::Duration;

use serde_json::Value as Json;

use crate::seed::Rng;
use crate::template::{Value, exact_json};

pub use capture::{Capture, CaptureSource, MatchPick};
pub use check::{Check, CheckCondition, CheckedTime, TextCondition};
#[cfg(feature = "css")]
pub use page::CssSelector;
pub use path::BoundedPath;

/// The most bytes a captured value may take; a larger one counts as not found.
pub const MAX_CAPTURE: usize = 64 << 10;

/// The longest body that a regular expression is looked for in: 8 MiB.
const MAX_SEARCHED: usize = 8 << 20;

/// The most bytes that one capture searches with a regular expression, all its finds together:
/// each may search to the end of the body.
const MAX_SEARCHES: usize = 1 << 30;

/// The most values of a body of JSON: each takes 72 bytes of memory, and may take one of the body.
const MAX_JSON: usize = 2_000_000;

/// A complete answer, as far as it was kept.
#[derive(Clone, Copy, Debug)]
pub struct ResponseView<'a> {
    /// Its status code.
    pub status: u16,
    /// The raw header block after the status line; empty when nobody asked for it.
    pub head: &'a [u8],
    /// The decoded body, empty if nothing looks at it; `None` when it could not be decoded:
    /// then what looks at it fails.
    pub body: Option<BodyView<'a>>,
    /// The user's cookies for this service, after this answer; empty when nobody asked for them.
    pub cookies: &'a [(String, String)],
    /// From dispatch to the last byte.
    pub service: Duration,
    /// From dispatch to the first byte.
    pub first_byte: Duration,
}

/// The body of an answer, its content codings undone.
#[derive(Clone, Copy, Debug)]
pub struct BodyView<'a> {
    /// As its target made it.
    pub bytes: &'a [u8],
    /// The same in UTF-8, or as it came where its charset is not known.
    pub text: &'a [u8],
}

/// An answer whose body is parsed at most once, by whoever asks first.
#[derive(Debug)]
pub struct ParsedResponse<'a> {
    answer: ResponseView<'a>,
    json: OnceCell<Option<Json>>,
    levels: OnceCell<path::NodesByDepth>,
    #[cfg(feature = "css")]
    html: OnceCell<Option<scraper::Html>>,
    /// Something went beyond its limit.
    is_too_complex: Cell<bool>,
}

/// Work on a response, or the response, goes beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooComplex;

/// What came of looking at a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// All expects held.
    pub as_expected: bool,
    /// Some check or capture would have taken more work than it may; it counts as failed.
    pub too_complex: bool,
}

/// Which part of a call a verdict is about, by its index in the call's own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckPart {
    /// `Call::expects`
    Expect(usize),
    /// `Call::checks`
    Check(usize),
    /// `Call::captures`
    Capture(usize),
}

/// What a call looks for in its response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseRules<'a> {
    /// Conditions without which the call has failed.
    pub expects: &'a [Check],
    /// Conditions that are counted.
    pub checks: &'a [Check],
    /// Values kept for later steps.
    pub captures: &'a [Capture],
}

/// Looks at a complete answer: expects, then checks, then captures, each told to `each` with
/// whether it held. When an expect did not hold the call failed, and its captures are left alone.
/// A capture that finds nothing leaves its variable unset.
pub fn apply(
    rules: ResponseRules<'_>,
    answer: ResponseView<'_>,
    variables: &mut [Option<Value>],
    rng: &mut Rng,
    mut each: impl FnMut(CheckPart, bool),
) -> Evaluation {
    let reading = ParsedResponse::new(answer);
    let mut as_expected = true;
    for (index, check) in rules.expects.iter().enumerate() {
        let held = check.holds(&reading);
        as_expected &= held;
        each(CheckPart::Expect(index), held);
    }
    for (index, check) in rules.checks.iter().enumerate() {
        each(CheckPart::Check(index), check.holds(&reading));
    }
    if as_expected {
        for (index, capture) in rules.captures.iter().enumerate() {
            let found = capture.find(&reading, rng);
            each(CheckPart::Capture(index), found.is_some());
            if let Some(variable) = variables.get_mut(capture.variable) {
                *variable = found;
            }
        }
    }
    Evaluation { as_expected, too_complex: reading.is_too_complex.get() }
}

impl<'a> ParsedResponse<'a> {
    /// Of this answer.
    pub fn new(answer: ResponseView<'a>) -> Self {
        Self {
            answer,
            json: OnceCell::new(),
            levels: OnceCell::new(),
            #[cfg(feature = "css")]
            html: OnceCell::new(),
            is_too_complex: Cell::new(false),
        }
    }

    /// What was found; `None`, and noted, when that took too much work.
    fn within<T>(&self, found: Result<T, TooComplex>) -> Option<T> {
        self.is_too_complex.set(self.is_too_complex.get() || found.is_err());
        found.ok()
    }

    /// The body as text; `None` when it could not be decoded.
    fn text(&self) -> Option<&'a [u8]> {
        self.answer.body.map(|body| body.text)
    }

    /// The body as JSON; `None` when it is none.
    fn json(&self) -> Option<&Json> {
        let parse = || {
            let body = self.text()?;
            self.within(few_values(body))?;
            exact_json::parse(body).ok()
        };
        self.json.get_or_init(parse).as_ref()
    }

    /// The nodes that a path finds in the body.
    fn at(&self, path: &BoundedPath) -> Option<Vec<&Json>> {
        let json = self.json()?;
        self.within(path.query(json, || self.levels.get_or_init(|| path::NodesByDepth::of(json))))
    }

    /// The body as HTML; any text is some, but not a very long or deep one.
    #[cfg(feature = "css")]
    fn html(&self) -> Option<&scraper::Html> {
        self.html.get_or_init(|| self.within(page::parse(self.text()?))).as_ref()
    }

    /// The body for a regular expression; `None` when it is too long.
    fn searched(&self) -> Option<&'a [u8]> {
        let body = self.text()?;
        self.within(if body.len() > MAX_SEARCHED { Err(TooComplex) } else { Ok(body) })
    }

    /// The values of all headers of this name as [`text_of`] them, in order.
    fn headers(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        // The wire's parser has accepted the block; walking its lines needs no limit on their
        // number, which a table of headers would.
        self.answer.head.split(|&byte| byte == b'\n').filter_map(move |line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (key, value) = (&line[..colon], &line[colon + 1..]);
            let value = key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)?.trim_ascii();
            Some(text_of(value))
        })
    }

    /// The values that this answer gives a cookie of this name.
    fn set_cookies(&self, name: &str) -> impl Iterator<Item = String> {
        self.headers("set-cookie").filter_map(move |text| {
            let (own, value) = text.split(';').next()?.split_once('=')?;
            (own.trim() == name).then(|| value.trim().to_owned())
        })
    }
}

/// The octets of a header as text: UTF-8, or ISO-8859-1 what is none (RFC 9110 §5.5).
pub fn text_of(octets: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(octets) {
        Ok(text) => text.into(),
        Err(_) => octets.iter().copied().map(char::from).collect::<String>().into(),
    }
}

/// Whether a body of JSON has few enough values to be kept in memory.
fn few_values(body: &[u8]) -> Result<(), TooComplex> {
    if body.len() <= MAX_JSON {
        return Ok(());
    }
    // Each value but the first follows one of these, outside texts; `{` and `[` begin one too.
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

#[cfg(test)]
mod tests;
