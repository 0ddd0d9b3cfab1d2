//! `check` and `expect`: conditions on a step's response.
//!
//! `step` calls it; `extract` applies the result.
//! Invariant: the name of a compiled check describes its condition.

use std::time::Duration;

use serde_json::Value as Json;

use crate::extract::{Check, CheckCondition, CheckedTime, TextCondition};
use crate::protocol::{Protocol, status};
use crate::scenario::flow::capture::{path_of_key, regex};
use crate::scenario::flow::kinds::ControlStep;
use crate::scenario::nouns::brokers::CONFIRM_CHECK;
use crate::scenario::nouns::grpc::GRPC_CHECK;
use crate::scenario::nouns::operations::REPLY_CHECK;
use crate::scenario::nouns::responses::{BODY_CHECK, CHECK, HEADER_CHECK, HIGHEST_RECEIVED};
use crate::scenario::nouns::sql::SQL_CHECK;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;
use crate::suggest::nearest;
use crate::template::exact_json as exact;
use crate::units;
use crate::verdict::Comparison;

/// Compiles the conditions of a step's `check` or `expect`.
pub(crate) fn checks(diagnostics: &mut Diagnostics, node: &Node) -> Vec<Check> {
    let Some(mut fields) = Fields::read(diagnostics, node, &CHECK) else { return Vec::new() };
    let mut checks = Vec::new();
    checks.extend(fields.take("status").and_then(|node| status(diagnostics, node)));
    if let Some(node) = fields.take("header") {
        headers(diagnostics, node, &mut checks);
    }
    if let Some(node) = fields.take("body") {
        body(diagnostics, node, &mut checks);
    }
    if let Some(node) = fields.take("json") {
        json(diagnostics, node, &mut checks);
    }
    checks.extend(fields.take("size").and_then(|node| size(diagnostics, node)));
    checks.extend(fields.take("finish").map(|node| finish(diagnostics, node)));
    checks.extend(fields.take("tokens").and_then(|node| tokens(diagnostics, node)));
    checks.extend(fields.take("first").and_then(|node| first_content(diagnostics, node)));
    for (key, timing) in TIMES {
        checks.extend(fields.take(key).and_then(|node| time(diagnostics, node, key, timing)));
    }
    fields.finish(diagnostics);
    checks
}

/// Compiles the conditions on a response of this protocol.
pub(crate) fn of_reply(
    diagnostics: &mut Diagnostics,
    node: &Node,
    protocol: Protocol,
) -> Vec<Check> {
    let has_rows = protocol == Protocol::Postgres;
    let noun = match protocol {
        Protocol::Grpc => &GRPC_CHECK,
        Protocol::Postgres => &SQL_CHECK,
        _ => &REPLY_CHECK,
    };
    let Some(mut fields) = Fields::read(diagnostics, node, noun) else { return Vec::new() };
    let mut checks = Vec::new();
    if has_rows && let Some(node) = fields.take("rows") {
        checks.extend(rows(diagnostics, node));
    }
    if let Some(node) = fields.take("status") {
        checks.extend(named_status(diagnostics, node, protocol));
    }
    if protocol == Protocol::Grpc {
        if let Some(node) = fields.take("header") {
            headers(diagnostics, node, &mut checks);
        }
        checks.extend(fields.take("messages").and_then(|node| messages(diagnostics, node)));
        checks.extend(fields.take("first").and_then(|node| first_content(diagnostics, node)));
    }
    if let Some(node) = fields.take("body") {
        body(diagnostics, node, &mut checks);
    }
    if let Some(node) = fields.take("json") {
        json(diagnostics, node, &mut checks);
    }
    checks.extend(fields.take("size").and_then(|node| size(diagnostics, node)));
    for (key, timing) in TIMES {
        checks.extend(fields.take(key).and_then(|node| time(diagnostics, node, key, timing)));
    }
    fields.finish(diagnostics);
    checks
}

