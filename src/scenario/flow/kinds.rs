//! The kinds of control steps, and the keys that name them.
//!
//! Invariant: each kind has one key.

use crate::scenario::nouns::brokers::AMQP;
use crate::scenario::nouns::copy::COPY;
use crate::scenario::nouns::grpc::GRPC;
use crate::scenario::nouns::kafka::KAFKA;
use crate::scenario::nouns::noun::Noun;
use crate::scenario::nouns::operations::{DNS_QUERY, REDIS, TCP, UDP};
use crate::scenario::nouns::plain_steps::{FORGET, LOG, PAUSE, RENDEZVOUS, SET};
use crate::scenario::nouns::sql::SQL;
use crate::scenario::nouns::steps::{
    CACHED, CHOOSE, GROUP, IF, PARALLEL, REPEAT, TRANSACTION, WHILE,
};
use crate::scenario::nouns::streams::{AWAIT, CLOSE, LISTEN, OPEN, SEND};
use crate::scenario::syntax::node::Node;

/// The kinds by their key.
pub(crate) const KINDS: [(&str, ControlStep); 27] = [
    ("choose", ControlStep::Choose),
    ("repeat", ControlStep::Repeat),
    ("while", ControlStep::While),
    ("if", ControlStep::If),
    ("parallel", ControlStep::Parallel),
    ("group", ControlStep::Group),
    ("rendezvous", ControlStep::Rendezvous),
    ("set", ControlStep::Set),
    ("log", ControlStep::Log),
    ("pause", ControlStep::Pause),
    ("cached", ControlStep::Cached),
    ("forget", ControlStep::Forget),
    ("open", ControlStep::Open),
    ("send", ControlStep::Send),
    ("await", ControlStep::Await),
    ("listen", ControlStep::Listen),
    ("close", ControlStep::Close),
    ("redis", ControlStep::Redis),
    ("tcp", ControlStep::Tcp),
    ("udp", ControlStep::Udp),
    ("dns", ControlStep::Dns),
    ("sql", ControlStep::Sql),
    ("copy", ControlStep::Copy),
    ("transaction", ControlStep::Transaction),
    ("grpc", ControlStep::Grpc),
    ("amqp", ControlStep::Amqp),
    ("kafka", ControlStep::Kafka),
];

/// A kind of control step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlStep {
    Choose,
    Repeat,
    While,
    If,
    Parallel,
    Group,
    Rendezvous,
    Set,
    Log,
    Pause,
    Cached,
    Forget,
    Open,
    Send,
    Await,
    Listen,
    Close,
    Redis,
    Tcp,
    Udp,
    Dns,
    Sql,
    /// Copies rows into a table of PostgreSQL.
    Copy,
    Transaction,
    /// A unary call of gRPC.
    Grpc,
    /// A declaration or deletion at a broker of AMQP.
    Amqp,
    /// An operation on a topic of Kafka.
    Kafka,
}

/// Returns the kind of a control step; `None` for a request.
pub(crate) fn kind(node: &Node) -> Option<ControlStep> {
    let known = |(name, kind): &(&str, ControlStep)| node.get(name).map(|_| *kind);
    KINDS.iter().find_map(known)
}

impl ControlStep {
    /// Returns the field table of this kind.
    pub(crate) fn noun(self) -> &'static Noun {
        match self {
            Self::Choose => &CHOOSE,
            Self::Repeat => &REPEAT,
            Self::While => &WHILE,
            Self::If => &IF,
            Self::Parallel => &PARALLEL,
            Self::Group => &GROUP,
            Self::Rendezvous => &RENDEZVOUS,
            Self::Set => &SET,
            Self::Log => &LOG,
            Self::Pause => &PAUSE,
            Self::Cached => &CACHED,
            Self::Forget => &FORGET,
            Self::Open => &OPEN,
            Self::Send => &SEND,
            Self::Await => &AWAIT,
            Self::Listen => &LISTEN,
            Self::Close => &CLOSE,
            Self::Redis => &REDIS,
            Self::Tcp => &TCP,
            Self::Udp => &UDP,
            Self::Dns => &DNS_QUERY,
            Self::Sql => &SQL,
            Self::Copy => &COPY,
            Self::Transaction => &TRANSACTION,
            Self::Grpc => &GRPC,
            Self::Amqp => &AMQP,
            Self::Kafka => &KAFKA,
        }
    }

    /// Returns the key of this kind.
    pub(crate) fn key(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(key, _)| key)
    }
}
