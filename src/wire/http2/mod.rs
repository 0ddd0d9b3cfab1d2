//! HTTP/2 through the h2 crate: streams, and one exchange at a time, on a connection.
//!
//! `shard_wire` calls it.
//! Invariant: bytes are counted as they cross the socket, frames included.

pub(crate) mod client;
pub(crate) mod connection;
pub(crate) mod grpc_call;
pub(crate) mod grpc_messages;
pub(crate) mod grpc_response;
pub(crate) mod grpc_stream;
pub(crate) mod message;
pub(crate) mod pings;
pub(crate) mod reason;
pub(crate) mod stream_error;
pub(crate) mod stream_exchange;
pub(crate) mod traffic;
