//! The settings of a service that speaks Kafka's protocol, and what steps do with its topics.
//!
//! `scenario` compiles them, `wire::broker::kafka` obeys them.
//! Invariant: a setting has the meaning that its namesake has in Kafka's own clients.

use std::time::Duration;

use crate::template::Template;

/// The settings of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Which replicas have stored a record before it is confirmed: −1: all in sync; 1: the leader;
    /// 0: it is not confirmed.
    pub acks: i16,
    /// Whether brokers store a record once, also if it is sent again.
    pub is_idempotent: bool,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// Bytes of a batch; a larger record has a batch of its own.
    pub batch: u32,
    /// How batches are compressed.
    pub compression: KafkaCompression,
    /// How long a record may take until it is stored: it is sent again until then.
    pub delivery_timeout: Duration,
    /// How long a broker may wait for records before it answers a fetch.
    pub fetch_wait: Duration,
    /// Bytes of records for which it does not wait.
    pub fetch_min: u32,
    /// Bytes of records of a fetch.
    pub fetch_max: u32,
    /// Whether consumers read records of committed transactions only, and those outside of any.
    pub reads_committed: bool,
    /// How long a transaction may stay open before its coordinator aborts it.
    pub transaction_timeout: Duration,
    /// How long a member of a group may be silent.
    pub session_timeout: Duration,
    /// How long a group waits for its members in a rebalance.
    pub rebalance_timeout: Duration,
    /// The interval of heartbeats.
    pub heartbeat: Duration,
    /// The interval at which offsets of messages are stored that are acknowledged automatically.
    pub commit_interval: Duration,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            acks: -1,
            is_idempotent: true,
            linger: Duration::ZERO,
            batch: 16 << 10,
            compression: KafkaCompression::None,
            delivery_timeout: Duration::from_secs(30),
            fetch_wait: Duration::from_millis(500),
            fetch_min: 1,
            fetch_max: 1 << 20,
            reads_committed: false,
            transaction_timeout: Duration::from_mins(1),
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_mins(1),
            heartbeat: Duration::from_secs(3),
            commit_interval: Duration::from_secs(5),
        }
    }
}

/// A codec of batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KafkaCompression {
    /// None.
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// A mechanism of SASL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KafkaLoginMethod {
    /// The password itself.
    #[default]
    Plain,
    /// A proof of the password, by SHA-256.
    ScramSha256,
}

/// Where a consumer begins that has no stored offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OffsetStart {
    /// Behind the last record.
    #[default]
    Latest,
    /// At the first record.
    Earliest,
}

/// A topic that a step makes or deletes.
#[derive(Clone, Debug)]
pub struct TopicOperation {
    /// Its name.
    pub name: Template,
    /// What is done.
    pub plan: TopicPlan,
}

/// What is done with a topic.
#[derive(Clone, Debug)]
pub enum TopicPlan {
    /// It is made.
    Create {
        /// Number of its partitions; −1: the broker's default.
        partitions: i32,
        /// Replicas of each; −1: the broker's default.
        replication: i16,
        /// Further settings, such as `retention.ms`.
        config: Vec<(String, String)>,
    },
    /// It is deleted.
    Delete,
}

impl TopicPlan {
    /// The word of a step that does it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create_topic",
            Self::Delete => "delete_topic",
        }
    }
}
