//! Runs: one run from start to report, a dry run, and a replay of a record.
//!
//! `cli` calls it; simulations call its parts under virtual time.
//! Invariant: results come from the aggregator alone, live and replayed.

pub mod aggregator;
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
mod generators;
mod look_up;
mod losses;
mod machine;
pub mod monitors;
pub mod replay;
mod sections;
mod status;
mod supervisor;
mod targets;
mod vacancy;
mod worker_events;
mod workload_override;

pub use dispatch::DispatchInputs;
pub use error::RunError;
pub use execute::{ControlGuards, RunOptions, run};
pub use machine::{descriptors, limits};
pub use monitors::{MonitorError, MonitorSource};
