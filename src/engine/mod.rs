//! Load generation: shards, their virtual users, and the one visible stack of a call.
//!
//! `run` starts it and reads the deltas of its shards.
//! Invariant: one shard is one thread with its own runtime, users and recorder; shards share
//! nothing but the counts in [`RunShared`].

mod admission_gate;
mod attempt;
mod buffers;
mod call;
mod closed_user;
mod identity;
mod iteration;
mod iteration_summary;
mod lifecycle;
mod live_schedule;
mod numbering;
mod open_user;
mod parallel;
mod prewarm;
mod rendezvous;
mod resilience;
mod row_source;

mod run_shared;
mod setup;
mod shard;
pub mod shard_loop;
pub mod single_user;
mod start;
mod starter;
pub mod tier;
mod trace_recorder;
mod user;
mod user_meter;
mod user_task;
mod waiting;
mod worker;

pub use run_shared::{ClosedPopulation, RunShared};
pub use setup::{ShardSetup, Variables};
pub use start::{Engine, endpoints, set_up, start};
pub use trace_recorder::TraceRecorder;
