//! Queueing: when is work that arrives now done?
//!
//! Invariant: pure; `now` is an argument.

/// A station that serves work.
#[derive(Clone, Debug)]
pub struct Queue;
