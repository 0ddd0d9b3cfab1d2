//! Protocols whose call is a request of bytes and a response that ends by itself: Redis, bytes over
//! TCP, datagrams, DNS, PostgreSQL, and what begins a session at a broker.
//!
//! `shard_wire` calls `client`, boxed; each protocol has a reader of responses here.
//! Invariant: an exchange has the same semantics as one of `http1`, since it runs through the same
//! code: one write, an early response, deadlines, resends, emulated links.

pub(in crate::wire) mod amqp_login;
pub(in crate::wire) mod bootstrap;
pub(in crate::wire) mod bytes;
pub(in crate::wire) mod client;
pub(in crate::wire) mod cluster_client;
pub(in crate::wire) mod connection_session;
pub(in crate::wire) mod dns;
pub mod encode;
pub(in crate::wire) mod kafka_login;
pub(in crate::wire) mod login;
pub(in crate::wire) mod login_reply;
pub(in crate::wire) mod login_request;
pub(in crate::wire) mod reader;
pub(in crate::wire) mod redis;
pub(in crate::wire) mod resp;
mod scram;
pub mod sql_encode;
pub(in crate::wire) mod sql_login;
pub(in crate::wire) mod sql_messages;
pub(in crate::wire) mod sql_reader;
pub(in crate::wire) mod sql_session;
#[cfg(test)]
mod sql_tests;
#[cfg(test)]
mod tests;
mod websocket_login;
