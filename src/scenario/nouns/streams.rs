//! Field tables of streams: the steps that open, use and close them, and their settings.
//!
//! `flow::stream` and `service::services` read them.
//! Invariant: each step has one key that no request and no control step has.

use crate::plan::OnFail;
use crate::plan::stream::AwaitSince;
use crate::scenario::nouns::brokers::{PUBLISHING, SESSION, SUBSCRIBING};
use crate::scenario::nouns::grpc::{GRPC_CAPTURE, GRPC_CHECK, METHOD};
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, Constant, Count, Fixed, List, Matching, Name, OneOf, PositiveDuration, Shared, Size,
    Table, Template, Truth, Words,
};
use crate::scenario::nouns::noun::{
    EMPTY, KeyRule, KeySpec, MapKeys, MapShape, Noun, key, map_of, words,
};
use crate::scenario::nouns::operations::{CHECKED, EXPECTED, REPLY_CHECK};
use crate::scenario::nouns::responses::{CAPTURE, CHECK, RESPONSE};
use crate::scenario::nouns::values::TAGS;

/// The path of a stream.
const PATH: ValueShape = Matching("^(/|\\{\\{)", "path such as `/ws?room=1`");

/// The path of a stream, the name of an open one, or a topic or queue.
const SOURCE: ValueShape = Template;

/// Whether a message has a stamp, and where in a JSON body.
pub(crate) const STAMP: ValueShape =
    OneOf(&[Truth, Matching("^\\$(\\.[A-Za-z_][A-Za-z0-9_]*)+$", "path such as `$.meta.m`")]);

/// What a timeout of `await` is.
pub(crate) const ON_TIMEOUT: [(&str, bool); 2] = [("fail", false), ("pass", true)];

/// Maximum subprotocols that are offered.
const MAX_SUBPROTOCOLS: usize = 16;

/// Maximum automatic answers of a listener.
const MAX_REPLIES: usize = 16;

/// The keys that each of these steps has.
static COMMON: &[KeySpec] = &[
    key("name", Fixed, "Name in reports; steps of one name share a series.")
        .otherwise("verb and stream"),
    key("timeout", PositiveDuration, "Longest duration of the step.").otherwise("the service's"),
    key("think", Shared(&DISTRIBUTION), "Think time after this step.").otherwise("the archetype's"),
    key("tags", TAGS, "Tags of its series, in addition to the archetype's."),
];

/// The keys of steps that open a stream.
static OPENING: &[KeySpec] = &[
    key("as", Name, "Name of the stream in later steps.").otherwise("the service's name"),
    key("service", Fixed, "Service of the stream.").otherwise("the first service"),
    key("headers", map_of(&Template), "Headers of the handshake."),
    key(
        "subprotocols",
        List(1, Some(MAX_SUBPROTOCOLS), &Fixed),
        "Subprotocols to offer, the preferred one first; the target has to choose one.",
    ),
    key(
        "reconnect",
        OneOf(&[Truth, Table(&RECONNECT)]),
        "Opens the stream again when it ends; `true`: with the defaults.",
    )
    .default("false"),
];

/// Conditions on the response of a handshake: of HTTP, or of a broker.
const HANDSHAKE: ValueShape = OneOf(&[Table(&CHECK), Table(&REPLY_CHECK)]);

/// The keys of a step that opens a stream, for its response.
static OPENED: &[KeySpec] = &[
    key("capture", map_of(&Table(&CAPTURE)), "Variables set from the response."),
    key("check", HANDSHAKE, CHECKED),
    key("expect", HANDSHAKE, EXPECTED),
    key(
        "on_fail",
        Words(&words(&OnFail::NAMES)),
        "Effect of a failed check, expect or capture: `count` it, `stop` the iteration, or `abort` \
         the run.",
    )
    .default("count"),
];

/// The keys of listeners.
static LISTENING: &[KeySpec] = &[
    key("match", Table(&MATCH), "Conditions on the messages that it takes.").otherwise("all"),
    key(
        "stamp",
        STAMP,
        "Reads stamps: delivery, transit, order and loss. They are found wherever they stand.",
    )
    .default("false"),
    key(
        "channel",
        Template,
        "Name of the channel: a listener is due the stamped messages of its channel.",
    )
    .otherwise("service and path of the stream"),
    key("own", Truth, "Whether the target also sends back what its own user sent.").default("true"),
    key(
        "reply",
        List(1, Some(MAX_REPLIES), &Table(&REPLY)),
        "Automatic answers, such as heartbeats; the first that matches is sent.",
    ),
];

