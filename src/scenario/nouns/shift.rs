//! Field table of a shift of load between two targets.
//!
//! `scenario::shift` reads it.
//! Invariant: the new target is named; all else has a default.

use crate::scenario::nouns::noun::ValueShape::{
    Count, Duration, Fixed, List, Matching, PositiveDuration, Share,
};
use crate::scenario::nouns::noun::{EMPTY, Noun, key};

/// Maximum steps of a shift.
pub(crate) const MAX_STEPS: usize = 100;

/// Maximum rules of a shift.
pub(crate) const MAX_RULES: usize = 20;

pub(crate) static SHIFT: Noun = Noun {
    id: "shift",
    title: "`shift`",
    about: "Moves the users of a service from its target to another one, step by step, as long as \
            rules hold; else back, and the run ends with exit code 4.",
    groups: &[&[
        key("to", Matching("^([hH][tT][tT][pP]|[wW][sS])[sS]?://", "URL"), "The new target.")
            .needs("a URL such as \"http://127.0.0.1:8082\""),
        key("service", Fixed, "The service; its own address is the old target.")
            .otherwise("the first service"),
        key(
            "steps",
            List(1, Some(MAX_STEPS), &Share("10%")),
            "Shares of the users on the new target, rising to 100%.",
        )
        .default("[10%, 25%, 50%, 75%, 100%]"),
        key("start", Duration, "When the first step begins, after the start of the run.")
            .default("0s"),
        key("hold", PositiveDuration, "How long a step is held before it is judged, 2s or more.")
            .default("30s"),
        key(
            "min_calls",
            Count(1, 1_000_000_000),
            "Calls on the new target that a step needs; it is held for up to three times as long.",
        )
        .default("20"),
        key(
            "rules",
            List(1, Some(MAX_RULES), &Fixed),
            "What must hold on the new target in each step: a threshold, or a ratio such as \
             `response.p95 < 1.2 * old`.",
        )
        .default("[errors <= 5%, response.p95 <= 5s]"),
        key(
            "before",
            Fixed,
            "Shell command before each step, with MANADA_SHIFT_STEP, _PERCENT, _OLD and _NEW; if \
             it fails, the shift is rolled back.",
        ),
        key("after", Fixed, "Shell command after each step that passed."),
        key("rollback", Fixed, "Shell command before the users go back to the old target."),
    ]],
    ..EMPTY
};
