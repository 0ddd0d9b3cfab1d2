//! The indices of a run's documents, and the types of their fields.
//!
//! `documents` names the indices, `bulk` writes the template before the first document.
//! Invariant: no document is refused because a field has another type in an earlier one.

use serde_json::{Value, json};

/// The index of seconds.
pub(super) const SECONDS: &str = "manada-seconds";
/// The index of failures.
pub(super) const FAILURES: &str = "manada-failures";
/// The index of events.
pub(super) const EVENTS: &str = "manada-events";

/// The index template: texts are keywords, so that they can be counted; what has other types from
/// document to document is kept and not searched.
pub(super) fn template() -> Value {
    let kept = || json!({ "type": "object", "enabled": false });
    json!({
        "index_patterns": [SECONDS, FAILURES, EVENTS],
        "priority": 100,
        "template": {
            "mappings": {
                "dynamic_templates": [{
                    "texts": {
                        "match_mapping_type": "string",
                        "mapping": { "type": "keyword", "ignore_above": 1_024 },
                    },
                }],
                "properties": {
                    "@timestamp": { "type": "date" },
                    "change": kept(),
                    "example": kept(),
                },
            },
        },
    })
}
