//! Iterations: one pass of a user through its flow.
//!
//! `users` run them, `attempt` makes each of their calls.
//! Invariant: every iteration that starts is counted once with its result.

pub(crate) mod cache_fill;
mod cache_io;
mod cache_steps;
mod groups;
pub(crate) mod iteration;
pub(crate) mod iteration_summary;
mod log_step;
pub(crate) mod on_stop;
pub(crate) mod parallel;
pub(crate) mod rendezvous;
mod stream_step;
pub(crate) mod trace_recorder;
mod transaction_steps;
