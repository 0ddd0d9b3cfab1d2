//! Field tables of Kafka: settings of a service, and operations on topics.
//!
//! `nouns::services` and `nouns::steps` list them, `service::kafka` and `flow::kafka` read them.
//! Invariant: a key has the name that it has in Kafka's own clients, without their dots.

use crate::plan::kafka::{KafkaCompression, KafkaLoginMethod, OffsetStart};
use crate::scenario::nouns::noun::ValueShape::{
    Any, Count, Duration, Fixed, List, Numbers, OneOf, PositiveDuration, Size, Table, Template,
    Truth, Words,
};
use crate::scenario::nouns::noun::{EMPTY, KeyRule, Noun, key, map_of, words};
use crate::scenario::nouns::operations::{CALL, OUTCOME, RESPONSE};

/// Most further addresses of a cluster.
pub(crate) const MAX_BOOTSTRAP: usize = 64;

/// Codecs of batches.
pub(crate) const COMPRESSIONS: [(&str, KafkaCompression); 5] = [
    ("none", KafkaCompression::None),
    ("gzip", KafkaCompression::Gzip),
    ("snappy", KafkaCompression::Snappy),
    ("lz4", KafkaCompression::Lz4),
    ("zstd", KafkaCompression::Zstd),
];

/// Mechanisms of SASL.
pub(crate) const LOGIN_METHODS: [(&str, KafkaLoginMethod); 2] =
    [("plain", KafkaLoginMethod::Plain), ("scram-sha-256", KafkaLoginMethod::ScramSha256)];

/// Where a consumer begins.
pub(crate) const STARTS: [(&str, OffsetStart); 2] =
    [("latest", OffsetStart::Latest), ("earliest", OffsetStart::Earliest)];

/// Which replicas confirm a record, as words and numbers.
pub(crate) const ACKS: [(&str, i16); 3] = [("all", -1), ("1", 1), ("0", 0)];

/// What consumers read: whether only what was committed.
pub(crate) const ISOLATIONS: [(&str, bool); 2] =
    [("read_uncommitted", false), ("read_committed", true)];

pub(crate) static KAFKA_SETTINGS: Noun = Noun {
    id: "kafka_settings",
    title: "`kafka` of a service",
    about: "Settings of a service that speaks Kafka's protocol.",
    form: "`{ acks: all, linger: 5ms, batch: 64KiB }`",
    groups: &[&[
        key(
            "acks",
            OneOf(&[Words(&words(&ACKS)), Numbers(&[0.0, 1.0])]),
            "Replicas that have stored a message before it is confirmed: `all` in sync, 1 (the \
             leader), or 0: it is not confirmed.",
        )
        .default("all"),
        key("idempotent", Truth, "Brokers store a message once, also if it is sent again.")
            .otherwise("`true` with `acks: all`"),
        key(
            "linger",
            Duration,
            "How long a batch waits for more messages. The wait is the time `linger`, and a part \
             of `confirm`.",
        )
        .default("0s"),
        key("batch", Size, "Largest batch; a larger message has a batch of its own.")
            .default("16KiB"),
        key("compression", Words(&words(&COMPRESSIONS)), "Codec of batches.").default("none"),
        key(
            "delivery_timeout",
            PositiveDuration,
            "How long a message may take until it is stored; it is sent again until then.",
        )
        .default("30s"),
        key("fetch_wait", Duration, "How long a broker may wait for messages in a fetch.")
            .default("500ms"),
        key("fetch_min", Size, "Bytes of messages for which it does not wait.").default("1B"),
        key("fetch_max", Size, "Most bytes of messages in a fetch.").default("1MiB"),
        key(
            "isolation",
            Words(&words(&ISOLATIONS)),
            "What consumers read: also messages of transactions that are open or aborted, or only \
             those of committed ones and outside of any.",
        )
        .default("read_uncommitted"),
        key(
            "transaction_timeout",
            PositiveDuration,
            "How long a transaction may stay open before the broker aborts it.",
        )
        .default("1m"),
        key("session_timeout", PositiveDuration, "How long a member of a group may be silent.")
            .default("45s"),
        key("rebalance_timeout", PositiveDuration, "How long a rebalance waits for members.")
            .default("1m"),
        key("heartbeat", PositiveDuration, "Interval of the heartbeats of a member.").default("3s"),
        key(
            "commit_interval",
            PositiveDuration,
            "Interval at which offsets are stored with `ack: auto`.",
        )
        .default("5s"),
        key(
            "bootstrap",
            List(1, Some(MAX_BOOTSTRAP), &Fixed),
            "Further addresses of the cluster, as `host:port`. A session that cannot connect to \
             the URL's tries them in their order.",
        ),
        key("login", Words(&words(&LOGIN_METHODS)), "Mechanism of SASL, for a URL with a user.")
            .default("plain"),
    ]],
    ..EMPTY
};

/// What `kafka` does; a step has one of them.
pub(crate) const TOPIC_OPERATIONS: [&str; 2] = ["create_topic", "delete_topic"];

pub(crate) static KAFKA: Noun = Noun {
    id: "kafka",
    title: "this step",
    about: "Creates or deletes a topic of Kafka. Messages are sent by `send`, and received by \
            `listen`.",
    form: "a step such as `kafka: { create_topic: clicks, partitions: 6 }`",
    groups: &[
        &[key("kafka", Table(&TOPIC_OPERATION), "What it does.")
            .needs("an operation such as `{ create_topic: clicks }`")],
        CALL,
        RESPONSE,
        OUTCOME,
    ],
    ..EMPTY
};

pub(crate) static TOPIC_OPERATION: Noun = Noun {
    id: "topic_operation",
    title: "`kafka`",
    about: "An operation on a topic of Kafka.",
    form: "`{ create_topic: clicks, partitions: 6 }`",
    groups: &[&[
        key("create_topic", Template, "Name of a topic that is created."),
        key("delete_topic", Template, "Name of a topic that is deleted."),
        key("partitions", Count(1, 100_000), "Partitions of the topic.")
            .otherwise("the broker's default"),
        key("replication", Count(1, 100), "Replicas of each partition.")
            .otherwise("the broker's default"),
        key("config", map_of(&Any), "Further settings, such as `retention.ms: 60000`."),
    ]],
    rules: &[KeyRule::ExactlyOne(&TOPIC_OPERATIONS)],
    ..EMPTY
};
