//! Operations: calls of protocols other than HTTP.
//!
//! `scenario` compiles them, `engine::call::operation` renders their requests, and `wire` reads
//! their responses as they say.
//! Invariant: an operation has one response, and what ends it is known before it is sent.

use crate::grpc::GrpcCall;
use crate::plan::broker::{DeclareKind, DeclarePlan, SessionPlan};
use crate::plan::kafka::TopicOperation;
use crate::template::Template;

/// A call of another protocol than HTTP.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Commands to a Redis server.
    Redis(RedisBatch),
    /// Bytes over TCP, or a datagram; the call's body has them.
    Bytes(ResponseEnd),
    /// A question to a name server.
    Dns(DnsQuestion),
    /// A statement to a PostgreSQL server.
    Sql(SqlStatement),
    /// A call of gRPC; the call's body has its message.
    Grpc(GrpcCall),
    /// The beginning of a session at a broker, which a stream takes over.
    Session(SessionPlan),
    /// A declaration or deletion at a broker of AMQP.
    Declare(DeclarePlan),
    /// A topic of Kafka that is made or deleted.
    Topic(TopicOperation),
}

/// Commands that are sent together.
#[derive(Clone, Debug)]
pub struct RedisBatch {
    /// The commands; at least one.
    pub commands: Vec<RedisCommand>,
    /// How they are sent.
    pub form: BatchForm,
}

/// How commands are sent together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchForm {
    /// One command; its reply is the response.
    Single,
    /// All in one write; the replies are a list.
    Pipeline,
    /// Between MULTI and EXEC; the replies are a list.
    Transaction,
}

/// A command.
#[derive(Clone, Debug)]
pub struct RedisCommand {
    /// Its words: name and arguments.
    pub words: Vec<Template>,
}

/// What ends a response of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseEnd {
    /// No response is read: the call ends when the kernel has taken its bytes.
    Nothing,
    /// A number of bytes, at least 1.
    Length(u64),
    /// These bytes, which belong to the response; at least one.
    Delimiter(Vec<u8>),
    /// The end of the connection.
    Close,
    /// One datagram.
    Datagram,
}

/// A question of DNS.
#[derive(Clone, Debug)]
pub struct DnsQuestion {
    /// The name, dotted, with or without a final dot.
    pub name: Template,
    /// The type of the records.
    pub record: RecordType,
    /// Whether the server is to ask others (RD).
    pub recursion: bool,
}

/// A type of DNS records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordType(pub u16);

impl RecordType {
    /// The types that have a name here (RFC 1035, 3596, 2782, 3403, 6698, 8659, 9460).
    pub const NAMES: [(&'static str, Self); 16] = [
        ("A", Self(1)),
        ("NS", Self(2)),
        ("CNAME", Self(5)),
        ("SOA", Self(6)),
        ("PTR", Self(12)),
        ("MX", Self(15)),
        ("TXT", Self(16)),
        ("AAAA", Self(28)),
        ("SRV", Self(33)),
        ("NAPTR", Self(35)),
        ("DS", Self(43)),
        ("DNSKEY", Self(48)),
        ("TLSA", Self(52)),
        ("HTTPS", Self(65)),
        ("ANY", Self(255)),
        ("CAA", Self(257)),
    ];

    /// Its name; `TYPE` and its number if it has none here (RFC 3597).
    pub fn name(self) -> String {
        let known = Self::NAMES.iter().find(|(_, known)| *known == self);
        known.map_or_else(|| format!("TYPE{}", self.0), |(name, _)| (*name).to_owned())
    }
}

/// A statement of SQL.
#[derive(Clone, Debug)]
pub struct SqlStatement {
    /// Its text; fixed, unless the mode is `Simple`.
    pub text: Template,
    /// Its parameters; `None` is null.
    pub params: Vec<Option<Template>>,
    /// How it is sent.
    pub mode: SqlMode,
    /// Identifies its text among the statements that a connection has prepared.
    pub id: u64,
    /// Whether it only reads, as far as its first word tells.
    pub only_reads: bool,
    /// The rows of a `copy … from stdin` that its call has no body for; `None`: it copies no rows
    /// in, or its body has them.
    pub rows: Option<Box<CopiedRows>>,
    /// Whether data follow it.
    pub copies: bool,
}

/// Rows that are rendered for each call, and copied into a table.
#[derive(Clone, Debug)]
pub struct CopiedRows {
    /// The values of a row; `None` is null.
    pub values: Vec<Option<Template>>,
    /// How many rows.
    pub count: u32,
}

/// How a statement is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SqlMode {
    /// Parsed once for each connection, then executed by its name.
    #[default]
    Prepared,
    /// Parsed and executed in each call.
    Extended,
    /// One text without parameters, which may have several statements.
    Simple,
}

