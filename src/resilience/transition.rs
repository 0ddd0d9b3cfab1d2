//! The states of a breaker, its decisions, and its transitions with their causes.
//!
//! `breaker` makes them, `board` passes them on, `engine::resilience` reports them.
//! Invariant: every transition has a cause.

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Attempts pass.
    Closed,
    /// Attempts are refused.
    Open,
    /// A few probes pass.
    HalfOpen,
}

impl BreakerState {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StateTransition {
    /// The state before.
    pub from: BreakerState,
    /// The state after.
    pub to: BreakerState,
    /// The cause.
    pub why: TransitionCause,
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TransitionCause {
    /// This many failures in a row.
    InARow(u32),
    /// This many failures among this many attempts.
    Share(u32, u32),
    /// The breaker's open time is over.
    OpenTimeOver,
    /// This many probes in a row succeeded.
    ProbesSucceeded(u32),
    /// A probe failed.
    ProbeFailed,
    /// Live control switched it.
    Forced,
}

impl std::fmt::Display for TransitionCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count} failures in a row"),
            Self::Share(failed, all) => write!(f, "{failed} of {all} attempts failed"),
            Self::OpenTimeOver => f.write_str("it was open long enough: a probe goes first"),
            Self::ProbesSucceeded(1) => f.write_str("the probe went well"),
            Self::ProbesSucceeded(count) => write!(f, "{count} probes in a row went well"),
            Self::ProbeFailed => f.write_str("the probe failed"),
            Self::Forced => f.write_str("somebody said so"),
        }
    }
}
