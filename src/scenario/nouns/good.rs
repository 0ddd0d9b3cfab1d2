//! The field table of `good`, of responses that are observed as they come.
//!
//! `flow::message` reads it.
//! Invariant: each of its keys is a limit.

use crate::scenario::nouns::noun::ValueShape::PositiveDuration;
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, key};

pub(crate) static GOOD: Noun = Noun {
    id: "good",
    title: "`good`",
    about: "The limits of a good answer; one that meets all of them counts as good.",
    form: "`{ first: 300ms, tpot: 50ms }`",
    groups: &[&[
        key("first", PositiveDuration, "Longest time to the first content."),
        key("tpot", PositiveDuration, "Longest time per token after the first."),
        key("response", PositiveDuration, "Longest response time."),
    ]],
    rules: &[KeyRule::AtLeastOne],
    ..EMPTY
};
