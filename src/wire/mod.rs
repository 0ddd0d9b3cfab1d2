//! The only module that opens sockets to the target.
//!
//! `engine::attempt` hands it rendered requests and gets Exchanges back.
//! Invariant: a wire belongs to one shard; the caller counts the connections that it opens.

pub mod body;
pub mod broker;
mod cluster;
mod connect;
mod connection_share;
pub mod cookie;
mod deadline;
pub mod events;
mod exchange_context;
pub mod fake;
pub mod fake_stream;
mod framed;
pub mod http1;
mod http2;
mod link;
pub mod location;
pub mod message_stream;
mod open_count;
mod opening;
mod outgoing;
pub mod pool;
mod resend;
mod response_reader;
mod shard_wire;
mod shared_connections;
mod slot;
mod taken;
pub mod tokens;
pub mod websocket;

pub use body::capture_request::{CaptureRequest, TakesOver};
pub use body::response_capture::ResponseCapture;
pub use connect::endpoint::ServiceEndpoint;
pub use deadline::{CallDeadline, WaitEnded};
pub use exchange_context::ExchangeContext;
pub use framed::{encode, sql_encode};
pub use link::emulated_link::EmulatedLink;
pub use outgoing::Outgoing;
pub use resend::Resend;
pub use shard_wire::Wire;
pub use slot::ConnectionSlot;
