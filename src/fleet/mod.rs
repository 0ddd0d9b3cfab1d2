//! A run on several processes: the coordinator starts workers of its own program, and they are its
//! shards.
//!
//! `run` starts and ends the workers; `cli` runs one as `manada worker`. Agents on many machines
//! follow `protocol`, over the `bus`.
//! Invariant: the dispatcher cannot tell shards of workers from shards of this process: the same
//! deltas come up, the same commands go down.

#[cfg(feature = "redis")]
pub mod agent;
#[cfg(feature = "redis")]
pub mod agents;
#[cfg(feature = "redis")]
pub mod bus;
pub mod cache_stores;
#[cfg(feature = "redis")]
pub mod derived;
mod error;
mod layout;
mod loss;
pub mod payload;
pub mod protocol;
#[cfg(feature = "redis")]
pub mod setup;
#[cfg(feature = "redis")]
pub mod signature;
mod variables;
pub mod worker;
pub mod workers;

pub use error::WorkerError;
pub use workers::{PendingWorkers, RunningWorkers, WorkerRun};
