//! Kafka's protocol: a producer and a consumer with groups, over one version of each request.
//!
//! `framed::kafka_login` logs a connection in, `framed::reader` reads what begins a session and the
//! result of an operation with `reply`; `session` drives the rest: `cluster_state` decides,
//! `links` carry it out.
//!
//! Own code, not a client of others: linger, write and confirmation of each message are times of
//! their own here, what brokers send is bounded, and no task or thread runs beside the shard's. The
//! codec is own, too, since twenty requests of one version each are a thousand lines; the crate
//! `kafka-protocol` is 91,000, and took half a minute of each build.
//! Invariant: a response of a broker is read within bounds, and belongs to a request.

mod api;
mod assignment;
mod cluster;
mod cluster_state;
mod compression;
mod consumed_partition;
mod consumer;
mod error_code;
mod fetched;
mod fields;
mod group;
pub(in crate::wire) mod link;
pub(in crate::wire) mod links;
mod partition;
mod partitioner;
mod produce_request;
mod producer;
mod record_batch;
mod record_reader;
pub(in crate::wire) mod reply;
pub mod requests;
mod responses;
pub(in crate::wire) mod sasl;
pub(in crate::wire) mod session;
#[cfg(test)]
mod tests;
mod transacted_producer;
mod transaction;