pub(crate) static OPEN: Noun = Noun {
    id: "open",
    title: "this step",
    about: "Opens a WebSocket, a session at a message broker, or a call of gRPC that takes a \
            stream of messages. In `on_start` it lives as long as the user, in `flow` until the \
            end of the iteration. Its time is that of the handshake.",
    form: "a step such as `open: /ws`",
    groups: &[
        &[key(
            "open",
            OneOf(&[PATH, METHOD, Constant(true)]),
            "Path of the WebSocket; method of gRPC; `true` for a broker.",
        )
        .needs("a path such as /ws, or `true` for a broker")],
        &[key("json", Any, "Message of a method of gRPC that takes one.")],
        OPENING,
        SESSION,
        COMMON,
        OPENED,
    ],
    ..EMPTY
};

pub(crate) static SEND: Noun = Noun {
    id: "send",
    title: "this step",
    about: "Sends a message to a stream, or publishes it at a message broker. Its time ends when \
            the kernel has taken all bytes, or with the broker's confirmation.",
    form: "a step such as `{ send: chat, json: { type: hello } }`",
    groups: &[
        &[
            key("send", Template, "Stream; topic of MQTT or Kafka; queue or routing key of AMQP.")
                .needs("the name of a stream, a topic or a queue"),
            key("json", Any, "JSON text."),
            key("body", Template, "Text."),
            key("file", Fixed, "Bytes of a file of at most 64 MiB."),
            key("bytes", Matching("^[A-Za-z0-9+/=]+$", "base64"), "Bytes, in base64."),
            key("text", Truth, "Sends a text message, else a binary one.")
                .otherwise("`true` for `json` and `body`"),
            key(
                "stamp",
                STAMP,
                "Writes a stamp into the message, for listeners that read stamps: into a member of \
                 `json`, or into `body` where `{{ stamp }}` stands, else before the text.",
            )
            .default("false"),
            key("channel", Template, "Name of the channel that the stamp belongs to.")
                .otherwise("service and path of the stream"),
            key(
                "resend",
                Truth,
                "Sends the same message again each time the stream was opened again: a \
                 subscription.",
            )
            .default("false"),
        ],
        PUBLISHING,
        COMMON,
    ],
    rules: &[KeyRule::ExactlyOne(&["json", "body", "file", "bytes"])],
    ..EMPTY
};

pub(crate) static AWAIT: Noun = Noun {
    id: "await",
    title: "this step",
    about: "Waits for a message. Messages are kept from the opening of the stream on, so that one \
            that came before the step is found. Its time ends when the message was read.",
    form: "a step such as `await: chat`",
    groups: &[
        &[
            key("await", Name, "Stream.").needs("the name of a stream"),
            key("match", Table(&MATCH), "Conditions on the message.")
                .otherwise("any message that no listener takes"),
            key(
                "since",
                Words(&words(&AwaitSince::NAMES)),
                "Moment that its response time counts from: the last `send`, the opening of the \
                 stream, the `last` message that a step waited for, the start of the `iteration`, \
                 or `now`.",
            )
            .default("send"),
            key("count", Count(1, 1_000_000), "Number of messages.").default("1"),
            key("on_timeout", Words(&words(&ON_TIMEOUT)), "Whether a timeout is a failure.")
                .default("fail"),
        ],
        COMMON,
        RESPONSE,
    ],
    ..EMPTY
};

pub(crate) static LISTEN: Noun = Noun {
    id: "listen",
    title: "this step",
    about: "Handles messages in the background from now on. With a path it opens a stream first: \
            server-sent events on an http service, a WebSocket on a ws service. At a broker it \
            subscribes to a topic or queue; its time ends when the broker has accepted that.",
    form: "a step such as `listen: /events`",
    groups: &[
        &[
            key("listen", SOURCE, "Stream, path or method of a new one, topic filter or queue.")
                .needs("a path, a topic or queue, or the name of a stream"),
            key("json", Any, "JSON body of the request; it becomes a POST. Message of gRPC."),
            key("body", Template, "Text body of the request; it becomes a POST."),
        ],
        OPENING,
        LISTENING,
        SUBSCRIBING,
        COMMON,
        RESPONSE,
    ],
    rules: &[KeyRule::AtMostOne(&["json", "body"])],
    ..EMPTY
};

