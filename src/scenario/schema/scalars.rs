//! Schema of scalars: texts, numbers, durations, rates, sizes, and distributions.
//!
//! Invariant: a pattern accepts at least what `units` parses.

use serde_json::{Value, json};

use super::build::{Definition, Property, any_of, exactly_one, object, refer};

/// A name: no ASCII punctuation except `_`, `-` and spaces, and `.` inside it. The pattern only
/// tells ASCII characters apart, because classes such as `\p{L}` are unknown to Python's `re`, and
/// to JavaScript without its `u` flag.
const NAME: &str =
    concat!("^[^\\x00-\\x1f!-,./:-@\\[-^`{-\\x7f]", "[^\\x00-\\x1f!-,/:-@\\[-^`{-\\x7f]*$");

/// The definitions of scalars.
pub(super) fn definitions() -> Vec<Definition> {
    let scalar = json!({ "type": ["string", "number", "boolean"] });
    let duration = any_of(vec![
        quantity(
            "^\\s*(0|([0-9]*\\.?[0-9]*(ns|us|µs|μs|ms|s|sec|m|min|h|d))+)\\s*$",
            &["250ms", "1.5s", "2m", "1h30m"],
        ),
        json!({ "const": 0 }),
    ]);
    let some = any_of(vec![quantity(
        "^\\s*([0-9]*\\.?[0-9]*(ns|us|µs|μs|ms|s|sec|m|min|h|d))+\\s*$",
        &["250ms", "1.5s", "2m"],
    )]);
    vec![
        ("text", scalar),
        ("any", json!(true)),
        (
            "fixed",
            json!({ "type": ["string", "number", "boolean"], "not": { "pattern": "\\{\\{" } }),
        ),
        (
            "name",
            json!({
                "type": ["string", "number", "boolean"],
                "maxLength": 100,
                "pattern": NAME,
            }),
        ),
        ("truth", json!({ "type": "boolean" })),
        ("duration", duration),
        ("some_duration", some),
        (
            "rate",
            quantity("^\\s*[0-9]*\\.?[0-9]*\\s*/\\s*(s|sec|m|min|h)\\s*$", &["200/s", "90/m"]),
        ),
        (
            "size",
            any_of(vec![
                quantity(
                    "^\\s*[0-9]*\\.?[0-9]*\\s*(B|kB|KB|KiB|k|K|MB|MiB|M|GB|GiB|G)?\\s*$",
                    &["64KiB", "10MB"],
                ),
                json!({ "type": "number", "minimum": 0 }),
            ]),
        ),
        (
            "bandwidth",
            quantity(
                "^\\s*[0-9]*\\.?[0-9]*\\s*([kMG]?bit|B|kB|KiB|MB|MiB|GB|GiB)\\s*/s\\s*$",
                &["1.6Mbit/s", "200KiB/s"],
            ),
        ),
        ("weight", json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000_000 })),
        (
            "rule",
            json!({
                "type": "string",
                "examples": ["response.p95 < 250ms", "errors < 1%", "achieved > 99%"],
            }),
        ),
        (
            "tags",
            json!({ "type": "object", "maxProperties": 32,
            "additionalProperties": refer("fixed") }),
        ),
        ("distribution", any_of(vec![refer("duration"), refer("law")])),
        ("law", law()),
    ]
}

/// A text with this pattern.
fn quantity(pattern: &str, examples: &[&str]) -> Value {
    json!({ "type": "string", "pattern": pattern, "examples": examples })
}

/// A whole number in a range.
pub(super) fn count(low: u64, high: u64) -> Value {
    json!({ "type": "integer", "minimum": low, "maximum": high })
}

/// One of several words.
pub(super) fn word(words: &[&str]) -> Value {
    json!({ "enum": words })
}

fn law() -> Value {
    let names = [
        "uniform",
        "normal",
        "exponential",
        "lognormal",
        "pareto",
        "gamma",
        "weibull",
        "empirical",
    ];
    let shape = || json!({ "type": "number", "minimum": 0.1, "maximum": 100 });
    let time = || refer("duration");
    let of = |title: &str, first: Property, second: Option<Property>| {
        let needs: Vec<&str> =
            [Some(&first), second.as_ref()].into_iter().flatten().map(|key| key.0).collect();
        object(title, &needs.clone(), [Some(first), second].into_iter().flatten().collect())
    };
    let sigma = json!({ "type": "number", "minimum": 0, "maximum": 10 });
    let empirical = object(
        "an empirical law",
        &["csv", "column"],
        vec![
            ("csv", "A CSV file with a first row of names.", refer("fixed")),
            ("column", "The column with the durations.", refer("fixed")),
            ("unit", "What bare numbers are.", word(&["ns", "us", "ms", "s", "m", "h"])),
        ],
    );
    let keys = vec![
        (
            "uniform",
            "Any duration between two.",
            json!({ "type": "array", "minItems": 2, "maxItems": 2, "items": time() }),
        ),
        (
            "normal",
            "The bell; what would be below zero is zero.",
            of("a normal law", ("mean", "", time()), Some(("sd", "", time()))),
        ),
        ("exponential", "Memoryless.", of("an exponential law", ("mean", "", time()), None)),
        (
            "lognormal",
            "Many short, a few long.",
            of("a lognormal law", ("median", "", time()), Some(("sigma", "", sigma))),
        ),
        (
            "pareto",
            "A heavy tail.",
            of("a Pareto law", ("min", "", time()), Some(("shape", "", shape()))),
        ),
        (
            "gamma",
            "A sum of memoryless parts.",
            of("a gamma law", ("mean", "", time()), Some(("shape", "", shape()))),
        ),
        (
            "weibull",
            "A power of a memoryless one.",
            of("a Weibull law", ("scale", "", time()), Some(("shape", "", shape()))),
        ),
        ("empirical", "What was measured before.", empirical),
        ("min", "Draws below it become it.", time()),
        ("max", "Draws above it become it.", time()),
    ];
    exactly_one(object("a distribution", &[], keys), &names)
}
