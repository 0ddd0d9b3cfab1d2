//! Load generation: shards, their virtual users, and the one visible stack of a call.
//!
//! `run` starts it and reads the deltas of its shards.
//! Invariant: one shard is one thread with its own runtime, users and recorder; shards share
//! nothing but the counts in [`RunShared`].

mod admission_gate;
mod adoption;
mod attempt;
mod buffers;
pub(crate) mod call;
mod iterations;
mod lease;
mod lease_commands;
mod lifecycle;
mod live_schedule;
mod resilience;
mod shard;
pub mod shard_loop;
pub mod single_user;
mod starter;
pub mod startup;
mod streams;
mod users;

pub use iterations::trace_recorder::TraceRecorder;
pub use startup::run_shared::{ClosedPopulation, RunShared};
pub use startup::setup::{ShardSetup, Variables};
pub use startup::start::{Engine, endpoints, set_up, set_up_with, start};
