//! `capture`, `check` and `expect`: what a step looks for in its answer.
//!
//! `step` calls it; the plan applies the result.
//! Invariant: paths are parsed here, so that nothing about them can fail during a run.

use std::time::Duration;

use serde_json::Value as Json;
use serde_json_path::JsonPath;

use super::diagnose::Review;
use super::node::{Key, Kind, Node};
use super::shape::{self, Fields, wrong};
use crate::plan::extract::{Capture, Check, Pick, Source, Text, What};
use crate::units;
use crate::verdict::Op;

/// The longest JSONPath; its parser takes stack for each bracket.
const MAX_PATH: usize = 500;

/// The most filters in one path: its parser tries each alternative again for each that is nested.
const MAX_NESTED: usize = 4;

/// The captures of a step; `names` are the variables of its archetype by slot.
pub(super) fn captures(review: &mut Review, node: &Node, names: &[String]) -> Vec<Capture> {
    let expected = "a map of variables, such as `{ token: { json: \"$.token\" } }`";
    let Some(entries) = shape::entries(review, node, expected) else { return Vec::new() };
    entries.iter().filter_map(|(key, node)| capture(review, key, node, names)).collect()
}

fn capture(review: &mut Review, key: &Key, node: &Node, names: &[String]) -> Option<Capture> {
    let mut fields =
        Fields::like(review, node, "a capture", "`{ json: \"$.id\" }` or `{ header: location }`")?;
    let json = fields.take("json").map(|node| path(review, node).map(Source::Json));
    let header = fields.take("header").map(|node| {
        let name = shape::fixed(review, node, "the name of a header")?;
        Some(Source::Header(name.to_owned()))
    });
    let cookie = fields.take("cookie").map(|node| {
        let name = shape::fixed(review, node, "the name of a cookie")?;
        Some(Source::Cookie(name.to_owned()))
    });
    let pick = fields.take("pick").map(|node| pick(review, node));
    let before = review.count();
    fields.finish(review);
    let sources: Vec<Option<Source>> = [json, header, cookie].into_iter().flatten().collect();
    if sources.len() != 1 && review.count() == before {
        review
            .mistake(node.span, "a capture looks in one place")
            .expected("one of `json: \"$.path\"`, `header: name` or `cookie: name`");
    }
    Some(Capture {
        variable: names.iter().position(|name| *name == key.name)?,
        name: format!("capture {}", key.name),
        source: sources.into_iter().next()??,
        pick: pick.unwrap_or(Some(Pick::default()))?,
    })
}

fn pick(review: &mut Review, node: &Node) -> Option<Pick> {
    match shape::scalar(node) {
        Some("first") => Some(Pick::First),
        Some("last") => Some(Pick::Last),
        Some("random") => Some(Pick::Random),
        Some("all") => Some(Pick::All),
        _ => wrong(review, node, "one of `first`, `last`, `random`, `all`"),
    }
}

fn path(review: &mut Review, node: &Node) -> Option<JsonPath> {
    let text = shape::fixed(review, node, "a JSONPath such as \"$.items[0].id\"")?;
    parse_path(text)
        .map_err(|problem| {
            review
                .mistake(node.span, format!("this is no JSONPath: {problem}"))
                .expected("a path such as \"$.items[0].id\" or \"$..id\" (RFC 9535)");
        })
        .ok()
}

fn parse_path(text: &str) -> Result<JsonPath, String> {
    if !text.starts_with('$') {
        return Err("it does not begin with `$`".to_owned());
    }
    if text.len() > MAX_PATH {
        return Err(format!("it has more than {MAX_PATH} bytes"));
    }
    let count = |sign: char| text.matches(sign).count();
    if count('?') > MAX_NESTED || count('(') > 2 * MAX_NESTED {
        return Err("it has too many filters or brackets".to_owned());
    }
    JsonPath::parse(text).map_err(|error| match error.message() {
        "parser error" => {
            let rest = text.get(error.position()..).unwrap_or_default();
            format!("it cannot be read from `{}` on", shape::short(rest))
        }
        message => message.to_owned(),
    })
}

/// The conditions of a step's `check` or `expect`.
pub(super) fn checks(review: &mut Review, node: &Node) -> Vec<Check> {
    let Some(mut fields) = Fields::of(review, node, "a check") else { return Vec::new() };
    let mut checks = Vec::new();
    checks.extend(fields.take("status").and_then(|node| status(review, node)));
    if let Some(node) = fields.take("header") {
        header(review, node, &mut checks);
    }
    if let Some(node) = fields.take("body") {
        checks.extend(body(review, node));
    }
    if let Some(node) = fields.take("json") {
        json(review, node, &mut checks);
    }
    checks.extend(fields.take("service").and_then(|node| service(review, node)));
    fields.finish(review);
    checks
}