pub(crate) static CLOSE: Noun = Noun {
    id: "close",
    title: "this step",
    about: "Closes a stream, and waits until it is closed. A call of gRPC is cancelled, unless \
            `half` ends it.",
    form: "a step such as `close: chat`",
    groups: &[
        &[
            key(
                "half",
                Truth,
                "Ends what is sent on a call of gRPC, and waits for the target's end: its status \
                 is that of the step, and rules look at the last message.",
            )
            .default("false"),
            key("capture", map_of(&Table(&GRPC_CAPTURE)), "Variables set from the last message."),
            key("check", Table(&GRPC_CHECK), "Conditions; failed ones are counted."),
            key(
                "expect",
                Table(&GRPC_CHECK),
                "Conditions; a failed one fails the step and ends the iteration.",
            ),
            key(
                "on_fail",
                Words(&words(&OnFail::NAMES)),
                "Effect of a failed check, expect or capture: `count` it, `stop` the iteration, or \
                 `abort` the run.",
            )
            .default("count"),
            key("close", Name, "Stream.").needs("the name of a stream"),
            key("code", Count(1_000, 4_999), "Close code of a WebSocket.").default("1000"),
            key("reason", Fixed, "Reason that is sent with the code, at most 123 bytes."),
        ],
        COMMON,
    ],
    ..EMPTY
};

pub(crate) static RECONNECT: Noun = Noun {
    id: "reconnect",
    title: "`reconnect`",
    about: "How a stream is opened again.",
    form: "`{ max: 10, backoff: { base: 500ms, max: 30s } }`",
    groups: &[&[
        key("max", Count(1, 1_000_000), "Attempts in a row without success.").default("10"),
        key("backoff", Table(&STREAM_BACKOFF), "Waits before the attempts."),
        key("resume", Truth, "Sends `Last-Event-ID`, so that the target repeats what was missed.")
            .default("true"),
    ]],
    ..EMPTY
};

pub(crate) static STREAM_BACKOFF: Noun = Noun {
    id: "stream_backoff",
    title: "`backoff`",
    about: "Waits before attempts to open a stream again: the first, doubled with each attempt, \
            half of it random. A wait is at least what an event stream asked for with `retry:`, \
            up to `max`.",
    form: "`{ base: 500ms, max: 30s }`",
    groups: &[&[
        key("base", PositiveDuration, "First wait.").default("500ms"),
        key("max", PositiveDuration, "Longest wait.").default("30s"),
    ]],
    ..EMPTY
};

pub(crate) static MATCH: Noun = Noun {
    id: "match",
    title: "`match`",
    about: "Conditions that select a message; all have to hold. Their values may be templates, \
            which are rendered when the step begins.",
    form: "`{ json: { \"$.type\": welcome } }`",
    groups: &[&[
        key(
            "json",
            ValueShape::Map(MapShape { keys: MapKeys::Paths, values: &Any, min: 0, max: None }),
            "Values at JSONPaths.",
        ),
        key(
            "text",
            OneOf(&[Template, Table(&MATCH_TEXT)]),
            "Condition on the text; a plain text \
            has to occur in it.",
        ),
        key("event", Fixed, "Name of a server-sent event."),
        key("topic", Fixed, "Topic of MQTT or Kafka, routing key of AMQP."),
    ]],
    rules: &[KeyRule::AtLeastOne],
    ..EMPTY
};

pub(crate) static MATCH_TEXT: Noun = Noun {
    id: "match_text",
    title: "`text`",
    about: "Conditions on the text of a message.",
    form: "`{ contains: \"ok\" }`",
    groups: &[&[
        key("equals", Template, "The whole text."),
        key("starts_with", Template, "The beginning of the text."),
        key("contains", Template, "A part of the text."),
        key("lacks", Template, "A text that does not occur."),
        key("matches", Fixed, "Regular expression (RE2 syntax)."),
    ]],
    rules: &[KeyRule::AtLeastOne],
    ..EMPTY
};

pub(crate) static REPLY: Noun = Noun {
    id: "reply",
    title: "a reply",
    about: "An automatic answer to a message.",
    form: "`{ match: { text: { equals: \"2\" } }, text: \"3\" }`",
    groups: &[&[
        key("match", Table(&MATCH), "Conditions on the message.").needs("conditions"),
        key(
            "capture",
            map_of(&Table(&CAPTURE)),
            "Values of the message for the text, which is rendered for each message then. If one \
             finds nothing, nothing is sent.",
        ),
        key("text", Template, "Text of the answer, rendered when the listener begins.")
            .needs("a text"),
    ]],
    ..EMPTY
};

pub(crate) static WS: Noun = Noun {
    id: "ws",
    title: "`ws`",
    about: "Settings of a service's WebSockets.",
    form: "`{ ping: 25s, pong: 10s }`",
    groups: &[&[
        key("ping", PositiveDuration, "Silence of the target after which a ping is sent.")
            .otherwise("no pings"),
        key("pong", PositiveDuration, "Longest wait for the answer to a ping.").default("10s"),
        key("deflate", Truth, "Offers permessage-deflate (RFC 7692).").default("false"),
        key("max_message", Size, "Largest message accepted, unpacked.").default("1MiB"),
    ]],
    ..EMPTY
};
