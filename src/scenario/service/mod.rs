//! Services: the targets of calls, and how they are reached.
//!
//! `compile` reads them; `hit` parses its URLs and certificates here.
//! Invariant: files are read here, once; names are not resolved.

mod backends;
mod grpc;
mod health;
mod kafka;
pub(crate) mod pem;
pub(crate) mod services;
mod transport;
pub(crate) mod transport_text;
pub(crate) mod url;
