//! The words of statuses, by protocol.
//!
//! Invariant: words are added at the end of a list, so that the others keep their numbers; no list
//! reaches the base of the next.

use super::Protocol;
use StatusClass::{ClientError, Rejected, ServerError, Success};

/// What a status says of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusClass {
    /// The target did what the request says.
    Success,
    /// The target could not do it because of the request: HTTP 4xx.
    ClientError,
    /// The target failed: HTTP 5xx, and codes without a definition (RFC 9110 §15).
    ServerError,
    /// The target did not process the request because of its load or state; it may do so later:
    /// HTTP 429 and 503.
    Rejected,
}

/// A named status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedStatus {
    /// Its word in the protocol.
    pub name: &'static str,
    /// What it says.
    pub class: StatusClass,
}

/// The statuses of a protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatusSpace {
    pub(super) protocol: Protocol,
    /// The number of the first one.
    pub(super) base: u16,
    pub(super) statuses: &'static [NamedStatus],
}

const fn status(name: &'static str, class: StatusClass) -> NamedStatus {
    NamedStatus { name, class }
}

/// All lists, by base.
pub(super) const SPACES: &[StatusSpace] = &[
    StatusSpace { protocol: Protocol::Redis, base: 1_000, statuses: REDIS },
    StatusSpace { protocol: Protocol::Tcp, base: 1_100, statuses: &[status("OK", Success)] },
    StatusSpace { protocol: Protocol::Udp, base: 1_110, statuses: &[status("OK", Success)] },
    StatusSpace { protocol: Protocol::Dns, base: 1_120, statuses: DNS },
    StatusSpace { protocol: Protocol::Postgres, base: 1_200, statuses: POSTGRES },
    StatusSpace { protocol: Protocol::Grpc, base: 1_400, statuses: GRPC },
    StatusSpace { protocol: Protocol::Mqtt, base: 1_500, statuses: MQTT },
    StatusSpace { protocol: Protocol::Amqp, base: 1_600, statuses: AMQP },
];

/// The first words of Redis' errors; `other` is any that is not here, and `nil` a transaction whose
/// watched keys had changed.
const REDIS: &[NamedStatus] = &[
    status("OK", Success),
    status("other", ClientError),
    status("ERR", ClientError),
    status("WRONGTYPE", ClientError),
    status("NOAUTH", ClientError),
    status("WRONGPASS", ClientError),
    status("NOPERM", ClientError),
    status("EXECABORT", ClientError),
    status("NOSCRIPT", ClientError),
    status("BUSYGROUP", ClientError),
    status("NOGROUP", ClientError),
    status("BUSYKEY", ClientError),
    status("INDEXERR", ClientError),
    status("NOTBUSY", ClientError),
    status("CROSSSLOT", ClientError),
    status("NOPROTO", ClientError),
    status("DENIED", ClientError),
    status("UNKILLABLE", ClientError),
    status("nil", ClientError),
    status("MOVED", Rejected),
    status("ASK", Rejected),
    status("TRYAGAIN", Rejected),
    status("CLUSTERDOWN", Rejected),
    status("MASTERDOWN", Rejected),
    status("LOADING", Rejected),
    status("BUSY", Rejected),
    status("READONLY", Rejected),
    status("NOREPLICAS", Rejected),
    status("OOM", Rejected),
    status("MISCONF", ServerError),
    status("IOERR", ServerError),
];

/// Response codes of DNS (RFC 1035 §4.1.1, RFC 2136, RFC 6891, RFC 8945).
const DNS: &[NamedStatus] = &[
    status("NOERROR", Success),
    status("FORMERR", ClientError),
    status("SERVFAIL", ServerError),
    status("NXDOMAIN", ClientError),
    status("NOTIMP", ClientError),
    status("REFUSED", ClientError),
    status("YXDOMAIN", ClientError),
    status("YXRRSET", ClientError),
    status("NXRRSET", ClientError),
    status("NOTAUTH", ClientError),
    status("NOTZONE", ClientError),
    status("11", ServerError),
    status("12", ServerError),
    status("13", ServerError),
    status("14", ServerError),
    status("15", ServerError),
    status("other", ServerError),
];

