//! A user's emulated network: latency and bandwidth.
//!
//! `http1` puts it between a user and its connections.
//! Invariant: an emulated link only ever slows an exchange down.

pub(crate) mod emulated_link;
pub(crate) mod throttled_pipe;
