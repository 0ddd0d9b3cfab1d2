//! Field tables of message brokers: what steps of streams have for them beside their own keys, and
//! their settings.
//!
//! `nouns::streams` lists the keys, `flow::broker` and `service::services` read them.
//! Invariant: a key that a protocol lacks is a mistake at its place.

use crate::plan::OnFail;
use crate::plan::broker::MqttVersion;
use crate::scenario::nouns::kafka::STARTS;
use crate::scenario::nouns::laws::DISTRIBUTION;
use crate::scenario::nouns::noun::ValueShape::{
    self, Any, Count, Fixed, Name, Numbers, OneOf, PositiveDuration, Share, Shared, Size, Table,
    Template, Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, KeySpec, Noun, key, list_of, map_of, words};
use crate::scenario::nouns::operations::{CALL, CHECKED, EXPECTED, OUTCOME, RESPONSE};

/// Maximum messages that wait for their confirmation, which is that of MQTT.
const MAX_IN_FLIGHT: u64 = 65_535;

/// Versions of MQTT.
pub(crate) const VERSIONS: [(&str, MqttVersion); 2] =
    [("5", MqttVersion::V5), ("3.1.1", MqttVersion::V311)];

/// Qualities of service of MQTT.
const QOS: ValueShape = Count(0, 2);

/// When messages are acknowledged.
pub(crate) const ACKNOWLEDGE: [(&str, AcknowledgeWord); 3] = [
    ("each", AcknowledgeWord::Each),
    ("auto", AcknowledgeWord::Automatic),
    ("none", AcknowledgeWord::Never),
];

/// A word of `ack`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AcknowledgeWord {
    /// Each message by itself.
    Each,
    /// By the broker, when it has sent a message.
    Automatic,
    /// Not at all.
    Never,
}

/// Whether a message is due at all listeners of its channel, or at one of them.
pub(crate) const FAN: [(&str, bool); 2] = [("all", false), ("one", true)];

/// The keys of a step that opens a session.
pub(super) static SESSION: &[KeySpec] = &[
    key("client_id", Template, "MQTT: client identifier.")
        .otherwise("one that no other connection has"),
    key("user", Template, "MQTT: user name.").otherwise("that of the service"),
    key("password", Template, "MQTT: password.").otherwise("that of the service"),
    key(
        "will",
        Table(&WILL),
        "MQTT: message that the broker publishes if the connection ends without a close.",
    ),
];

/// The keys of a step that publishes.
pub(super) static PUBLISHING: &[KeySpec] = &[
    key("service", Fixed, "Broker whose topic or queue `send` names.")
        .otherwise("`send` names a stream, or a topic or queue of the first broker"),
    key("qos", QOS, "MQTT: quality of service; 0 is not confirmed.").default("0"),
    key("retain", Truth, "MQTT: the broker keeps the message for later subscribers.")
        .default("false"),
    key("exchange", Fixed, "AMQP: exchange; `send` is the routing key then.")
        .otherwise("the default exchange: `send` is the name of a queue"),
    key("persistent", Truth, "AMQP: the broker stores the message on disk.").default("false"),
    key("mandatory", Truth, "AMQP: a message that no queue takes is returned: `NO_ROUTE`.")
        .default("true"),
    key("message_priority", Count(0, 255), "AMQP: priority in queues with `x-max-priority`."),
    key("expires", PositiveDuration, "Longest time that the message waits at the broker; MQTT 5."),
    key("content_type", Fixed, "Media type of the message; MQTT 5.")
        .otherwise("application/json for `json`"),
    key("headers", map_of(&Template), "User properties of MQTT 5, headers of AMQP and Kafka."),
    key("key", Template, "Kafka: key, by which the partition is chosen.").otherwise("none"),
    key("partition", Template, "Kafka: partition of the message.")
        .otherwise("that of `key`; without one, a partition after the other"),
    key("confirm", Truth, "AMQP: the broker confirms the message (publisher confirms).")
        .default("true"),
    key(
        "in_flight",
        Count(1, MAX_IN_FLIGHT),
        "Messages of the connection that may wait for their confirmation. With 1 the step ends \
         with the confirmation; with more, when the message is sent, and `confirm` is a time of \
         its own.",
    )
    .default("1"),
    key("check", Table(&CONFIRM_CHECK), CHECKED),
    key("expect", Table(&CONFIRM_CHECK), EXPECTED),
    key(
        "on_fail",
        Words(&words(&OnFail::NAMES)),
        "Effect of a failed check or expect: `count` it, `stop` the iteration, or `abort` the run.",
    )
    .default("count"),
];

pub(crate) static CONFIRM_CHECK: Noun = Noun {
    id: "confirm_check",
    title: "a check",
    about: "Conditions on a broker's confirmation. `check` counts those that fail; `expect` also \
            fails the step and ends the iteration.",
    form: "`{ status: NO_ROUTE }`",
    groups: &[&[
        key("status", OneOf(&[Fixed, list_of(&Fixed)]), "Accepted statuses, such as `NO_ROUTE`."),
        key("service", Fixed, "Bound on the service time, such as `\"< 1s\"`."),
    ]],
    ..EMPTY
};