/// Codes of PostgreSQL's errors (SQLSTATE) that are frequent, and each class of codes for its
/// others: `other` is one of no known class. Codes of connections, resources and conflicts between
/// transactions may pass, so they are as a rejection; those of operators, the system and bugs are
/// failures of the server.
const POSTGRES: &[NamedStatus] = &[
    status("OK", Success),
    status("other", ClientError),
    status("23505", ClientError),
    status("23503", ClientError),
    status("23502", ClientError),
    status("23514", ClientError),
    status("23P01", ClientError),
    status("23001", ClientError),
    status("22P02", ClientError),
    status("22001", ClientError),
    status("22003", ClientError),
    status("22012", ClientError),
    status("22007", ClientError),
    status("22008", ClientError),
    status("22021", ClientError),
    status("22023", ClientError),
    status("21000", ClientError),
    status("42P01", ClientError),
    status("42703", ClientError),
    status("42601", ClientError),
    status("42501", ClientError),
    status("42883", ClientError),
    status("42804", ClientError),
    status("42P18", ClientError),
    status("42P05", ClientError),
    status("42P07", ClientError),
    status("42702", ClientError),
    status("42P02", ClientError),
    status("25P02", ClientError),
    status("25001", ClientError),
    status("25006", ClientError),
    status("26000", ClientError),
    status("2BP01", ClientError),
    status("28P01", ClientError),
    status("28000", ClientError),
    status("3D000", ClientError),
    status("3F000", ClientError),
    status("0A000", ClientError),
    status("54000", ClientError),
    status("54001", ClientError),
    status("55000", ClientError),
    status("55006", ClientError),
    status("P0001", ClientError),
    status("40001", Rejected),
    status("40P01", Rejected),
    status("53300", Rejected),
    status("53200", Rejected),
    status("53100", Rejected),
    status("55P03", Rejected),
    status("57P03", Rejected),
    status("08006", Rejected),
    status("08003", Rejected),
    status("57014", ServerError),
    status("57P01", ServerError),
    status("57P02", ServerError),
    status("58030", ServerError),
    status("58P01", ServerError),
    status("XX000", ServerError),
    status("XX001", ServerError),
    status("XX002", ServerError),
    status("01xxx", ClientError),
    status("02xxx", ClientError),
    status("03xxx", ClientError),
    status("08xxx", Rejected),
    status("09xxx", ClientError),
    status("0Axxx", ClientError),
    status("0Bxxx", ClientError),
    status("0Fxxx", ClientError),
    status("0Lxxx", ClientError),
    status("0Pxxx", ClientError),
    status("0Zxxx", ClientError),
    status("20xxx", ClientError),
    status("21xxx", ClientError),
    status("22xxx", ClientError),
    status("23xxx", ClientError),
    status("24xxx", ClientError),
    status("25xxx", ClientError),
    status("26xxx", ClientError),
    status("27xxx", ClientError),
    status("28xxx", ClientError),
    status("2Bxxx", ClientError),
    status("2Dxxx", ClientError),
    status("2Fxxx", ClientError),
    status("34xxx", ClientError),
    status("38xxx", ClientError),
    status("39xxx", ClientError),
    status("3Bxxx", ClientError),
    status("3Dxxx", ClientError),
    status("3Fxxx", ClientError),
    status("40xxx", Rejected),
    status("42xxx", ClientError),
    status("44xxx", ClientError),
    status("53xxx", Rejected),
    status("54xxx", ClientError),
    status("55xxx", ClientError),
    status("57xxx", ServerError),
    status("58xxx", ServerError),
    status("72xxx", ClientError),
    status("F0xxx", ClientError),
    status("HVxxx", ClientError),
    status("P0xxx", ClientError),
    status("XXxxx", ServerError),
];

/// Codes of gRPC (doc/statuscodes.md), in their order.
const GRPC: &[NamedStatus] = &[
    status("OK", Success),
    status("CANCELLED", ClientError),
    status("UNKNOWN", ServerError),
    status("INVALID_ARGUMENT", ClientError),
    status("DEADLINE_EXCEEDED", ServerError),
    status("NOT_FOUND", ClientError),
    status("ALREADY_EXISTS", ClientError),
    status("PERMISSION_DENIED", ClientError),
    status("RESOURCE_EXHAUSTED", Rejected),
    status("FAILED_PRECONDITION", ClientError),
    status("ABORTED", ClientError),
    status("OUT_OF_RANGE", ClientError),
    status("UNIMPLEMENTED", ClientError),
    status("INTERNAL", ServerError),
    status("UNAVAILABLE", Rejected),
    status("DATA_LOSS", ServerError),
    status("UNAUTHENTICATED", ClientError),
];

