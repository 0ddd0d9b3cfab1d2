//! The words of statuses, by protocol.
//!
//! Invariant: words are added at the end of a list, so that the others keep their numbers; no list
//! reaches the base of the next.

use super::Protocol;
use super::status::StatusClass::{ClientError, Rejected, ServerError, Success};
use super::status::{NamedStatus, StatusClass, StatusSpace};

const fn status(name: &'static str, class: StatusClass) -> NamedStatus {
    NamedStatus { name, class }
}

/// All lists, by base.
pub(super) const SPACES: &[StatusSpace] = &[
    StatusSpace { protocol: Protocol::Redis, base: 1_000, statuses: REDIS },
    StatusSpace { protocol: Protocol::Tcp, base: 1_100, statuses: &[status("OK", Success)] },
    StatusSpace { protocol: Protocol::Udp, base: 1_110, statuses: &[status("OK", Success)] },
    StatusSpace { protocol: Protocol::Dns, base: 1_120, statuses: DNS },
    StatusSpace { protocol: Protocol::Grpc, base: 1_400, statuses: GRPC },
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
