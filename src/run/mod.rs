//! Runs: one run from start to report, a dry run, and a replay of a record.
//!
//! `cli` calls it; simulations call its parts under virtual time.
//! Invariant: results come from the aggregator alone, live and replayed.

#[cfg(feature = "redis")]
pub mod agents;
#[cfg(not(feature = "redis"))]
#[path = "no_agents.rs"]
pub mod agents;
pub mod aggregator;
mod backend_events;
mod ceiling;
pub mod control;
#[cfg(test)]
mod control_tests;
pub mod dispatch;
mod dispatch_io;
pub mod dry_run;
mod error;
mod error_rate_abort;
mod execute;
mod exit_status;
#[cfg(feature = "redis")]
mod former;
mod generators;
mod health;
mod look_up;
mod losses;
pub mod machine;
pub mod merge;
mod merge_error;
pub mod monitors;
mod options;
#[cfg(test)]
mod recorded_starts;
pub mod reflection;
pub mod replay;
mod resumed;
mod sections;
mod shift;
mod status;
mod supervisor;
mod targets;
mod vacancy;
mod worker_events;
mod workload_override;

pub use dispatch::DispatchInputs;
pub use error::RunError;
pub use execute::{ControlGuards, run};
#[cfg(feature = "redis")]
pub use former::FormerRecord;
pub use machine::{descriptors, limits};
pub use merge_error::MergeError;
pub use monitors::{MonitorError, MonitorSource};
pub use options::RunOptions;
pub use targets::StartedTargets;
