//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692), as a client.
//!
//! `Wire::open_stream` makes a stream of a connection that a response with status 101 has upgraded.
//! Invariant: an idle stream holds no buffer; every length that a target sends is bounded.
//!
//! Why not tungstenite: its message layer keeps a read buffer per connection, copies each message
//! and knows no permessage-deflate; `benches/websocket.rs` has the costs of both.

pub(in crate::wire) mod byte_pipe;
pub mod decoder;
#[cfg(test)]
mod decoder_tests;
pub mod deflate;
mod encoder;
mod frame;
pub mod handshake;
pub(in crate::wire) mod stream;
mod utf8;
