//! One or several URLs without a scenario file: `manada hit`.
//!
//! `cli` fills in the options; the result is a plan like any other.
//! Invariant: no option is a template; the given bytes are sent.

mod build;
mod check;
mod client;
mod grpc;
mod options;
mod streams;
#[cfg(test)]
mod tests;
mod urls;

pub use build::{plan, plan_told, within_limits};
pub use client::HitClient;
pub use options::{CONNECTIONS, DURATION, HitOptions};
