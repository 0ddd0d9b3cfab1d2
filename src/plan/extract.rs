//! What is looked for in an answer: captures and checks.
//!
//! `scenario` compiles them, the engine applies them to a kept answer with [`apply`].
//! Invariant: an answer is hostile input: nothing here trusts its size, encoding or shape.

use std::cell::OnceCell;
use std::time::Duration;

use rand::RngExt;
use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::call::Call;
use super::template::Value;
use crate::seed::Rng;
use crate::verdict::Op;

/// The most bytes a captured value may take; a larger one counts as not found.
pub const MAX_CAPTURE: usize = 64 << 10;

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
}

/// An answer whose JSON is parsed at most once, by whoever asks first.
#[derive(Debug)]
pub struct Reading<'a> {
    answer: Answer<'a>,
    json: OnceCell<Option<Json>>,
}

/// A value kept from an answer.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The variable's slot.
    pub variable: usize,
    /// What reports call it: `capture token`. A capture that finds nothing is a failed check
    /// of this name.
    pub name: String,
    /// Where it is looked for.
    pub source: Source,
    /// Which of several finds is kept.
    pub pick: Pick,
}

/// Where a capture looks.
#[derive(Clone, Debug)]
pub enum Source {
    /// A header by name.
    Header(String),
    /// A cookie by name: as this answer sets it, else as the user has it.
    Cookie(String),
    /// The nodes a JSONPath finds in the body (RFC 9535).
    Json(JsonPath),
}

/// Which of several finds is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pick {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
    /// One drawn from the iteration's generator.
    Random,
    /// All of them, as a list.
    All,
}

/// A condition on an answer.
#[derive(Clone, Debug)]
pub struct Check {
    /// How reports call it: `status is 200`.
    pub name: String,
    /// The condition.
    pub what: What,
}

/// The conditions.
#[derive(Clone, Debug)]
pub enum What {
    /// The status is one of these.
    Status(Vec<u16>),
    /// Some header of this name has a value that matches.
    Header(String, Text),
    /// The body contains these bytes.
    Body(Vec<u8>),
    /// The first node the path finds equals the value.
    Json(JsonPath, Json),
    /// The service time compares so.
    Service(Op, Duration),
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// It is this.
    Equals(String),
    /// This is somewhere in it.
    Contains(String),
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
        Self { answer, json: OnceCell::new() }
    }

    /// The body as JSON; `None` when it is none.
    fn json(&self) -> Option<&Json> {
        self.json.get_or_init(|| serde_json::from_slice(self.answer.body).ok()).as_ref()
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
}

impl<'a> Reading<'a> {
    /// The values that this answer gives a cookie of this name.
    fn set_cookies(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers("set-cookie").filter_map(move |text| {
            let (own, value) = text.split(';').next()?.split_once('=')?;
            (own.trim() == name).then(|| value.trim())
        })
    }
}

impl Capture {
    /// What it finds; `None` is a failed check.
    pub fn find(&self, reading: &Reading<'_>, rng: &mut Rng) -> Option<Value> {
        match &self.source {
            Source::Header(name) => {
                let found: Vec<&str> = reading.headers(name).collect();
                self.pick.of(&found, rng, |text| text.len(), |text| Value::from(*text))
            }
            Source::Cookie(name) => {
                let set: Vec<&str> = reading.set_cookies(name).collect();
                let had = reading.answer.cookies.iter().filter(|(own, _)| own == name);
                let had: Vec<&str> = had.map(|(_, value)| value.as_str()).collect();
                let found = if set.is_empty() { had } else { set };
                self.pick.of(&found, rng, |text| text.len(), |text| Value::from(*text))
            }
            Source::Json(path) => {
                let found = path.query(reading.json()?).all();
                self.pick.of(&found, rng, |node| weight(node), |node| to_value(node))
            }
        }
    }
}

impl Pick {
    fn of<T>(
        self,
        found: &[T],
        rng: &mut Rng,
        size: impl Fn(&T) -> usize,
        keep: impl Fn(&T) -> Value,
    ) -> Option<Value> {
        let index = match self {
            _ if found.is_empty() => return None,
            Self::First => 0,
            Self::Last => found.len() - 1,
            Self::Random => rng.random_range(0..found.len()),
            Self::All => {
                let total: usize = found.iter().map(|item| 16 + size(item)).sum();
                return (total <= MAX_CAPTURE)
                    .then(|| found.iter().map(keep).collect::<Vec<_>>().into());
            }
        };
        found.get(index).filter(|item| size(item) <= MAX_CAPTURE).map(keep)
    }
}

impl Check {
    /// Whether it holds.
    pub fn holds(&self, reading: &Reading<'_>) -> bool {
        match &self.what {
            What::Status(wanted) => wanted.contains(&reading.answer.status),
            What::Header(name, text) => reading.headers(name).any(|value| text.matches(value)),
            What::Body(part) => memchr::memmem::find(reading.answer.body, part).is_some(),
            What::Json(path, wanted) => reading
                .json()
                .and_then(|json| path.query(json).first())
                .is_some_and(|node| same(node, wanted)),
            What::Service(op, limit) => {
                op.holds(reading.answer.service.as_secs_f64() * 1e6, limit.as_secs_f64() * 1e6)
            }
        }
    }
}

impl Text {
    fn matches(&self, value: &str) -> bool {
        match self {
            Self::Equals(wanted) => value == wanted,
            Self::Contains(part) => value.contains(part.as_str()),
        }
    }
}

impl Source {
    /// Whether it reads headers.
    pub fn needs_head(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Cookie(_))
    }

    /// Whether it reads the body.
    pub fn needs_body(&self) -> bool {
        matches!(self, Self::Json(_))
    }
}

impl What {
    /// Whether it reads headers.
    pub fn needs_head(&self) -> bool {
        matches!(self, Self::Header(..))
    }

    /// Whether it reads the body.
    pub fn needs_body(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Json(..))
    }

    /// Whether it names this status as wanted.
    pub fn names_status(&self, status: u16) -> bool {
        matches!(self, Self::Status(wanted) if wanted.contains(&status))
    }
}

/// About how many bytes a value takes.
fn weight(node: &Json) -> usize {
    match node {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(|item| 16 + weight(item)).sum(),
        Json::Object(map) => map.iter().map(|(key, item)| 32 + key.len() + weight(item)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}

/// Equal as JSON, where `1` and `1.0` are the same number.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
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
#[path = "extract_tests.rs"]
mod tests;
