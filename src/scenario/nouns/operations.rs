//! Field tables of steps that call a service of another protocol than HTTP.
//!
//! `flow::operation` reads them.
//! Invariant: each step has one key that no other step has: the name of its protocol.

use crate::plan::OnFail;
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Constant, Count, Fixed, List, Matching, OneOf, PositiveDuration, Shared, Size, StepList,
    Table, Template, Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, Noun, key, list_of, map_of, words};
use crate::scenario::nouns::responses::{BODY_CHECK, GROUP, PICKS, VALUES};
use crate::scenario::nouns::values::{PRIORITY, TAGS};

/// Maximum words of a command, and commands of a batch.
pub(crate) const MAX_WORDS: usize = 1_024;

/// Bytes in base64.
const BASE64: ValueShape = Matching("^[A-Za-z0-9+/=]+$", "base64");

/// A command: a text, or the list of its words.
const COMMAND: ValueShape = OneOf(&[Template, List(1, Some(MAX_WORDS), &Template)]);

/// The keys that each of these steps has.
pub(super) static CALL: &[KeySpec] = &[
    key("name", Fixed, "Name in reports; steps of one name share a series.")
        .otherwise("protocol and command"),
    key("service", Fixed, "Service of the call.").otherwise("the first service of the protocol"),
    key("timeout", PositiveDuration, "Longest duration of the call.").otherwise("the service's"),
    key("think", Shared(&DISTRIBUTION), "Think time after this call.").otherwise("the archetype's"),
    key("tags", TAGS, "Tags of its series, in addition to the archetype's."),
];

/// The keys of those that get a response.
pub(super) static RESPONSE: &[KeySpec] = &[
    key("capture", map_of(&Table(&REPLY_CAPTURE)), "Variables set from the response."),
    key("check", Table(&REPLY_CHECK), CHECKED),
    key("expect", Table(&REPLY_CHECK), EXPECTED),
];

/// What `check` and `expect` do.
pub(super) const CHECKED: &str = "Conditions; failed ones are counted.";
pub(super) const EXPECTED: &str = "Conditions; a failed one fails the step and ends the iteration.";

/// The keys of those that get a response, whatever it looks like.
pub(super) static OUTCOME: &[KeySpec] = &[
    key("max_body", Size, "Largest response.").default("64MiB"),
    key(
        "on_fail",
        Words(&words(&OnFail::NAMES)),
        "Effect of a failed check, expect or capture: `count` it, `stop` the iteration, or `abort` \
         the run.",
    )
    .default("count"),
    key("priority", PRIORITY, "Priority under limits and degradation.").otherwise("its pool's"),
    key(
        "fallback",
        StepList,
        "Steps that run if the call fails; the iteration goes on after them.",
    ),
];

pub(crate) static REDIS: Noun = Noun {
    id: "redis",
    title: "this step",
    about: "A command to a Redis server, or several at once.",
    form: "a step such as `redis: [ GET, \"user:1\" ]`",
    groups: &[
        &[key(
            "redis",
            OneOf(&[Template, List(1, Some(MAX_WORDS), &Template), Table(&REDIS_BATCH)]),
            "The command: the list of its words, or a text that is split at spaces. The command's \
             name is a fixed text.",
        )
        .needs("a command such as `[ GET, \"user:1\" ]`")],
        CALL,
        RESPONSE,
        OUTCOME,
    ],
    ..EMPTY
};

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

pub(crate) static TCP: Noun = Noun {
    id: "tcp",
    title: "this step",
    about: "Bytes to a TCP service, and its response.",
    form: "a step such as `{ tcp: \"PING\\r\\n\", until: \"\\n\" }`",
    groups: &[
        &[
            key("tcp", PAYLOAD, "What is sent: a text, or bytes in base64.")
                .needs("a text such as \"PING\\r\\n\""),
            key("until", Fixed, "The text that ends the response.").otherwise("a line feed"),
            key("until_bytes", BASE64, "Bytes that end the response, in base64."),
            key("length", Count(1, 1 << 32), "The number of bytes of the response."),
            key("until_close", Constant(true), "The end of the connection ends the response."),
            key("response", Constant(false), "`false`: no response is read."),
        ],
        CALL,
        RESPONSE,
        OUTCOME,
    ],
    rules: &[KeyRule::AtMostOne(&["until", "until_bytes", "length", "until_close", "response"])],
    ..EMPTY
};

pub(crate) static UDP: Noun = Noun {
    id: "udp",
    title: "this step",
    about: "A datagram to a UDP service, and the datagram that comes back.",
    form: "a step such as `{ udp: \"orders:1|c\", response: false }`",
    groups: &[
        &[
            key("udp", PAYLOAD, "What is sent: a text, or bytes in base64.")
                .needs("a text such as \"orders:1|c\""),
            key("response", Truth, "`false`: no response is expected.").default("true"),
        ],
        CALL,
        RESPONSE,
        OUTCOME,
    ],
    ..EMPTY
};

/// What is sent.
const PAYLOAD: ValueShape = OneOf(&[Template, Table(&BYTES)]);

pub(crate) static BYTES: Noun = Noun {
    id: "bytes",
    title: "bytes",
    about: "Bytes that are no text.",
    form: "a text, or `{ base64: \"AAEC\" }`",
    groups: &[&[key("base64", BASE64, "The bytes in base64.").needs("bytes in base64")]],
    ..EMPTY
};

pub(crate) static DNS_QUERY: Noun = Noun {
    id: "dns_query",
    title: "this step",
    about: "A question to a name server.",
    form: "a step such as `{ dns: shop.example, type: AAAA }`",
    groups: &[
        &[
            key("dns", Template, "The name.").needs("a name such as shop.example"),
            key(
                "type",
                Matching("^([A-Za-z]+|TYPE[0-9]+)$", "type of records such as AAAA, or TYPE99"),
                "Type of the records.",
            )
            .default("A"),
            key("recursion", Truth, "Whether the server may ask others (RD).").default("true"),
        ],
        CALL,
        RESPONSE,
        OUTCOME,
    ],
    ..EMPTY
};

/// The keys of captures from any response that is no HTTP.
pub(super) static SOURCES: &[KeySpec] = &[
    key("value", Constant(true), "The whole response: a text, number, list or map."),
    key("json", Matching("^\\$", "JSONPath (RFC 9535)"), "Value in a JSON response."),
    key("regex", Fixed, "Regular expression over the response (RE2 syntax)."),
    GROUP,
    key("pick", Words(&words(&PICKS)), "Match to keep; `all` keeps a list.").default("first"),
];

/// What a capture does.
pub(super) const CAPTURED: &str = "A value from a response, stored in a variable. A capture that \
    finds nothing, or more than 64 KiB, is a failed check and leaves the variable unset.";

pub(crate) static REPLY_CAPTURE: Noun = Noun {
    id: "reply_capture",
    title: "a capture",
    about: CAPTURED,
    form: "`{ value: true }` or `{ json: \"$[0]\" }`",
    groups: &[SOURCES],
    rules: &[KeyRule::ExactlyOne(&["value", "json", "regex"])],
    ..EMPTY
};

/// The conditions on any response that is no HTTP.
pub(super) static CONDITIONS: &[KeySpec] = &[
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
];

/// What conditions do.
pub(super) const CONDITIONED: &str = "Conditions on a response. `check` counts those that fail; \
    `expect` also fails the call and ends the iteration.";

pub(crate) static REPLY_CHECK: Noun = Noun {
    id: "reply_check",
    title: "a check",
    about: CONDITIONED,
    groups: &[CONDITIONS],
    ..EMPTY
};