/// The keys of a step that subscribes.
pub(super) static SUBSCRIBING: &[KeySpec] = &[
    key("qos", QOS, "MQTT: largest quality of service of the messages.").default("0"),
    key(
        "prefetch",
        Count(0, 65_535),
        "AMQP: unacknowledged messages that the broker sends ahead; 0: without a limit. Kafka: \
         unacknowledged messages with which the consumer fetches no more.",
    )
    .otherwise("100; 500 for Kafka"),
    key(
        "ack",
        OneOf(&[Words(&words(&ACKNOWLEDGE)), Table(&BATCH)]),
        "Acknowledges `each` message, several at once, or none. `auto`: AMQP's broker takes \
         messages as acknowledged when it has sent them; Kafka's consumer stores the offsets of \
         received messages from time to time.",
    )
    .otherwise("`each`; `auto` for Kafka"),
    key("work", Shared(&DISTRIBUTION), "Work for each message before it is acknowledged.")
        .otherwise("none"),
    key("reject", Share("1%"), "AMQP: share of the messages that are rejected.").otherwise("none"),
    key("requeue", Truth, "AMQP: the broker queues rejected messages again.").default("false"),
    key("consumer_group", Template, "Kafka: group whose members share the partitions.")
        .otherwise("none: the consumer reads all partitions"),
    key("from", Words(&words(&STARTS)), "Kafka: where a consumer begins without a stored offset.")
        .default("latest"),
    key("exclusive", Truth, "AMQP: no other consumer receives from the queue.").default("false"),
    key(
        "fan",
        Words(&words(&FAN)),
        "Whether a stamped message is due at all listeners of its channel, or at one of them.",
    )
    .otherwise("`one` for AMQP, shared subscriptions and groups, else `all`"),
    key("keep", Truth, "Keeps the messages for `await` instead of handling them here.")
        .default("false"),
];

pub(crate) static BATCH: Noun = Noun {
    id: "batch",
    title: "`ack`",
    about: "Acknowledgements of several messages at once.",
    form: "`each`, `auto`, `none`, or `{ every: 100 }`",
    groups: &[&[key("every", Count(1, 65_535), "Messages of an acknowledgement.")
        .needs("a number of messages")]],
    ..EMPTY
};

pub(crate) static WILL: Noun = Noun {
    id: "will",
    title: "`will`",
    about: "The last will of a client of MQTT.",
    form: "`{ topic: \"devices/7/state\", body: offline }`",
    groups: &[&[
        key("topic", Template, "Topic.").needs("a topic"),
        key("body", Template, "Payload.").otherwise("empty"),
        key("qos", QOS, "Quality of service.").default("0"),
        key("retain", Truth, "Whether the broker keeps it for later subscribers.").default("false"),
    ]],
    ..EMPTY
};

pub(crate) static MQTT: Noun = Noun {
    id: "mqtt",
    title: "`mqtt`",
    about: "Settings of a service that speaks MQTT.",
    form: "`{ version: 5, keep_alive: 60s }`",
    groups: &[&[
        key(
            "version",
            OneOf(&[Words(&words(&VERSIONS)), Numbers(&[5.0])]),
            "Version of the protocol.",
        )
        .default("5"),
        key(
            "keep_alive",
            ValueShape::Duration,
            "Longest silence of a client, in whole seconds; it sends pings before. 0s: no limit.",
        )
        .default("60s"),
        key("clean", Truth, "The broker forgets an earlier session of the client identifier.")
            .default("true"),
        key(
            "expiry",
            ValueShape::Duration,
            "How long the broker keeps a session after its connection; MQTT 5.",
        )
        .default("0s"),
        key("max_packet", Size, "Largest packet accepted.").default("1MiB"),
    ]],
    ..EMPTY
};

/// What `amqp` does; a step has one of them.
pub(crate) const AMQP_OPERATIONS: [&str; 6] =
    ["declare_queue", "declare_exchange", "bind", "delete_queue", "delete_exchange", "purge"];

pub(crate) static AMQP: Noun = Noun {
    id: "amqp",
    title: "this step",
    about: "Declares or deletes queues and exchanges of a broker that speaks AMQP 0-9-1. Messages \
            are sent by `send`, and received by `listen`.",
    form: "a step such as `amqp: { declare_queue: orders }`",
    groups: &[
        &[key("amqp", Table(&AMQP_OPERATION), "What it does.")
            .needs("an operation such as `{ declare_queue: orders }`")],
        CALL,
        RESPONSE,
        OUTCOME,
    ],
    ..EMPTY
};

pub(crate) static AMQP_OPERATION: Noun = Noun {
    id: "amqp_operation",
    title: "`amqp`",
    about: "An operation of a broker that speaks AMQP 0-9-1.",
    form: "`{ declare_queue: orders, type: quorum }`",
    groups: &[&[
        key("declare_queue", Template, "Name of a queue that is to exist."),
        key("declare_exchange", Template, "Name of an exchange that is to exist."),
        key("bind", Template, "Name of a queue that gets messages of `exchange`."),
        key("delete_queue", Template, "Name of a queue that is deleted."),
        key("delete_exchange", Template, "Name of an exchange that is deleted."),
        key("purge", Template, "Name of a queue whose messages are removed."),
        key(
            "type",
            Name,
            "Type of a queue (`classic`, `quorum`, `stream`), or of an exchange (`direct`, \
             `fanout`, `topic`, `headers`).",
        )
        .otherwise("`classic`, or `direct`"),
        key("durable", Truth, "It survives a restart of the broker.").default("true"),
        key("dead_letter", Template, "Queue that gets rejected and expired messages."),
        key("dead_letter_exchange", Template, "Exchange that gets them."),
        key("ttl", PositiveDuration, "How long messages wait in the queue."),
        key("max_length", Count(1, 1 << 40), "Messages that the queue holds."),
        key("arguments", map_of(&Any), "Further arguments, such as `x-max-priority: 10`."),
        key("exchange", Template, "Exchange of a binding."),
        key("key", Template, "Routing key of a binding.").otherwise("empty"),
    ]],
    rules: &[
        KeyRule::ExactlyOne(&AMQP_OPERATIONS),
        KeyRule::Needs("bind", "exchange"),
        KeyRule::AtMostOne(&["dead_letter", "dead_letter_exchange"]),
    ],
    ..EMPTY
};
