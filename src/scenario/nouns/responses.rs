//! Field tables of captures and checks, and the keys of steps that have them.
//!
//! `flow::capture` and `flow::check` read them.
//! Invariant: a value that a check compares with is fixed text without templates.

use crate::extract::MatchPick;
use crate::plan::OnFail;
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, Count, Fixed, Matching, OneOf, Table, Words,
};
use crate::scenario::nouns::noun::{
    EMPTY, KeyRule, KeySpec, MapKeys, MapShape, Noun, key, list_of, map_of, words,
};

/// The values of `pick` of a capture.
pub(crate) const PICKS: [(&str, MatchPick); 4] = [
    ("first", MatchPick::First),
    ("last", MatchPick::Last),
    ("random", MatchPick::Random),
    ("all", MatchPick::All),
];

/// The group of a regular expression.
pub(crate) const GROUP: KeySpec = key(
    "group",
    OneOf(&[Count(0, 1_000), Fixed]),
    "Group of the `regex` to keep: a number or a name.",
)
.otherwise("the first group, else the whole match");

pub(crate) static CAPTURE: Noun = Noun {
    id: "capture",
    title: "a capture",
    about: "A value from a response, stored in a variable. A capture that finds nothing, or more \
            than 64 KiB, is a failed check and leaves the variable unset.",
    form: "`{ json: \"$.id\" }` or `{ header: location }`",
    groups: &[&[
        key("json", Matching("^\\$", "JSONPath (RFC 9535)"), "Value in a JSON body."),
        key("regex", Fixed, "Regular expression over the body (RE2 syntax)."),
        GROUP,
        key("header", Fixed, "Name of a response header."),
        key("cookie", Fixed, "Name of a cookie: of this response, else of the user."),
        key("css", Fixed, "CSS selector over an HTML body of at most 4 MiB."),
        key("attribute", Fixed, "Attribute of the element that `css` selects.")
            .otherwise("the element's text"),
        key("pick", Words(&words(&PICKS)), "Match to keep; `all` keeps a list.").default("first"),
    ]],
    rules: &[KeyRule::ExactlyOne(&["json", "regex", "header", "cookie", "css"])],
    ..EMPTY
};

/// The keys of conditions on a text.
static TEXTS: &[KeySpec] = &[
    key("equals", Fixed, "The whole text."),
    key("starts_with", Fixed, "The beginning of the text."),
    key("contains", Fixed, "A part of the text."),
    key("lacks", Fixed, "A text that does not occur."),
    key("matches", Fixed, "Regular expression (RE2 syntax)."),
];

/// Values by JSONPath.
pub(crate) const VALUES: ValueShape =
    ValueShape::Map(MapShape { keys: MapKeys::Paths, values: &Any, min: 0, max: None });

/// The highest status of HTTP.
pub(crate) const HIGHEST_STATUS: u16 = 599;

/// The highest status that a response is read with: some targets send others than those of HTTP.
pub(crate) const HIGHEST_RECEIVED: u16 = 999;

/// A number or class of statuses.
pub(crate) const STATUS: ValueShape =
    OneOf(&[Count(100, HIGHEST_RECEIVED as u64), Matching("^[1-9]xx$", "class such as `2xx`")]);

/// A number or class of the statuses of HTTP.
pub(crate) const HTTP_STATUS: ValueShape =
    OneOf(&[Count(100, HIGHEST_STATUS as u64), Matching("^[1-5]xx$", "class such as `2xx`")]);

pub(crate) static HEADER_CHECK: Noun = Noun {
    id: "header_check",
    title: "a header's check",
    about: "Conditions on the value of a header.",
    groups: &[TEXTS],
    ..EMPTY
};

pub(crate) static BODY_CHECK: Noun = Noun {
    id: "body_check",
    title: "a body's check",
    about: "Conditions on the body.",
    form: "`{ contains: \"text\" }`, `{ matches: \"id=\\d+\" }` or `{ json: { \"$.ok\": true } }`",
    groups: &[TEXTS, &[key("json", VALUES, "Values at JSONPaths.")]],
    rules: &[KeyRule::AtLeastOne],
    ..EMPTY
};

pub(crate) static CHECK: Noun = Noun {
    id: "check",
    title: "a check",
    about: "Conditions on a response. `check` counts those that fail; `expect` also fails the call \
            and ends the iteration.",
    groups: &[&[
        key("status", OneOf(&[STATUS, list_of(&STATUS)]), "Accepted status codes."),
        key(
            "header",
            map_of(&OneOf(&[Fixed, Table(&HEADER_CHECK)])),
            "Conditions on headers; a plain text is `equals`.",
        ),
        key("body", Table(&BODY_CHECK), "Conditions on the body."),
        key("json", VALUES, "Values at JSONPaths."),
        key("size", Fixed, "Bound on the size of the unpacked body, such as `\"< 10KiB\"`."),
        key("service", Fixed, "Bound on the service time, such as `\"< 1s\"`."),
        key("first_byte", Fixed, "Bound on the time to first byte, such as `\"< 200ms\"`."),
        key(
            "finish",
            OneOf(&[Fixed, list_of(&Fixed)]),
            "Accepted reasons of a language model to stop; with `stream`.",
        ),
        key(
            "tokens",
            Fixed,
            "Bound on the tokens of the answer, such as `\"> 0\"`; with `stream`.",
        ),
        key("first", Fixed, "Bound on the time to the first content; with `stream`."),
    ]],
    ..EMPTY
};

/// The keys of steps that get a response or a message.
pub(crate) static RESPONSE: &[KeySpec] = &[
    key("capture", map_of(&Table(&CAPTURE)), "Variables set from the response or message."),
    key("check", Table(&CHECK), "Conditions; failed ones are counted."),
    key("expect", Table(&CHECK), "Conditions; a failed one fails the step and ends the iteration."),
    key(
        "on_fail",
        Words(&words(&OnFail::NAMES)),
        "Effect of a failed check, expect or capture: `count` it, `stop` the iteration, or `abort` \
         the run.",
    )
    .default("count"),
];
