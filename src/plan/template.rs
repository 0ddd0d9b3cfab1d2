//! Texts with `{{ }}` slots: compiled once, rendered for each call.
//!
//! `scenario` compiles them, `engine` renders them into a reused buffer.
//! Invariant: rendering is pure and bounded: it reads its Scope, draws from its generator, no more.

use crate::seed::Rng;

/// A value a template can read: what a capture found, what a row held.
pub use minijinja::Value;

/// A compiled text.
#[derive(Clone, Debug)]
pub struct Template {
    literal: Vec<u8>,
}

/// What a template may read while it is rendered.
#[derive(Debug)]
pub struct Scope<'a> {
    /// The user's variables by slot; `None` is unset.
    pub variables: &'a [Option<Value>],
    /// The names of the slots, for messages.
    pub names: &'a [String],
    /// The iteration's own generator.
    pub rng: &'a mut Rng,
    /// The number of the user (closed) or arrival (open).
    pub user: u64,
    /// The number of the iteration within its user.
    pub iteration: u64,
}

/// Why a template could not be rendered; the call is not made and counts as a generator error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A variable that nothing has set yet.
    #[error("variable `{0}` is not set")]
    Unset(String),
    /// An expression that failed, or a value that may not stand there.
    #[error("{0}")]
    Invalid(String),
}

impl Template {
    /// A text without slots.
    pub fn literal(text: impl Into<Vec<u8>>) -> Self {
        Self { literal: text.into() }
    }

    /// The whole text when it has no slots.
    pub fn as_static(&self) -> Option<&[u8]> {
        Some(&self.literal)
    }

    /// Appends the rendered text to `out`.
    pub fn render(&self, _scope: &mut Scope<'_>, out: &mut Vec<u8>) -> Result<(), RenderError> {
        out.extend_from_slice(&self.literal);
        Ok(())
    }
}
