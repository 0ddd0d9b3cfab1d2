//! The decisions of a breaker, and its transitions with their causes.
//!
//! `breaker` makes them, `board` passes them on, `engine::resilience` reports them.
//! Invariant: every transition has a cause.

use crate::stats::{BreakerState, TransitionCause};

/// How an attempt ended, as far as a breaker counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// Not a failure.
    Success,
    /// A failure that counts.
    Failure,
    /// Neither: cancelled, or a generator error.
    Unknown,
}

/// A breaker's decision on an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerDecision {
    /// The attempt may be sent.
    Go,
    /// The attempt may be sent as a probe of this generation: its result decides.
    Probe(u16),
    /// The attempt must not be sent.
    Refuse,
}

/// A transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTransition {
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// The cause.
    pub why: TransitionCause,
}
