//! Why a text is not a threshold, or selects nothing of a run.
//!
//! `threshold`, `scope` and `metric` return it while they parse a rule, `run` before it judges a
//! finished run by other rules.
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

/// A rule of the command line that selects nothing of a finished run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--threshold '{rule}': {}; expected {}{}", error.message, error.expected, help(error))]
pub struct UnmatchedRule {
    /// The rule as it was written.
    pub rule: String,
    /// Why it selects nothing.
    pub error: RuleError,
}

fn help(error: &RuleError) -> String {
    error.help.as_ref().map_or(String::new(), |help| format!("; {help}"))
}

/// Shortens a word to what a message can hold.
pub(super) fn short(word: &str) -> String {
    word.chars().take(60).collect()
}
