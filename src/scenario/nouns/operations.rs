//! Field tables of steps that call a service of another protocol than HTTP: what they share, and
//! what stands in them.
//!
//! `operation_steps` makes the steps of them, `flow::operation` reads them.
//! Invariant: a response that is no HTTP has no header and no cookie.

use crate::plan::OnFail;
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Constant, Fixed, List, Matching, OneOf, PositiveDuration, Shared, Size, Table, Template,
    Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, Noun, key, list_of, map_of, words};
use crate::scenario::nouns::responses::{BODY_CHECK, GROUP, PICKS, VALUES};
use crate::scenario::nouns::values::{PRIORITY, TAGS};

/// Maximum words of a command, and commands of a batch.
pub(crate) const MAX_WORDS: usize = 1_024;

/// Bytes in base64.
pub(crate) const BASE64: ValueShape = Matching("^[A-Za-z0-9+/=]+$", "base64");

/// A command: a text, or the list of its words.
pub(crate) const COMMAND: ValueShape = OneOf(&[Template, List(1, Some(MAX_WORDS), &Template)]);

/// The keys that each of these steps has.
pub(crate) static CALL: &[KeySpec] = &[
    key("name", Fixed, "Name in reports; steps of one name share a series.")
        .otherwise("protocol and command"),
    key("service", Fixed, "Service of the call.").otherwise("the first service of the protocol"),
    key("timeout", PositiveDuration, "Longest duration of the call.").otherwise("the service's"),
    key("think", Shared(&DISTRIBUTION), "Think time after this call.").otherwise("the archetype's"),
    key("tags", TAGS, "Tags of its series, in addition to the archetype's."),
];

/// The keys of those that get a response.
pub(crate) static RESPONSE: &[KeySpec] = &[
    key("max_body", Size, "Largest response.").default("64MiB"),
    key("capture", map_of(&Table(&REPLY_CAPTURE)), "Variables set from the response."),
    key("check", Table(&REPLY_CHECK), "Conditions; failed ones are counted."),
    key(
        "expect",
        Table(&REPLY_CHECK),
        "Conditions; a failed one fails the step and ends the iteration.",
    ),
    key(
        "on_fail",
        Words(&words(&OnFail::NAMES)),
        "Effect of a failed check, expect or capture: `count` it, `stop` the iteration, or `abort` \
         the run.",
    )
    .default("count"),
    key("priority", PRIORITY, "Priority under limits and degradation.").otherwise("its pool's"),
];

pub(crate) static REDIS_BATCH: Noun = Noun {
    id: "redis_batch",
    title: "a batch",
    about: "Several commands in one write. The response is the list of their replies; its time is \
            that of the whole batch, and its status that of the first error.",
    form: "`{ pipeline: [ [ GET, a ], [ INCR, b ] ] }`",
    groups: &[&[
        key("pipeline", List(1, Some(MAX_WORDS), &COMMAND), "Commands, each by itself."),
        key(
            "transaction",
            List(1, Some(MAX_WORDS), &COMMAND),
            "Commands between MULTI and EXEC. Its status is `nil` if a watched key had changed.",
        ),
    ]],
    rules: &[KeyRule::ExactlyOne(&["pipeline", "transaction"])],
    ..EMPTY
};

/// What is sent.
pub(crate) const PAYLOAD: ValueShape = OneOf(&[Template, Table(&BYTES)]);

pub(crate) static BYTES: Noun = Noun {
    id: "bytes",
    title: "bytes",
    about: "Bytes that are no text.",
    form: "a text, or `{ base64: \"AAEC\" }`",
    groups: &[&[key("base64", BASE64, "The bytes in base64.").needs("bytes in base64")]],
    ..EMPTY
};

pub(crate) static REPLY_CAPTURE: Noun = Noun {
    id: "reply_capture",
    title: "a capture",
    about: "A value from a response, stored in a variable. A capture that finds nothing, or more \
            than 64 KiB, is a failed check and leaves the variable unset.",
    form: "`{ value: true }` or `{ json: \"$[0]\" }`",
    groups: &[&[
        key("value", Constant(true), "The whole response: a text, number, list or map."),
        key("json", Matching("^\\$", "JSONPath (RFC 9535)"), "Value in a JSON response."),
        key("regex", Fixed, "Regular expression over the response (RE2 syntax)."),
        GROUP,
        key("pick", Words(&words(&PICKS)), "Match to keep; `all` keeps a list.").default("first"),
    ]],
    rules: &[KeyRule::ExactlyOne(&["value", "json", "regex"])],
    ..EMPTY
};

pub(crate) static REPLY_CHECK: Noun = Noun {
    id: "reply_check",
    title: "a check",
    about: "Conditions on a response. `check` counts those that fail; `expect` also fails the call \
            and ends the iteration.",
    groups: &[&[
        key(
            "status",
            OneOf(&[Fixed, list_of(&Fixed)]),
            "Accepted statuses, as words of the protocol, such as `OK` or `NXDOMAIN`.",
        ),
        key("body", Table(&BODY_CHECK), "Conditions on the response as a text."),
        key("json", VALUES, "Values at JSONPaths."),
        key("size", Fixed, "Bound on the size of the response, such as `\"< 10KiB\"`."),
        key("service", Fixed, "Bound on the service time, such as `\"< 1s\"`."),
        key("first_byte", Fixed, "Bound on the time to first byte, such as `\"< 200ms\"`."),
    ]],
    ..EMPTY
};
