//! The resilience of a shard's calls: what lets an attempt through, what is tried again, what is
//! learned from each attempt.
//!
//! `attempt` asks it at each step of its stack; the policies themselves are in `crate::resilience`.
//! Invariant: what an attempt acquires is released, whatever becomes of it.

mod orders;
mod permit;
mod retry;
mod snapshot;
mod state;

pub(crate) use orders::record_change;
pub(crate) use permit::{AdmissionDelay, AttemptPermit, CompletedAttempt};
pub(crate) use state::ResilienceState;
