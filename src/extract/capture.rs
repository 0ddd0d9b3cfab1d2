//! Captures: values kept from an answer for later steps.
//!
//! Invariant: what is kept is bounded; a find that is too large is no find.

use rand::RngExt;
use regex::bytes::Regex;
use serde_json::Value as Json;

#[cfg(feature = "css")]
use super::CssSelector;
use super::{BoundedPath, MAX_CAPTURE, MAX_SEARCHES, ParsedResponse, TooComplex};
use crate::seed::Rng;
use crate::template::Value;
use crate::template::exact_json::to_value;

/// The most finds in one body that are looked at.
const MAX_FINDS: usize = 10_000;

/// A value kept from an answer.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The variable's slot.
    pub variable: usize,
    /// What reports call it: `capture token`. A capture that finds nothing is a failed check
    /// of this name.
    pub name: String,
    /// Where it is looked for.
    pub source: CaptureSource,
    /// Which of several finds is kept.
    pub pick: MatchPick,
}

/// Where a capture looks.
#[derive(Clone, Debug)]
pub enum CaptureSource {
    /// A header by name.
    Header(String),
    /// A cookie by name: as this answer sets it, else as the user has it.
    Cookie(String),
    /// The nodes a JSONPath finds in the body (RFC 9535).
    Json(BoundedPath),
    /// A group of a regular expression in the body; group 0 is all of it.
    Regex(Regex, usize),
    /// The elements of an HTML body that a CSS selector finds: an attribute of theirs, or their
    /// text.
    #[cfg(feature = "css")]
    Css(CssSelector, Option<String>),
}

/// Which of several finds is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchPick {
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

impl Capture {
    /// What it finds; `None` is a failed check.
    pub fn find(&self, reading: &ParsedResponse<'_>, rng: &mut Rng) -> Option<Value> {
        match &self.source {
            CaptureSource::Header(name) => {
                let found: Vec<_> = reading.headers(name).collect();
                self.text(found.iter().map(|value| &**value).collect(), rng)
            }
            CaptureSource::Cookie(name) => {
                let set: Vec<String> = reading.set_cookies(name).collect();
                let had = reading.answer.cookies.iter().filter(|(own, _)| own == name);
                let had = had.map(|(_, value)| value.as_str());
                let set: Vec<&str> = set.iter().map(String::as_str).collect();
                self.text(if set.is_empty() { had.collect() } else { set }, rng)
            }
            CaptureSource::Json(path) => {
                let found = reading.at(path)?;
                self.pick.of(&found, rng, |node| weight(node), |node| to_value(node))
            }
            CaptureSource::Regex(regex, group) => {
                let body = reading.searched()?;
                let most = if self.pick == MatchPick::First { 1 } else { MAX_FINDS };
                let found = reading.within(finds(regex, body, most, *group))?;
                self.text(found, rng)
            }
            #[cfg(feature = "css")]
            CaptureSource::Css(selector, attribute) => {
                let page = reading.html()?;
                let most = if self.pick == MatchPick::First { 1 } else { MAX_FINDS };
                let found = reading.within(selector.find(page, attribute.as_deref(), most))?;
                self.text(found.iter().map(String::as_str).collect(), rng)
            }
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what was found ends here")]
    fn text(&self, found: Vec<&str>, rng: &mut Rng) -> Option<Value> {
        self.pick.of(&found, rng, |text| text.len(), |text| Value::from(*text))
    }
}

/// What a group holds in each find of an expression, at most `most` of them. Each search may look
/// at all of the body that is left, so that is what it counts.
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
    /// Whether it reads headers.
    pub fn needs_head(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Cookie(_))
    }

    /// Whether it reads the body.
    pub fn needs_body(&self) -> bool {
        !self.needs_head()
    }
}

impl MatchPick {
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

/// About how many bytes a value takes.
fn weight(node: &Json) -> usize {
    match node {
        Json::String(text) => text.len(),
        Json::Array(items) => items.iter().map(|item| 16 + weight(item)).sum(),
        Json::Object(map) => map.iter().map(|(key, item)| 32 + key.len() + weight(item)).sum(),
        Json::Null | Json::Bool(_) | Json::Number(_) => 8,
    }
}
