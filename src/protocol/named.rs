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