/// The keys of checked times.
const TIMES: [(&str, CheckedTime); 2] =
    [("service", CheckedTime::Service), ("first_byte", CheckedTime::FirstByte)];

/// Reads the statuses of a protocol by their words.
fn named_status(diagnostics: &mut Diagnostics, node: &Node, protocol: Protocol) -> Option<Check> {
    let (mut wanted, mut shown) = (Vec::new(), Vec::new());
    for item in values::one_or_more(node) {
        let text = values::plain_text(diagnostics, item, "a status such as OK")?;
        match status::of_word(protocol, text) {
            Some(status) => {
                wanted.push(status);
                shown.push(status::word(status).into_owned());
            }
            None => {
                let message = format!("unknown status `{}` of {}", truncate(text), protocol.name());
                let mistake = diagnostics.mistake(item.span, message);
                let words: Vec<&str> = status::words(protocol).collect();
                mistake.expected(format!("one of {}", words.join(", ")));
                if let Some(known) = nearest(&text.to_uppercase(), words) {
                    mistake.help(format!("did you mean `{known}`?"));
                }
                return None;
            }
        }
    }
    let name = format!("status is {}", shown.join(" or "));
    Some(Check { name, what: CheckCondition::Status(wanted) })
}

/// Compiles the conditions of a step of a stream; `responding` is the protocol whose response they
/// look at, if it is not HTTP.
pub(crate) fn of_stream_step(
    diagnostics: &mut Diagnostics,
    node: &Node,
    verb: ControlStep,
    responding: Option<Protocol>,
) -> Vec<Check> {
    match (verb, responding) {
        (ControlStep::Open, Some(protocol)) => of_reply(diagnostics, node, protocol),
        (ControlStep::Open, None) => checks(diagnostics, node),
        (ControlStep::Send, Some(protocol)) => of_confirmation(diagnostics, node, protocol),
        (ControlStep::Send, None) => {
            diagnostics
                .mistake(node.span, "a message to a stream has no response")
                .help("check the target's answer where a step waits for it: `await`");
            Vec::new()
        }
        _ if report_status(diagnostics, node) => Vec::new(),
        _ => checks(diagnostics, node),
    }
}

/// Compiles the conditions on a broker's confirmation.
fn of_confirmation(diagnostics: &mut Diagnostics, node: &Node, protocol: Protocol) -> Vec<Check> {
    let Some(mut fields) = Fields::read(diagnostics, node, &CONFIRM_CHECK) else {
        return Vec::new();
    };
    let status = fields.take("status").and_then(|node| named_status(diagnostics, node, protocol));
    let service = fields
        .take("service")
        .and_then(|node| time(diagnostics, node, "service", CheckedTime::Service));
    fields.finish(diagnostics);
    status.into_iter().chain(service).collect()
}

/// Reports a condition on the status in the conditions of a message, which has none. Returns
/// whether there is one.
fn report_status(diagnostics: &mut Diagnostics, node: &Node) -> bool {
    let NodeKind::Map(entries) = &node.kind else { return false };
    let Some((key, _)) = entries.iter().find(|(key, _)| key.name == "status") else {
        return false;
    };
    diagnostics
        .mistake(key.span, "a message has no status")
        .expected("conditions on the message, such as `json` or `body`")
        .help("a handshake or subscription that the target refuses fails without a check");
    true
}

fn status(diagnostics: &mut Diagnostics, node: &Node) -> Option<Check> {
    let (wanted, shown) = values::statuses(diagnostics, node, HIGHEST_RECEIVED)?;
    let name = format!("status is {}", shown.join(" or "));
    Some(Check { name, what: CheckCondition::Status(wanted) })
}

fn headers(diagnostics: &mut Diagnostics, node: &Node, checks: &mut Vec<Check>) {
    let expected = "a map such as `{ content-type: { contains: json } }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return };
    for (key, node) in entries {
        header(diagnostics, key, node, checks);
    }
}

