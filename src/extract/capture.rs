//! Captures: values stored from a response for later steps.
//!
//! `apply` runs them; `scenario` compiles them.
//! Invariant: a stored value is bounded; a match that is too large counts as not found.

use rand::RngExt;
use regex::bytes::Regex;
use serde_json::Value as Json;

use super::limits::{MAX_CAPTURE, MAX_SEARCHES, TooComplex};
#[cfg(feature = "css")]
use super::page::CssSelector;
use super::path::BoundedPath;
use super::response::ParsedResponse;
use crate::seed::Rng;
use crate::template::Value;
use crate::template::exact_json::to_value;

/// Maximum matches in one body that are examined.
const MAX_FINDS: usize = 10_000;

/// A value to store from a response.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The variable's slot.
    pub variable: usize,
    /// Name of the capture in reports: `capture token`. A capture without a match is a failed check
    /// of this name.
    pub name: String,
    /// Where to search.
    pub source: CaptureSource,
    /// Which of several matches to store.
    pub pick: MatchPick,
}

/// Where a capture searches.
#[derive(Clone, Debug)]
pub enum CaptureSource {
    /// A header by name.
    Header(String),
    /// A cookie by name: as this response sets it, else as the user has it.
    Cookie(String),
    /// The nodes of the body that a JSONPath selects (RFC 9535).
    Json(BoundedPath),
    /// The whole value of a response that is no HTTP: a text, or the value of its JSON.
    Value,
    /// A group of a regular expression in the body; group 0 is the whole match.
    Regex(Regex, usize),
    /// The elements of an HTML body that a CSS selector matches: one of their attributes, or their
    /// text.
    #[cfg(feature = "css")]
    Css(CssSelector, Option<String>),
}

/// Which of several matches to store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchPick {
    /// The first.
    #[default]
    First,
    /// The last.
    Last,
    /// One drawn from the iteration's generator.
    Random,
    /// All matches, as a list.
    All,
}

impl Capture {
    /// Returns the value; `None` is a failed check.
    pub fn find(&self, response: &ParsedResponse<'_>, rng: &mut Rng) -> Option<Value> {
        match &self.source {
            CaptureSource::Header(name) => {
                let found: Vec<_> = response.headers(name).collect();
                self.text(found.iter().map(|value| &**value).collect(), rng)
            }
            CaptureSource::Cookie(name) => {
                let set: Vec<String> = response.set_cookies(name).collect();
                let had = response.view.cookies.iter().filter(|(own, _)| own == name);
                let had = had.map(|(_, value)| value.as_str());
                let set: Vec<&str> = set.iter().map(String::as_str).collect();
                self.text(if set.is_empty() { had.collect() } else { set }, rng)
            }
            CaptureSource::Json(path) => {
                let found = response.select(path)?;
                self.pick.choose_from(&found, rng, |node| weight(node), |node| to_value(node))
            }
            CaptureSource::Value if response.is_text() => {
                let text = std::str::from_utf8(response.text()?).ok()?;
                self.text(vec![text], rng)
            }
            CaptureSource::Value => {
                let node = response.json()?;
                self.pick.choose_from(&[node], rng, |node| weight(node), |node| to_value(node))
            }
            CaptureSource::Regex(regex, group) => {
                let body = response.searchable_text()?;
                let most = if self.pick == MatchPick::First { 1 } else { MAX_FINDS };
                let found = response.accept(finds(regex, body, most, *group))?;
                self.text(found, rng)
            }
            #[cfg(feature = "css")]
            CaptureSource::Css(selector, attribute) => {
                let page = response.html()?;
                let most = if self.pick == MatchPick::First { 1 } else { MAX_FINDS };
                let found = response.accept(selector.find(page, attribute.as_deref(), most))?;
                self.text(found.iter().map(String::as_str).collect(), rng)
            }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what was found ends here")]
    fn text(&self, found: Vec<&str>, rng: &mut Rng) -> Option<Value> {
        self.pick.choose_from(&found, rng, |text| text.len(), |text| Value::from(*text))
    }
}

/// Returns a group of each match of an expression, at most `most` of them. Each search may read all
/// the rest of the body, so that is what it counts.
fn finds<'b>(
    regex: &Regex,
    body: &'b [u8],
    most: usize,
    group: usize,
) -> Result<Vec<&'b str>, TooComplex> {
    let (mut found, mut searches) = (Vec::new(), MAX_SEARCHES);
    for find in regex.captures_iter(body).take(MAX_FINDS) {
        let end = find.get(0).map_or(0, |whole| whole.end());
        searches = searches.checked_sub(body.len() - end).ok_or(TooComplex)?;
        let text = find.get(group).and_then(|bytes| std::str::from_utf8(bytes.as_bytes()).ok());
        found.extend(text);
        if found.len() == most {
            break;
        }
    }
    Ok(found)
}

impl CaptureSource {
    /// Whether the capture reads headers.
    pub fn needs_head(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Cookie(_))
    }

    /// Whether the capture reads the body.
    pub fn needs_body(&self) -> bool {
        !self.needs_head()
    }
}

impl MatchPick {
    fn choose_from<T>(
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

/// The approximate size of a value, bytes.
fn weight(node: &Json) -> usize {
    match node {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(|item| 16 + weight(item)).sum(),
        Json::Object(map) => map.iter().map(|(key, item)| 32 + key.len() + weight(item)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}
