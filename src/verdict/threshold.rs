//! A rule over a run's numbers, as written in a scenario or after `--threshold`.
//!
//! Invariant: a rule that parsed can be judged.

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// As it was written.
    pub rule: String,
}
