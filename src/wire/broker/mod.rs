//! Connections to message brokers: what is sent on them beside plain messages, and its answers.
//!
//! Each protocol has a folder here: a reader of the response that begins its session, and the
//! session as a [`MessageStream`](crate::wire::message_stream::MessageStream).
//! Invariant: each command that is answered is answered once, with the time of the read that
//! brought the answer, or stays without an answer when the session ends.

pub mod amqp;
pub(in crate::wire) mod cluster_connector;
pub mod command;
pub mod kafka;
pub mod mqtt;
pub mod pubsub;
