//! Logs: records with severity, body and attributes.
//!
//! Sources: `logs/v1/logs.proto`, `collector/logs/v1/logs_service.proto`.
//! Invariant: a record has the time at which it was made known.

use prost::{Enumeration, Message};

use super::attributes::{AttributeMessage, AttributeValue, ResourceMessage, ScopeMessage};
use crate::sinks::run_log::LogLevel;

/// A request with log records.
#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct LogsRequest {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) resources: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) resource: Option<ResourceMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::sinks::otlp) scopes: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    pub(in crate::sinks::otlp) scope: Option<ScopeMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::sinks::otlp) records: Vec<OtlpLogRecord>,
}

/// A log record.
#[derive(Clone, PartialEq, Message)]
pub struct OtlpLogRecord {
    /// When it happened, nanoseconds since 1970.
    #[prost(fixed64, tag = "1")]
    pub at: u64,
    /// How severe it is.
    #[prost(enumeration = "LogSeverity", tag = "2")]
    pub severity: i32,
    /// The name of the severity.
    #[prost(string, tag = "3")]
    pub severity_text: String,
    /// The text.
    #[prost(message, optional, tag = "5")]
    pub body: Option<AttributeValue>,
    /// Attributes.
    #[prost(message, repeated, tag = "6")]
    pub attributes: Vec<AttributeMessage>,
    /// The flags of the header `traceparent`.
    #[prost(fixed32, tag = "8")]
    pub flags: u32,
    /// The trace that it belongs to, 16 bytes; empty if none.
    #[prost(bytes = "vec", tag = "9")]
    pub trace_id: Vec<u8>,
    /// The span that it belongs to, 8 bytes; empty if none.
    #[prost(bytes = "vec", tag = "10")]
    pub span_id: Vec<u8>,
    /// When it was made known, nanoseconds since 1970.
    #[prost(fixed64, tag = "11")]
    pub observed: u64,
    /// The name of the event, the same for all records of its kind.
    #[prost(string, tag = "12")]
    pub event_name: String,
}

/// How severe a record is: of each group of four, the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum LogSeverity {
    /// Not known.
    Unspecified = 0,
    /// For developers.
    Debug = 5,
    /// As expected.
    Info = 9,
    /// Not an error, and worth a look.
    Warn = 13,
    /// An error.
    Error = 17,
}

impl From<LogLevel> for LogSeverity {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::Error,
            LogLevel::Warn => Self::Warn,
            LogLevel::Info => Self::Info,
            LogLevel::Debug => Self::Debug,
        }
    }
}

impl LogSeverity {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
        }
    }
}