/// Reason codes of MQTT 5.0 (§2.4), in their order; `other` is any that is not here. The return
/// codes of 3.1.1 are those of the same meaning.
const MQTT: &[NamedStatus] = &[
    status("OK", Success),
    status("other", ServerError),
    status("NO_MATCHING_SUBSCRIBERS", Success),
    status("NO_SUBSCRIPTION_EXISTED", Success),
    status("UNSPECIFIED_ERROR", ServerError),
    status("MALFORMED_PACKET", ClientError),
    status("PROTOCOL_ERROR", ClientError),
    status("IMPLEMENTATION_SPECIFIC_ERROR", ServerError),
    status("UNSUPPORTED_PROTOCOL_VERSION", ClientError),
    status("CLIENT_IDENTIFIER_NOT_VALID", ClientError),
    status("BAD_USER_NAME_OR_PASSWORD", ClientError),
    status("NOT_AUTHORIZED", ClientError),
    status("SERVER_UNAVAILABLE", Rejected),
    status("SERVER_BUSY", Rejected),
    status("BANNED", ClientError),
    status("SERVER_SHUTTING_DOWN", Rejected),
    status("BAD_AUTHENTICATION_METHOD", ClientError),
    status("KEEP_ALIVE_TIMEOUT", ClientError),
    status("SESSION_TAKEN_OVER", ClientError),
    status("TOPIC_FILTER_INVALID", ClientError),
    status("TOPIC_NAME_INVALID", ClientError),
    status("PACKET_IDENTIFIER_IN_USE", ClientError),
    status("PACKET_IDENTIFIER_NOT_FOUND", ClientError),
    status("RECEIVE_MAXIMUM_EXCEEDED", ClientError),
    status("TOPIC_ALIAS_INVALID", ClientError),
    status("PACKET_TOO_LARGE", ClientError),
    status("MESSAGE_RATE_TOO_HIGH", Rejected),
    status("QUOTA_EXCEEDED", Rejected),
    status("ADMINISTRATIVE_ACTION", ServerError),
    status("PAYLOAD_FORMAT_INVALID", ClientError),
    status("RETAIN_NOT_SUPPORTED", ClientError),
    status("QOS_NOT_SUPPORTED", ClientError),
    status("USE_ANOTHER_SERVER", Rejected),
    status("SERVER_MOVED", Rejected),
    status("SHARED_SUBSCRIPTIONS_NOT_SUPPORTED", ClientError),
    status("CONNECTION_RATE_EXCEEDED", Rejected),
    status("MAXIMUM_CONNECT_TIME", Rejected),
    status("SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED", ClientError),
    status("WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED", ClientError),
];

/// Reply codes of AMQP 0-9-1 (its XML definition, `constant`), `NACK` for a message that the broker
/// did not take, and `other` for any that is not here.
const AMQP: &[NamedStatus] = &[
    status("OK", Success),
    status("other", ServerError),
    status("NACK", Rejected),
    status("NO_ROUTE", ClientError),
    status("NO_CONSUMERS", ClientError),
    status("CONTENT_TOO_LARGE", ClientError),
    status("CONNECTION_FORCED", Rejected),
    status("INVALID_PATH", ClientError),
    status("ACCESS_REFUSED", ClientError),
    status("NOT_FOUND", ClientError),
    status("RESOURCE_LOCKED", ClientError),
    status("PRECONDITION_FAILED", ClientError),
    status("FRAME_ERROR", ClientError),
    status("SYNTAX_ERROR", ClientError),
    status("COMMAND_INVALID", ClientError),
    status("CHANNEL_ERROR", ClientError),
    status("UNEXPECTED_FRAME", ClientError),
    status("RESOURCE_ERROR", Rejected),
    status("NOT_ALLOWED", ClientError),
    status("NOT_IMPLEMENTED", ClientError),
    status("INTERNAL_ERROR", ServerError),
    status("CONSUMER_CANCELLED", ServerError),
];
