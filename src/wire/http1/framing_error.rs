//! Why a response is not read to its end.
//!
//! `framing`, `chunked` and `coding` return it.
//! Invariant: a lack of memory in the generator is never counted against the target.

use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::bodies::BudgetExhausted;

/// Why a response is not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// The response breaks the rules of HTTP, or exceeds a limit.
    Response(AttemptPhase, FailureKind),
    /// The body was to be captured, and there is no memory for it.
    NoRoom,
}

impl FramingError {
    /// The attempt's outcome.
    pub const fn outcome(self) -> AttemptOutcome {
        match self {
            Self::Response(phase, kind) => AttemptOutcome::Failed(phase, kind),
            Self::NoRoom => AttemptOutcome::Own(GeneratorError::KeptBodies),
        }
    }

    pub(in crate::wire) const fn head(kind: FailureKind) -> Self {
        Self::Response(AttemptPhase::FirstByte, kind)
    }
}

impl From<BudgetExhausted> for FramingError {
    fn from(_: BudgetExhausted) -> Self {
        Self::NoRoom
    }
}
