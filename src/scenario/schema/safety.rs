//! Schema of `safety:`.
//!
//! Invariant: it matches the reader `scenario::safety` for scenarios, which cannot authorise
//! targets.

use serde_json::{Value, json};

use super::build::{any_of, list_of, object, refer};
use super::scalars::count;

/// The limits of a scenario.
pub(super) fn safety() -> Value {
    let one_or_more = || any_of(vec![refer("fixed"), list_of(refer("fixed"))]);
    let deny = vec![
        ("methods", "Methods that are never sent.", one_or_more()),
        ("paths", "Paths that are never asked for, such as /admin/*.", one_or_more()),
    ];
    let redact = || {
        let keys = vec![
            ("add", "Further names of keys.", one_or_more()),
            ("remove", "Built-in names that hide nothing.", one_or_more()),
        ];
        object("`redact`", &[], keys)
    };
    let storm = vec![
        (
            "errors",
            "The share of calls, such as 90%.",
            any_of(vec![refer("fixed"), json!({ "type": "number", "minimum": 0, "maximum": 1 })]),
        ),
        ("for", "For so long.", refer("some_duration")),
        ("min_calls", "Of at least so many calls.", count(1, 1 << 40)),
    ];
    let storm = object("`stop_on`", &["errors", "for"], storm);
    let keys = vec![
        ("hosts", "The hosts and networks that may be reached.", one_or_more()),
        ("authorised", "Only in your own safety file.", json!(false)),
        ("files", "Only in your own safety file.", json!(false)),
        ("deny", "What is never sent.", object("`deny`", &[], deny)),
        ("max_rate", "The most starts per second.", refer("rate")),
        ("max_users", "The most users at once.", count(1, u64::MAX / 2)),
        (
            "stop_on",
            "The errors that stop a run; false: none.",
            any_of(vec![json!({ "const": false }), storm]),
        ),
        ("redact", "Whose values reports do not show.", redact()),
        ("mask", "The former name of `redact`.", redact()),
        ("run_header", "Whether requests name their run.", json!({ "type": "boolean" })),
    ];
    object("`safety`", &[], keys)
}
