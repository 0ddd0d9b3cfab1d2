//! Checks: conditions on a response.
//!
//! `apply` evaluates them; `scenario` compiles them.
//! Invariant: a condition takes time linear in the response, whatever the response holds.

use std::time::Duration;

use regex::bytes::Regex;
use serde_json::Value as Json;

use super::path::BoundedPath;
use super::response::ParsedResponse;
use crate::protocol::status::ShownStatus;
use crate::template::exact_json as exact;
use crate::units::{counted, show_us};
use crate::verdict::Comparison;

/// A condition on a response.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name of the check in reports: `status is 200`.
    pub name: String,
    /// The condition.
    pub what: CheckCondition,
}

/// The conditions.
#[derive(Clone, Debug)]
pub enum CheckCondition {
    /// The status is one of these.
    Status(Vec<u16>),
    /// Some header of this name has a matching value.
    Header(String, TextCondition),
    /// The body matches.
    Body(TextCondition),
    /// The first node that the path selects equals the value.
    Json(BoundedPath, Json),
    /// The size of the decoded body, bytes.
    Size(Comparison, u64),
    /// A time of the exchange.
    Time(CheckedTime, Comparison, Duration),
    /// Why a language model stopped is one of these.
    Finish(Vec<String>),
    /// Rows that a statement of SQL returned or changed.
    Rows(Comparison, u64),
    /// Tokens of the answer.
    Tokens(Comparison, u64),
    /// Messages of a streamed response.
    Messages(Comparison, u64),
    /// From dispatch to the first content.
    FirstContent(Comparison, Duration),
}

/// The times of an exchange that can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckedTime {
    /// From dispatch to the last byte.
    Service,
    /// From dispatch to the first byte.
    FirstByte,
}

/// A condition on a text.
#[derive(Clone, Debug)]
pub enum TextCondition {
    /// The text equals this one.
    Equals(String),
    /// The text begins with this one.
    StartsWith(String),
    /// The text contains this one.
    Contains(String),
    /// The text does not contain this one.
    Lacks(String),
    /// The expression matches somewhere in it.
    Matches(Regex),
}

impl Check {
    /// Whether the check holds.
    pub fn holds(&self, response: &ParsedResponse<'_>) -> bool {
        let view = &response.view;
        match &self.what {
            CheckCondition::Status(wanted) => wanted.contains(&view.status),
            CheckCondition::Header(name, text @ TextCondition::Lacks(_)) => {
                response.headers(name).all(|value| text.matches(value.as_bytes()))
            }
            CheckCondition::Header(name, text) => {
                response.headers(name).any(|value| text.matches(value.as_bytes()))
            }
            CheckCondition::Body(text @ TextCondition::Matches(_)) => {
                response.searchable_text().is_some_and(|body| text.matches(body))
            }
            CheckCondition::Body(text) => response.text().is_some_and(|body| text.matches(body)),
            CheckCondition::Json(path, wanted) => {
                let found = response.select(path).unwrap_or_default();
                found.first().is_some_and(|node| equal_json(node, wanted))
            }
            CheckCondition::Size(op, limit) => {
                view.body.is_some_and(|body| op.holds(body.bytes.len() as f64, *limit as f64))
            }
            CheckCondition::Time(timing, op, limit) => {
                let time = match timing {
                    CheckedTime::Service => view.service,
                    CheckedTime::FirstByte => view.first_byte,
                };
                op.holds(time.as_secs_f64() * 1e6, limit.as_secs_f64() * 1e6)
            }
            CheckCondition::Finish(wanted) => {
                let finish = view.streamed.and_then(|streamed| streamed.finish);
                finish.is_some_and(|finish| wanted.iter().any(|one| one == finish))
            }
            CheckCondition::Rows(op, limit) => {
                response.rows().is_some_and(|rows| op.holds(rows as f64, *limit as f64))
            }
            CheckCondition::Tokens(op, limit) => {
                view.streamed.is_some_and(|seen| op.holds(seen.tokens as f64, *limit as f64))
            }
            CheckCondition::Messages(op, limit) => {
                view.streamed.is_some_and(|seen| op.holds(seen.messages as f64, *limit as f64))
            }
            CheckCondition::FirstContent(op, limit) => {
                let first = view.streamed.and_then(|streamed| streamed.first);
                first.is_some_and(|first| op.holds(first.as_secs_f64(), limit.as_secs_f64()))
            }
        }
    }
}

