//! Field tables of steps that call a method of gRPC.
//!
//! `flow::grpc`, `flow::capture` and `flow::check` read them.
//! Invariant: a step calls one method.

use crate::plan::stream::AnswerFormat;
use crate::scenario::nouns::good::GOOD;
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, Constant, Fixed, Matching, OneOf, Table, Template, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, Noun, key, list_of, map_of, words};
use crate::scenario::nouns::operations::{CALL, OUTCOME};
use crate::scenario::nouns::responses::{BODY_CHECK, GROUP, HEADER_CHECK, PICKS, VALUES};

/// The full name of a method.
pub(crate) const METHOD: ValueShape = Matching(
    "^/?[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*$",
    "method such as shop.v1.Cart/Add",
);

/// The keys that look at a response.
static RULES: &[KeySpec] = &[
    key("capture", map_of(&Table(&GRPC_CAPTURE)), "Variables set from the response."),
    key("check", Table(&GRPC_CHECK), "Conditions; failed ones are counted."),
    key(
        "expect",
        Table(&GRPC_CHECK),
        "Conditions; a failed one fails the step and ends the iteration.",
    ),
];

pub(crate) static GRPC: Noun = Noun {
    id: "grpc",
    title: "this step",
    about: "A call of gRPC: one message is sent, and one received, or a stream of them.",
    form: "a step such as `{ grpc: shop.v1.Cart/Add, json: { sku: a1 } }`",
    groups: &[
        &[
            key("grpc", METHOD, "The method: package, service and name.")
                .needs("a method such as shop.v1.Cart/Add"),
            key(
                "json",
                Any,
                "The message as JSON. A text that is one whole `{{ }}` keeps the type of its \
                 value.",
            )
            .otherwise("a message without fields"),
            key(
                "headers",
                map_of(&Template),
                "Metadata. The value of a name that ends in `-bin` is base64.",
            ),
            key(
                "stream",
                Words(&words(&AnswerFormat::GRPC_NAMES)),
                "How the response of a method that returns a stream is observed: its messages are \
                 counted and timed as they come.",
            )
            .otherwise("`messages` for a method that returns a stream"),
            key("good", Table(&GOOD), "Limits of a good stream, without `tpot`."),
        ],
        CALL,
        RULES,
        OUTCOME,
    ],
    ..EMPTY
};

pub(crate) static GRPC_CAPTURE: Noun = Noun {
    id: "grpc_capture",
    title: "a capture",
    about: "A value from a response of gRPC, stored in a variable. A capture that finds nothing, \
            or more than 64 KiB, is a failed check and leaves the variable unset.",
    form: "`{ json: \"$.total\" }` or `{ header: x-request-id }`",
    groups: &[&[
        key("value", Constant(true), "The whole message, a map."),
        key("json", Matching("^\\$", "JSONPath (RFC 9535)"), "Value in the message as JSON."),
        key("regex", Fixed, "Regular expression over the message as JSON (RE2 syntax)."),
        GROUP,
        key("header", Fixed, "Name in the metadata or the trailers."),
        key("pick", Words(&words(&PICKS)), "Match to keep; `all` keeps a list.").default("first"),
    ]],
    rules: &[KeyRule::ExactlyOne(&["value", "json", "regex", "header"])],
    ..EMPTY
};

pub(crate) static GRPC_CHECK: Noun = Noun {
    id: "grpc_check",
    title: "a check",
    about: "Conditions on a response of gRPC. `check` counts those that fail; `expect` also fails \
            the call and ends the iteration.",
    groups: &[&[
        key(
            "status",
            OneOf(&[Fixed, list_of(&Fixed)]),
            "Accepted statuses, such as `OK` or `NOT_FOUND`.",
        ),
        key(
            "header",
            map_of(&OneOf(&[Fixed, Table(&HEADER_CHECK)])),
            "Conditions on metadata and trailers; a plain text is `equals`.",
        ),
        key(
            "body",
            Table(&BODY_CHECK),
            "Conditions on the message as JSON, or on the text of an error.",
        ),
        key("json", VALUES, "Values at JSONPaths of the message."),
        key("size", Fixed, "Bound on the size of the message as JSON, such as `\"< 10KiB\"`."),
        key(
            "messages",
            Fixed,
            "Number of messages of a stream, or a bound on it such as `\">= 10\"`.",
        ),
        key("first", Fixed, "Bound on the time to the first message of a stream."),
        key("service", Fixed, "Bound on the service time, such as `\"< 1s\"`."),
        key("first_byte", Fixed, "Bound on the time to first byte, such as `\"< 200ms\"`."),
    ]],
    ..EMPTY
};
