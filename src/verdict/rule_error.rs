//! Why a text is not a threshold.
//!
//! `threshold`, `scope` and `metric` return it while they parse a rule.
//! Invariant: it says what is wrong and what is expected in its place.

/// Why a text is not a threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleError {
    /// The mistake.
    pub message: String,
    /// What is expected: a fragment that follows "expected".
    pub expected: String,
    /// How to fix it, if that can be guessed.
    pub help: Option<String>,
}
