//! How a server replied to the login of a connection.
//!
//! `login` makes an outcome of it.
//! Invariant: a reply holds no credentials.

use crate::stats::FailureKind;

/// How a server replied to a login.
pub(in crate::wire) enum LoginReply {
    /// It accepted, after this many round trips.
    Accepted {
        round_trips: u32,
    },
    Refused,
    /// Its bytes are not those of its protocol.
    Broken(FailureKind),
}