fn status(review: &mut Review, node: &Node) -> Option<Check> {
    let wanted: Vec<u16> = match &node.kind {
        Kind::List(items) if !items.is_empty() => items
            .iter()
            .map(|item| shape::count(review, item, 100, 599))
            .map(|status| status.and_then(|status| u16::try_from(status).ok()))
            .collect::<Option<_>>()?,
        _ => vec![u16::try_from(shape::count(review, node, 100, 599)?).ok()?],
    };
    let shown: Vec<String> = wanted.iter().map(u16::to_string).collect();
    let name = format!("status is {}", shown.join(" or "));
    Some(Check { name, what: What::Status(wanted) })
}

fn header(review: &mut Review, node: &Node, checks: &mut Vec<Check>) {
    let expected = "a map such as `{ content-type: { contains: json } }`";
    let Some(entries) = shape::entries(review, node, expected) else { return };
    for (key, node) in entries {
        let name = &key.name;
        let mut push = |verb: &str, shown: &str, text: Text| {
            let label = format!("header {name} {verb} \"{}\"", shape::short(shown));
            checks.push(Check { name: label, what: What::Header(name.clone(), text) });
        };
        if !matches!(node.kind, Kind::Map(_)) {
            if let Some(text) = shape::fixed(review, node, "a header's value") {
                push("is", text, Text::Equals(text.to_owned()));
            }
            continue;
        }
        let Some(mut fields) = Fields::of(review, node, "a header's check") else { continue };
        if let Some(node) = fields.take("equals")
            && let Some(text) = shape::fixed(review, node, "a header's value")
        {
            push("is", text, Text::Equals(text.to_owned()));
        }
        if let Some(node) = fields.take("contains")
            && let Some(text) = shape::fixed(review, node, "a part of a header's value")
        {
            push("contains", text, Text::Contains(text.to_owned()));
        }
        fields.finish(review);
    }
}

fn body(review: &mut Review, node: &Node) -> Option<Check> {
    let mut fields = Fields::like(review, node, "a body's check", "`{ contains: \"text\" }`")?;
    let part = fields.need("contains", "a text that the body has to have");
    let part = part.and_then(|node| shape::fixed(review, node, "a part of the body"));
    fields.finish(review);
    let part = part?;
    let name = format!("body contains \"{}\"", shape::short(part));
    Some(Check { name, what: What::Body(part.as_bytes().to_vec()) })
}

fn json(review: &mut Review, node: &Node, checks: &mut Vec<Check>) {
    let expected = "a map of paths and values, such as `{ \"$.ok\": true }`";
    let Some(entries) = shape::entries(review, node, expected) else { return };
    for (key, node) in entries {
        let path = match parse_path(&key.name) {
            Ok(path) => path,
            Err(problem) => {
                review
                    .mistake(key.span, format!("this is no JSONPath: {problem}"))
                    .expected("a path such as \"$.items[0].id\" (RFC 9535)");
                continue;
            }
        };
        let wanted = to_json(node);
        let shown = shape::short(&wanted.to_string());
        let name = format!("json {} is {shown}", key.name);
        checks.push(Check { name, what: What::Json(path, wanted) });
    }
}

/// A YAML value as JSON.
pub(super) fn to_json(node: &Node) -> Json {
    match &node.kind {
        Kind::Null => Json::Null,
        Kind::Bool(truth) => Json::from(*truth),
        Kind::Number(written, value) => {
            serde_json::from_str(written).unwrap_or_else(|_| Json::from(*value))
        }
        Kind::Text(text) => Json::from(text.as_str()),
        Kind::List(items) => items.iter().map(to_json).collect(),
        Kind::Map(entries) => {
            entries.iter().map(|(key, item)| (key.name.clone(), to_json(item))).collect()
        }
    }
}

fn service(review: &mut Review, node: &Node) -> Option<Check> {
    let expected = "a bound such as \"< 1s\"";
    let text = shape::fixed(review, node, expected)?;
    let Some((op, limit)) = bound(text) else { return wrong(review, node, expected) };
    let name = format!("service {text}");
    Some(Check { name, what: What::Service(op, limit) })
}

fn bound(text: &str) -> Option<(Op, Duration)> {
    let symbols = text.find(|c| !"<>=".contains(c))?;
    let op = Op::parse(&text[..symbols])?;
    Some((op, units::parse_duration(text[symbols..].trim()).ok()?))
}
