//! Why a text is not a template, and why one could not be rendered.
//!
//! The files of this module return it; `scenario` and `engine` report it.
//! Invariant: a failure caused by a value from a response is the target's.

use std::ops::Range;

use minijinja::{Error, ErrorKind};

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// The kind of error.
    pub kind: ParseErrorKind,
    /// Place of the error in the text, in bytes.
    pub range: Range<usize>,
}

/// The kinds of error in a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The expression is not valid; the text says why.
    Syntax(String),
    /// The expression reads a variable that does not exist.
    UnknownVariable(String),
    /// The expression calls a function that does not exist.
    UnknownFunction(String),
    /// The expression reads an environment variable that is not set.
    Environment(String),
    /// The text is not valid at its place.
    Misplaced(String),
}

/// Why a template could not be rendered; the call is not made and counts as a generator error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A variable that has not been set yet.
    #[error("variable `{0}` is not set")]
    Unset(String),
    /// An expression that failed, or a value that is not valid at its place.
    #[error("{0}")]
    Invalid(String),
    /// A value or an evaluation that exceeded a limit.
    #[error("{0}")]
    Limit(String),
    /// A value from a response that is not valid at its place: the target's failure, not the
    /// generator's.
    #[error("a value from a response cannot be used: {0}")]
    Response(String),
    /// A request that a safety limit forbids.
    #[error("{0}")]
    Denied(String),
}

impl RenderError {
    /// Attributes the error to the target if the rendered template reads a value from a response.
    pub(super) fn attributed(
        self,
        from_responses: &[bool],
        reads: impl FnOnce(&mut dyn FnMut(usize)),
    ) -> Self {
        let (Self::Invalid(message) | Self::Limit(message)) = &self else { return self };
        let mut is_from_response = false;
        reads(&mut |slot| is_from_response |= from_responses.get(slot) == Some(&true));
        if is_from_response { Self::Response(message.clone()) } else { self }
    }
}

/// Returns the error of an operation on invalid values.
pub(super) fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}
