//! The only module that opens sockets to the target.
//!
//! `engine::attempt` hands it rendered requests and gets Exchanges back.
//! Invariant: a wire belongs to one shard; the caller counts the connections that it opens.

pub mod bodies;
pub mod charset;
mod chunked;
pub mod coding;
mod connection;
pub mod cookie_date;
pub mod cookie_jar;
mod deadline;
mod dns;
mod emulated_link;
mod endpoint;
pub mod fake;
mod fault;
pub mod framing;
mod framing_error;
mod http1;
mod http1_stream;
mod http2;
mod http2_connection;
mod linked_exchange;
pub mod location;
mod message;
mod outgoing;
mod plain;
pub mod pool;
mod proxy;
mod race;
mod reason;
mod resend;
mod response_capture;
mod shard_wire;
mod slot;
mod socket;
mod throttled_pipe;
mod tls;
mod tls_fault;
mod traffic;
mod verifier;

pub use deadline::{CallDeadline, WaitEnded};
pub use emulated_link::EmulatedLink;
pub use endpoint::ServiceEndpoint;
pub use outgoing::Outgoing;
pub use resend::Resend;
pub use response_capture::{CaptureRequest, ExchangeProgress, ResponseCapture};
pub use shard_wire::Wire;
pub use slot::ConnectionSlot;