fn header(diagnostics: &mut Diagnostics, key: &NodeKey, node: &Node, checks: &mut Vec<Check>) {
    let name = &key.name;
    if !matches!(node.kind, NodeKind::Map(_)) {
        if let Some(text) = values::plain_text(diagnostics, node, "a header's value") {
            let label = format!("header {name} is \"{}\"", diagnostics.redact_value(name, text));
            let text = TextCondition::Equals(text.to_owned());
            checks.push(Check { name: label, what: CheckCondition::Header(name.clone(), text) });
        }
        return;
    }
    let Some(mut fields) = Fields::read(diagnostics, node, &HEADER_CHECK) else { return };
    for (label, text) in texts(diagnostics, &mut fields, (name, "a header's value")) {
        let label = format!("header {name} {label}");
        checks.push(Check { name: label, what: CheckCondition::Header(name.clone(), text) });
    }
    fields.finish(diagnostics);
}

fn body(diagnostics: &mut Diagnostics, node: &Node, checks: &mut Vec<Check>) {
    let Some(mut fields) = Fields::read(diagnostics, node, &BODY_CHECK) else { return };
    let before = checks.len();
    for (label, text) in texts(diagnostics, &mut fields, ("", "the body")) {
        checks.push(Check { name: format!("body {label}"), what: CheckCondition::Body(text) });
    }
    if let Some(node) = fields.take("json") {
        json(diagnostics, node, checks);
    }
    let mistakes = diagnostics.count();
    fields.finish(diagnostics);
    if checks.len() == before && diagnostics.count() == mistakes {
        diagnostics.mistake(node.span, "this check is empty").expected(BODY_CHECK.form);
    }
}

/// Reads conditions on a text, each with its part of the check's name; `key` is the key of the
/// text, for redaction.
fn texts(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    (key, what): (&str, &str),
) -> Vec<(String, TextCondition)> {
    type Make = fn(String) -> TextCondition;
    let kinds: [(&str, &str, Make); 4] = [
        ("equals", "is", TextCondition::Equals),
        ("starts_with", "starts with", TextCondition::StartsWith),
        ("contains", "contains", TextCondition::Contains),
        ("lacks", "lacks", TextCondition::Lacks),
    ];
    let mut found = Vec::new();
    for (key, verb, make) in kinds {
        if let Some(node) = fields.take(key)
            && let Some(text) = values::plain_text(diagnostics, node, what)
        {
            found.push((
                format!("{verb} \"{}\"", diagnostics.redact_value(key, text)),
                make(text.to_owned()),
            ));
        }
    }
    if let Some(node) = fields.take("matches")
        && let Some(regex) = regex(diagnostics, node)
    {
        found.push((
            format!("matches /{}/", diagnostics.redact_value(key, regex.as_str())),
            TextCondition::Matches(regex),
        ));
    }
    found
}

fn json(diagnostics: &mut Diagnostics, node: &Node, checks: &mut Vec<Check>) {
    let expected = "a map of paths and values, such as `{ \"$.ok\": true }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return };
    for (key, node) in entries {
        let Some(path) = path_of_key(diagnostics, key) else { continue };
        let wanted = to_json(node);
        let says_nothing = wanted.is_boolean() || wanted.is_null();
        let of = if says_nothing { "" } else { key.name.as_str() };
        let shown = diagnostics.redact_value(of, &exact::show(&wanted));
        let name = format!("json {} is {shown}", key.name);
        checks.push(Check { name, what: CheckCondition::Json(path, wanted) });
    }
}

/// Converts a YAML value to JSON.
pub(crate) fn to_json(node: &Node) -> Json {
    match &node.kind {
        NodeKind::Null => Json::Null,
        NodeKind::Bool(truth) => Json::from(*truth),
        NodeKind::Number(written, value) => {
            exact::parse(written.as_bytes()).unwrap_or_else(|_| Json::from(*value))
        }
        NodeKind::Text(text) => Json::from(text.as_str()),
        NodeKind::List(items) => items.iter().map(to_json).collect(),
        NodeKind::Map(entries) => {
            entries.iter().map(|(key, item)| (key.name.clone(), to_json(item))).collect()
        }
    }
}

