//! What is looked for in an answer: captures and checks.
//!
//! `scenario` compiles them, the engine applies them to a kept answer with [`apply`].
//! Invariant: an answer is hostile input: nothing here trusts its size, encoding or shape.

mod capture;
mod check;

use std::cell::OnceCell;
use std::time::Duration;

use serde_json::Value as Json;

use super::call::Call;
use super::template::Value;
use crate::seed::Rng;

pub use capture::{Capture, Pick, Source};
pub use check::{Check, Text, Timing, What};

/// The most bytes a captured value may take; a larger one counts as not found.
pub const MAX_CAPTURE: usize = 64 << 10;

/// The longest page that is parsed for a selector: 4 MiB.
#[cfg(feature = "css")]
const MAX_HTML: usize = 4 << 20;

/// A complete answer, as far as it was kept.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Its status code.
    pub status: u16,
    /// The raw header block after the status line; empty when nobody asked for it.
    pub head: &'a [u8],
    /// The decoded body; empty when nobody asked for it.
    pub body: &'a [u8],
    /// The user's cookies for this service, after this answer; empty when nobody asked for them.
    pub cookies: &'a [(String, String)],
    /// From dispatch to the last byte.
    pub service: Duration,
    /// From dispatch to the first byte.
    pub first_byte: Duration,
}

/// An answer whose body is parsed at most once, by whoever asks first.
#[derive(Debug)]
pub struct Reading<'a> {
    answer: Answer<'a>,
    json: OnceCell<Option<Json>>,
    #[cfg(feature = "css")]
    html: OnceCell<scraper::Html>,
}

/// Which part of a call a verdict is about, by its index in the call's own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `Call::expects`
    Expect(usize),
    /// `Call::checks`
    Check(usize),
    /// `Call::captures`
    Capture(usize),
}

/// Looks at a complete answer: expects, then checks, then captures, each told to `each` with
/// whether it held. Returns whether all expects held; when one did not the call failed, and its
/// captures are left alone. A capture that finds nothing leaves its variable unset.
pub fn apply(
    call: &Call,
    answer: Answer<'_>,
    variables: &mut [Option<Value>],
    rng: &mut Rng,
    mut each: impl FnMut(Part, bool),
) -> bool {
    let reading = Reading::new(answer);
    let mut as_expected = true;
    for (index, check) in call.expects.iter().enumerate() {
        let held = check.holds(&reading);
        as_expected &= held;
        each(Part::Expect(index), held);
    }
    for (index, check) in call.checks.iter().enumerate() {
        each(Part::Check(index), check.holds(&reading));
    }
    if as_expected {
        for (index, capture) in call.captures.iter().enumerate() {
            let found = capture.find(&reading, rng);
            each(Part::Capture(index), found.is_some());
            if let Some(variable) = variables.get_mut(capture.variable) {
                *variable = found;
            }
        }
    }
    as_expected
}

impl<'a> Reading<'a> {
    /// Of this answer.
    pub fn new(answer: Answer<'a>) -> Self {
        Self {
            answer,
            json: OnceCell::new(),
            #[cfg(feature = "css")]
            html: OnceCell::new(),
        }
    }

    /// The body as JSON; `None` when it is none.
    fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(self.answer.body).ok()).as_ref()
    }

    /// The body as HTML; any text is some, but not a very long one.
    #[cfg(feature = "css")]
    fn html(&self) -> Option<&scraper::Html> {
        if self.answer.body.len() > MAX_HTML {
            return None;
        }
        let text = || String::from_utf8_lossy(self.answer.body);
        Some(self.html.get_or_init(|| scraper::Html::parse_document(&text())))
    }

    /// The values of all headers of this name that are UTF-8, in order.
    fn headers(&self, name: &str) -> impl Iterator<Item = &'a str> {
        // The wire's parser has accepted the block; walking its lines needs no limit on their
        // number, which a table of headers would.
        self.answer.head.split(|&byte| byte == b'\n').filter_map(move |line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (key, value) = (&line[..colon], &line[colon + 1..]);
            let value = key.eq_ignore_ascii_case(name.as_bytes()).then_some(value)?;
            std::str::from_utf8(value).ok().map(str::trim)
        })
    }

    /// The values that this answer gives a cookie of this name.
    fn set_cookies(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers("set-cookie").filter_map(move |text| {
            let (own, value) = text.split(';').next()?.split_once('=')?;
            (own.trim() == name).then(|| value.trim())
        })
    }
}

/// A JSON value as a template sees it; every type keeps its own.
pub fn to_value(node: &Json) -> Value {
    match node {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::from(integer),
            (None, Some(integer)) => Value::from(integer),
            (None, None) => Value::from(number.as_f64()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => items.iter().map(to_value).collect::<Vec<_>>().into(),
        Json::Object(map) => {
            Value::from_pairs(map.iter().map(|(key, item)| (key.as_str(), to_value(item))))
        }
    }
}

#[cfg(test)]
mod tests;
