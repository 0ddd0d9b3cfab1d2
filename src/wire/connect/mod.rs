//! From the name of a service to an open connection: look-up, race, proxy, TLS, and why it failed.
//!
//! `http1` and `http2` open their connections here.
//! Invariant: each failure has the phase and kind under which reports count it.

pub(crate) mod connection;
pub(crate) mod dns;
pub(crate) mod endpoint;
pub(crate) mod fault;
pub(crate) mod open;
pub(crate) mod proxy;
pub(crate) mod race;
mod refusal;
pub(crate) mod socket;
pub(crate) mod tls;
pub(crate) mod tls_fault;
pub(crate) mod tls_request;
pub(crate) mod udp;
pub(crate) mod verifier;