fn finish(diagnostics: &mut Diagnostics, node: &Node) -> Check {
    let wanted: Vec<String> = values::one_or_more(node)
        .iter()
        .filter_map(|node| values::plain_text(diagnostics, node, "a reason such as `stop`"))
        .map(str::to_owned)
        .collect();
    let name = format!("finish is {}", wanted.join(" or "));
    Check { name, what: CheckCondition::Finish(wanted) }
}

fn tokens(diagnostics: &mut Diagnostics, node: &Node) -> Option<Check> {
    let expected = "a bound such as \"> 0\"";
    let text = values::plain_text(diagnostics, node, expected)?;
    let Some((op, limit)) = bound(text, |text| text.parse().ok()) else {
        return report_wrong(diagnostics, node, expected);
    };
    Some(Check { name: format!("tokens {text}"), what: CheckCondition::Tokens(op, limit) })
}

fn rows(diagnostics: &mut Diagnostics, node: &Node) -> Option<Check> {
    let expected = "a number of rows, or a bound such as \"> 0\"";
    let (text, op, limit) = number_bound(diagnostics, node, expected)?;
    Some(Check { name: format!("rows {text}"), what: CheckCondition::Rows(op, limit) })
}

fn messages(diagnostics: &mut Diagnostics, node: &Node) -> Option<Check> {
    let expected = "a number of messages, or a bound such as \">= 10\"";
    let (text, op, limit) = number_bound(diagnostics, node, expected)?;
    Some(Check { name: format!("messages {text}"), what: CheckCondition::Messages(op, limit) })
}

/// Reads a number, or a bound of one.
fn number_bound<'n>(
    diagnostics: &mut Diagnostics,
    node: &'n Node,
    expected: &str,
) -> Option<(&'n str, Comparison, u64)> {
    let text = values::plain_text(diagnostics, node, expected)?;
    let exact = text.parse().ok().map(|number| (Comparison::Equal, number));
    let Some((op, limit)) = exact.or_else(|| bound(text, |text| text.parse().ok())) else {
        return report_wrong(diagnostics, node, expected);
    };
    Some((text, op, limit))
}

fn first_content(diagnostics: &mut Diagnostics, node: &Node) -> Option<Check> {
    let expected = "a bound such as \"< 300ms\"";
    let text = values::plain_text(diagnostics, node, expected)?;
    let Some((op, limit)) = bound(text, |text| units::parse_duration(text).ok()) else {
        return report_wrong(diagnostics, node, expected);
    };
    Some(Check { name: format!("first {text}"), what: CheckCondition::FirstContent(op, limit) })
}

fn size(diagnostics: &mut Diagnostics, node: &Node) -> Option<Check> {
    let expected = "a bound such as \"< 10KiB\"";
    let text = values::plain_text(diagnostics, node, expected)?;
    let Some((op, limit)) = bound(text, |text| units::parse_size(text).ok()) else {
        return report_wrong(diagnostics, node, expected);
    };
    Some(Check { name: format!("size {text}"), what: CheckCondition::Size(op, limit) })
}

fn time(
    diagnostics: &mut Diagnostics,
    node: &Node,
    key: &str,
    timing: CheckedTime,
) -> Option<Check> {
    let expected = "a bound such as \"< 1s\"";
    let text = values::plain_text(diagnostics, node, expected)?;
    let Some((op, limit)) = bound(text, |text| units::parse_duration(text).ok()) else {
        return report_wrong(diagnostics, node, expected);
    };
    let limit: Duration = limit;
    Some(Check { name: format!("{key} {text}"), what: CheckCondition::Time(timing, op, limit) })
}

fn bound<T>(text: &str, limit: impl Fn(&str) -> Option<T>) -> Option<(Comparison, T)> {
    let symbols = text.find(|c| !"<>=".contains(c))?;
    let op = Comparison::parse(&text[..symbols])?;
    Some((op, limit(text[symbols..].trim())?))
}