impl SqlMode {
    /// The modes by their words.
    pub const NAMES: [(&'static str, Self); 3] =
        [("prepared", Self::Prepared), ("extended", Self::Extended), ("simple", Self::Simple)];
}

impl SqlStatement {
    /// Creates a statement. Two statements of one text have one id: the first 64 bits of the text's
    /// SHA-256.
    pub fn new(text: Template, params: Vec<Option<Template>>, mode: SqlMode) -> Self {
        let fixed = text.as_static().unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, fixed);
        let id = digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let fixed = String::from_utf8_lossy(fixed);
        let only_reads = first_word(&fixed).is_some_and(|word| READING.contains(&&*word))
            && !fixed.trim_end().trim_end_matches(';').contains(';');
        Self { text, params, mode, id, only_reads, rows: None, copies: false }
    }
}

/// First words of statements that only read.
const READING: [&str; 4] = ["SELECT", "SHOW", "TABLE", "VALUES"];

/// The first word of a statement in upper case, behind comments; `None` if it has none.
pub fn first_word(sql: &str) -> Option<String> {
    let mut rest = sql.trim_start();
    loop {
        let comment = if rest.starts_with("--") {
            rest.split_once('\n')
        } else if rest.starts_with("/*") {
            rest.split_once("*/")
        } else {
            break;
        };
        rest = comment?.1.trim_start();
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_ascii_uppercase())
}

impl Operation {
    /// The queues, exchanges and topics that it makes, deletes or binds.
    pub fn names(&self) -> Vec<&Template> {
        match self {
            Self::Declare(declare) => match &declare.kind {
                DeclareKind::Binding { exchange, .. } => vec![&declare.name, exchange],
                _ => vec![&declare.name],
            },
            Self::Topic(topic) => vec![&topic.name],
            _ => Vec::new(),
        }
    }

    /// Calls `each` with the variables that its templates read; those of the call's body are not
    /// among them.
    pub fn reads(&self, each: &mut dyn FnMut(usize)) {
        match self {
            Self::Redis(batch) => {
                let words = batch.commands.iter().flat_map(|command| &command.words);
                words.for_each(|word| word.reads(each));
            }
            Self::Dns(question) => question.name.reads(each),
            Self::Bytes(_) | Self::Grpc(_) => {}
            Self::Session(session) => session.reads(each),
            Self::Declare(declare) => declare.reads(each),
            Self::Topic(topic) => topic.name.reads(each),
            Self::Sql(statement) => {
                statement.text.reads(each);
                let rows = statement.rows.iter().flat_map(|rows| &rows.values);
                statement.params.iter().chain(rows).flatten().for_each(|param| param.reads(each));
            }
        }
    }

    /// Whether it may be carried out twice without harm.
    pub fn is_idempotent(&self) -> bool {
        match self {
            Self::Redis(batch) => batch.commands.iter().all(RedisCommand::only_reads),
            Self::Bytes(_) => false,
            Self::Dns(_) => true,
            Self::Sql(statement) => statement.only_reads,
            Self::Grpc(call) => call.method.is_idempotent,
            // What was declared or deleted is so, however often.
            Self::Session(_) | Self::Declare(_) | Self::Topic(_) => true,
        }
    }

    /// The call of gRPC that it is; `None` if it is another.
    pub fn as_grpc(&self) -> Option<&GrpcCall> {
        match self {
            Self::Grpc(call) => Some(call),
            _ => None,
        }
    }

    /// Whether its call waits for the target.
    pub fn has_response(&self) -> bool {
        !matches!(self, Self::Bytes(ResponseEnd::Nothing))
    }
}

/// Commands that only read, and so may be sent twice.
const READS: [&str; 36] = [
    "GET",
    "MGET",
    "EXISTS",
    "TTL",
    "PTTL",
    "TYPE",
    "STRLEN",
    "GETRANGE",
    "GETBIT",
    "BITCOUNT",
    "HGET",
    "HMGET",
    "HGETALL",
    "HKEYS",
    "HVALS",
    "HLEN",
    "HEXISTS",
    "LRANGE",
    "LLEN",
    "LINDEX",
    "SMEMBERS",
    "SISMEMBER",
    "SCARD",
    "ZRANGE",
    "ZSCORE",
    "ZCARD",
    "ZRANK",
    "ZCOUNT",
    "XRANGE",
    "XLEN",
    "SCAN",
    "HSCAN",
    "KEYS",
    "DBSIZE",
    "PING",
    "ECHO",
];

impl RedisCommand {
    /// The command's name in upper case; `None` if a template computes it.
    pub fn name(&self) -> Option<String> {
        let name = self.words.first()?.as_static()?;
        Some(String::from_utf8_lossy(name).to_uppercase())
    }

    fn only_reads(&self) -> bool {
        self.name().is_some_and(|name| READS.contains(&name.as_str()))
    }
}
