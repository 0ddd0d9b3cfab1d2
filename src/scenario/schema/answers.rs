//! Captures and checks: what a step looks for in its answer.
//!
//! Invariant: as `scenario::answer` reads them.

use serde_json::{Value, json};

use super::scalars::{count, word};
use super::{Definition, any_of, exactly_one, list_of, map_of, object, refer};

/// Captures and checks.
pub(super) fn definitions() -> Vec<Definition> {
    vec![("capture", capture()), ("check", check())]
}

fn path() -> Value {
    json!({ "type": "string", "pattern": "^\\$" })
}

fn capture() -> Value {
    let keys = vec![
        ("json", "A JSONPath (RFC 9535) such as $.items[0].id.", path()),
        ("header", "The name of a header.", refer("fixed")),
        ("cookie", "The name of a cookie.", refer("fixed")),
        ("pick", "Which of several.", word(&["first", "last", "random", "all"])),
    ];
    exactly_one(object("a capture", &[], keys), &["json", "header", "cookie"])
}

fn check() -> Value {
    let status = || count(100, 599);
    let header = vec![("equals", "", refer("fixed")), ("contains", "", refer("fixed"))];
    let header = any_of(vec![refer("fixed"), object("a header's check", &[], header)]);
    let body = vec![("contains", "A part of it.", refer("fixed"))];
    let mut values = map_of(json!(true));
    values["propertyNames"] = path();
    let keys = vec![
        ("status", "A number, or several.", any_of(vec![status(), list_of(status())])),
        ("header", "What a header is or contains.", map_of(header)),
        ("body", "What the body contains.", object("a body's check", &["contains"], body)),
        ("json", "What stands at a JSONPath.", values),
        ("service", "A bound such as \"< 1s\".", refer("fixed")),
    ];
    object("a check", &[], keys)
}
