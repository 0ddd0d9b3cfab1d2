//! Schema of captures and checks.
//!
//! Invariant: it matches the readers `flow::capture` and `flow::check`.

use serde_json::{Value, json};

use super::build::{Definition, any_of, exactly_one, list_of, map_of, object, refer};
use super::scalars::{count, word};

/// The definitions of captures and checks.
pub(super) fn definitions() -> Vec<Definition> {
    vec![("capture", capture()), ("check", check())]
}

fn path() -> Value {
    json!({ "type": "string", "pattern": "^\\$" })
}

fn capture() -> Value {
    let group = any_of(vec![count(0, 1_000), refer("fixed")]);
    let keys = vec![
        ("json", "A JSONPath (RFC 9535) such as $.items[0].id.", path()),
        ("regex", "A regular expression over the body.", refer("fixed")),
        ("group", "The group of the regex that is kept: a number or a name.", group),
        ("header", "The name of a header.", refer("fixed")),
        ("cookie", "The name of a cookie.", refer("fixed")),
        ("css", "A CSS selector over an HTML body.", refer("fixed")),
        ("attribute", "The attribute of the selected element; else its text.", refer("fixed")),
        ("pick", "Which of several.", word(&["first", "last", "random", "all"])),
    ];
    exactly_one(object("a capture", &[], keys), &["json", "regex", "header", "cookie", "css"])
}

/// The keys of conditions on a text.
fn texts() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("equals", "All of it.", refer("fixed")),
        ("contains", "A part of it.", refer("fixed")),
        ("lacks", "What is no part of it.", refer("fixed")),
        ("matches", "A regular expression.", refer("fixed")),
    ]
}

fn check() -> Value {
    let class = json!({ "type": "string", "pattern": "^[1-9]xx$" });
    let status = || any_of(vec![count(100, 999), class.clone()]);
    let header = any_of(vec![refer("fixed"), object("a header's check", &[], texts())]);
    let mut values = map_of(json!(true));
    values["propertyNames"] = path();
    let mut body = texts();
    body.push(("json", "What stands at a JSONPath.", values.clone()));
    let mut body = object("a body's check", &[], body);
    body["minProperties"] = json!(1);
    let keys = vec![
        (
            "status",
            "A number or a class such as 2xx, or several.",
            any_of(vec![status(), list_of(status())]),
        ),
        ("header", "What a header is, contains, lacks or matches.", map_of(header)),
        ("body", "What the body is, contains, lacks or matches.", body),
        ("json", "What stands at a JSONPath.", values),
        ("size", "A bound on the unpacked body such as \"< 10KiB\".", refer("fixed")),
        ("service", "A bound such as \"< 1s\".", refer("fixed")),
        ("first_byte", "A bound such as \"< 200ms\".", refer("fixed")),
    ];
    object("a check", &[], keys)
}
