//! Runs of a schedule file: which slots start, what becomes of their runs, and which scheduler may
//! start them.
//!
//! `cli` runs a [`Scheduler`]. `machine`, `retries` and `lease` are its rules, where time is an
//! argument; `local_store` and `redis_store` keep what started and how it ended; `execution` is
//! one run.
//! Invariant: a slot is claimed in a store before its run starts, and a claim that another one
//! followed can write nothing, so no slot starts twice.

mod attempt;
mod child;
mod entry;
mod execution;
mod lease;
mod local_store;
mod machine;
mod notification;
mod notifier;
mod outcome;
#[cfg(feature = "redis")]
mod redis_scripts;
#[cfg(feature = "redis")]
mod redis_store;
mod retries;
mod run_control;
mod scheduler;
mod seat;
mod store;
mod store_source;
#[cfg(test)]
mod world;
#[cfg(test)]
mod world_tests;

pub use child::{GUARDED, guarded};
pub use entry::{HistoryEntry, entries_json, entries_text, table};
pub use outcome::JobOutcome;
pub use run_control::ScheduleSignal;
pub use scheduler::{Scheduler, SchedulerEnd, TriggerError};
pub use store::StoreFailure;