impl Check {
    /// Describes what a failed check found instead; `None` if the body shows it.
    pub fn found(&self, response: &ParsedResponse<'_>) -> Option<String> {
        let view = &response.view;
        match &self.what {
            CheckCondition::Status(_) => Some(format!("status {}", ShownStatus(view.status))),
            CheckCondition::Header(name, _) => {
                let values: Vec<_> = response.headers(name).collect();
                Some(match values.as_slice() {
                    [] => format!("no header `{name}`"),
                    values => values.join(", "),
                })
            }
            CheckCondition::Body(_) => None,
            CheckCondition::Json(path, _) => Some(match response.select(path) {
                None => "a body that is not JSON".to_owned(),
                Some(nodes) => nodes
                    .first()
                    .map_or("no value at this path".to_owned(), |node| exact::show(node)),
            }),
            CheckCondition::Size(..) => Some(match view.body {
                Some(body) => format!("{} bytes", body.bytes.len()),
                None => "a body that could not be decoded".to_owned(),
            }),
            CheckCondition::Time(timing, ..) => {
                let time = match timing {
                    CheckedTime::Service => view.service,
                    CheckedTime::FirstByte => view.first_byte,
                };
                Some(show_us(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
            }
            CheckCondition::Finish(_) => {
                let finish = view.streamed.and_then(|streamed| streamed.finish);
                Some(finish.unwrap_or("no reason to stop").to_owned())
            }
            CheckCondition::Rows(..) => {
                Some(response.rows().map_or("no result".to_owned(), |rows| counted(rows, "row")))
            }
            CheckCondition::Tokens(..) => {
                Some(counted(view.streamed.map_or(0, |streamed| streamed.tokens), "token"))
            }
            CheckCondition::Messages(..) => {
                Some(counted(view.streamed.map_or(0, |seen| seen.messages), "message"))
            }
            CheckCondition::FirstContent(..) => {
                let first = view.streamed.and_then(|streamed| streamed.first);
                let us = first.map(|first| u64::try_from(first.as_micros()).unwrap_or(u64::MAX));
                Some(us.map_or("no content".to_owned(), show_us))
            }
        }
    }
}

impl TextCondition {
    fn matches(&self, value: &[u8]) -> bool {
        let holds = |part: &str| memchr::memmem::find(value, part.as_bytes()).is_some();
        match self {
            Self::Equals(wanted) => value == wanted.as_bytes(),
            Self::StartsWith(part) => value.starts_with(part.as_bytes()),
            Self::Contains(part) => holds(part),
            Self::Lacks(part) => !holds(part),
            Self::Matches(regex) => regex.is_match(value),
        }
    }
}

impl CheckCondition {
    /// Whether the condition reads headers.
    pub fn needs_head(&self) -> bool {
        matches!(self, Self::Header(..) | Self::Rows(..))
    }

    /// Whether the condition reads the body.
    pub fn needs_body(&self) -> bool {
        matches!(self, Self::Body(_) | Self::Json(..) | Self::Size(..))
    }

    /// Whether the condition names this status as expected.
    pub fn names_status(&self, status: u16) -> bool {
        matches!(self, Self::Status(wanted) if wanted.contains(&status))
    }
}

/// Whether two JSON values are equal, where `1` and `1.0` are the same number.
fn equal_json(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) if a.is_f64() || b.is_f64() => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal_json(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal_json(a, b)))
        }
        _ => a == b,
    }
}
