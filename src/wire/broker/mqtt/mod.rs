//! MQTT 3.1.1 and 5.0.
//!
//! `framed::reader` reads the CONNACK with `connack`, `opening` makes a `session` of the
//! connection, and `engine` encodes CONNECT with `connect`.
//! Invariant: what a broker sends is bounded by the largest packet, and a packet that breaks the
//! rules of the protocol ends the session.

pub(in crate::wire) mod connack;
pub mod connect;
pub(in crate::wire) mod encode;
pub mod filter;
pub(in crate::wire) mod packet;
pub(in crate::wire) mod properties;
pub(in crate::wire) mod publish;
pub(in crate::wire) mod reason;
pub(in crate::wire) mod session;
mod session_state;
#[cfg(test)]
mod tests;
