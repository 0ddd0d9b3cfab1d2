//! Schema of scalars: texts, numbers, durations, rates and sizes.
//!
//! `render` refers to them by name.
//! Invariant: a pattern accepts at least what `units` parses.

use serde_json::{Value, json};

use crate::scenario::nouns::noun::ValueShape;

/// A name: no ASCII punctuation except `_`, `-` and spaces, and `.` inside it. The pattern only
/// tells ASCII characters apart, because classes such as `\p{L}` are unknown to Python's `re`, and
/// to JavaScript without its `u` flag.
const NAME: &str =
    concat!("^[^\\x00-\\x1f!-,./:-@\\[-^`{-\\x7f]", "[^\\x00-\\x1f!-,/:-@\\[-^`{-\\x7f]*$");

/// An endpoint pattern: `"POST /login"`, `/export/*`, `*`.
pub(crate) const ENDPOINTS: &str = "^\\s*([A-Z]+\\s+)?(\\*|/[^\\s?#]*)\\s*$";

/// Returns the name and schema of a scalar that has a definition; `None` for other shapes.
pub(super) fn scalar(shape: &ValueShape) -> Option<(&'static str, Value)> {
    let defined = match shape {
        ValueShape::Template => ("text", json!({ "type": ["string", "number", "boolean"] })),
        ValueShape::Fixed => ("fixed", fixed()),
        ValueShape::Name => ("name", name()),
        ValueShape::Duration => ("duration", duration()),
        ValueShape::PositiveDuration => ("positive_duration", positive_duration()),
        ValueShape::Rate => ("rate", rate()),
        ValueShape::Size => ("size", size()),
        ValueShape::Bandwidth => ("bandwidth", bandwidth()),
        ValueShape::Weight => {
            ("weight", json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000_000 }))
        }
        ValueShape::Share(_) => ("share", share()),
        ValueShape::Percentile => ("percentile", percentile()),
        ValueShape::Threshold => (
            "threshold",
            json!({
                "type": "string",
                "examples": ["response.p95 < 250ms", "errors < 1%", "achieved > 99%"],
            }),
        ),
        _ => return None,
    };
    Some(defined)
}

/// A scalar without `{{ }}`. The pattern holds for each number, so it has to be one of texts alone.
fn fixed() -> Value {
    let template = json!({ "type": "string", "pattern": "\\{\\{" });
    json!({ "type": ["string", "number", "boolean"], "not": template })
}

/// A name.
pub(super) fn name() -> Value {
    json!({ "type": ["string", "number", "boolean"], "maxLength": 100, "pattern": NAME })
}

fn duration() -> Value {
    let text = quantity(
        "^\\s*(0|([0-9]*\\.?[0-9]*(ns|us|µs|μs|ms|s|sec|m|min|h|d))+)\\s*$",
        &["250ms", "1.5s", "2m", "1h30m"],
    );
    json!({ "anyOf": [text, { "const": 0 }] })
}

fn positive_duration() -> Value {
    quantity(
        "^\\s*([0-9]*\\.?[0-9]*(ns|us|µs|μs|ms|s|sec|m|min|h|d))+\\s*$",
        &["250ms", "1.5s", "2m"],
    )
}

fn rate() -> Value {
    quantity("^\\s*[0-9]*\\.?[0-9]*\\s*/\\s*(s|sec|m|min|h)\\s*$", &["200/s", "90/m"])
}

fn size() -> Value {
    let text = quantity(
        "^\\s*[0-9]*\\.?[0-9]*\\s*(B|kB|KB|KiB|k|K|MB|MiB|M|GB|GiB|G)?\\s*$",
        &["64KiB", "10MB"],
    );
    json!({ "anyOf": [text, { "type": "number", "minimum": 0 }] })
}

fn bandwidth() -> Value {
    quantity(
        "^\\s*[0-9]*\\.?[0-9]*\\s*([kMG]?bit|B|kB|KiB|MB|MiB|GB|GiB)\\s*/s\\s*$",
        &["1.6Mbit/s", "200KiB/s"],
    )
}

fn share() -> Value {
    let text = quantity("^\\s*[0-9.]+\\s*%?\\s*$", &["5%"]);
    json!({ "anyOf": [text, { "type": "number", "exclusiveMinimum": 0, "maximum": 1 }] })
}

fn percentile() -> Value {
    let text = quantity("^p?[5-9][0-9](\\.[0-9]+)?$", &["p95"]);
    json!({ "anyOf": [text, { "type": "number", "minimum": 50, "exclusiveMaximum": 100 }] })
}

/// A text with this pattern.
fn quantity(pattern: &str, examples: &[&str]) -> Value {
    json!({ "type": "string", "pattern": pattern, "examples": examples })
}
