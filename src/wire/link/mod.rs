//! A user's emulated network: latency and bandwidth.
//!
//! `http1` puts it between a user and its connections, `stream_connection` between it and a stream;
//! `message_connection` is what a session reads and writes.
//! Invariant: an emulated link only ever slows an exchange or a message down.

pub(crate) mod emulated_link;
pub(in crate::wire) mod message_connection;
pub(in crate::wire) mod out_queue;
pub(crate) mod stream_connection;
pub(crate) mod throttled_pipe;
