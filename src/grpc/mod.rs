//! gRPC without sockets: methods and messages by descriptor, frames, statuses.
//!
//! `scenario` compiles descriptors, `engine` transcodes messages, `wire` reads frames and statuses.
//! Invariant: a message is what its descriptor says; what a target sends is bounded before it is
//! kept.

pub mod frame;
mod health;
mod message_reader;
mod method;
pub mod reflection;
#[cfg(all(test, feature = "grpc"))]
mod reflection_tests;
#[cfg(feature = "grpc")]
mod schema;
#[cfg(not(feature = "grpc"))]
#[path = "schema_absent.rs"]
mod schema;
#[cfg(all(test, feature = "grpc"))]
mod schema_tests;
pub mod status;

pub use message_reader::{MessageFrameError, MessagePiece, MessageReader};
pub use method::{GrpcCall, GrpcMethod, GrpcSettings};
pub use schema::{MessageType, Schema};

/// Reads a file of a schema; `None`: there is none at this path.
///
/// # Errors
/// Why it cannot be read.
pub type ReadFile = dyn Fn(&std::path::Path) -> Result<Option<Vec<u8>>, String>;
