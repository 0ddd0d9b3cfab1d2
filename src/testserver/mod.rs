//! The built-in test server: an HTTP/1.1 server with known results, and programmable latency,
//! queueing, faults and stalls.
//!
//! `cli` runs it for `manada target`, `process` starts it beside a run, tests read its counts.
//! `calibration_target` is a smaller server, which also has TLS and HTTP/2.
//! Invariant: its counts are exact, and its latency is a distribution of [`crate::curve`], timed by
//! the same clock as the shards.
//!
//! Latency, faults and stalls are applied to each request once all of it has been read. A fault
//! replaces the response, at the time the response was due. Stalls count from the first request, so
//! that their zero is close to the run's. If a client closes while its request is pending, the
//! request is dropped, and counted so.

mod body;
mod bus;
pub mod calibration_target;
mod config;
mod connection;
mod counts;
mod events;
mod fault;
mod head;
mod log;
pub mod process;
mod query;
mod rate_limit;
#[cfg(feature = "redis")]
mod redis_bus;
mod reply;
mod route;
mod server;
mod shared;
mod shop;
mod socket;
mod streams;
#[cfg(test)]
mod tests;
mod tokens;
mod websocket;

pub use config::{DEFAULT_CHANNEL_SECRET, TestServerConfig};
pub use fault::{FaultShare, InjectedFault, ServerStall, WordError};
pub use rate_limit::RequestRateLimit;
pub use server::{bind, serve};
pub use streams::limits::ConnectionLimits;
pub use tokens::{TokenCounts, TokenLaws};
