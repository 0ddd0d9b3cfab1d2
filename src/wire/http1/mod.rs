//! HTTP/1.1 (RFC 9112): requests, and responses read into the shard's one buffer.
//!
//! `shard_wire` calls it.
//! Invariant: bytes of a target are bounded before they are kept.

pub(crate) mod chunked;
pub(crate) mod client;
pub mod framing;
pub(crate) mod framing_error;
mod head;
pub(crate) mod limits;
pub(crate) mod linked_exchange;
pub(crate) mod plain;
pub(crate) mod stream;
