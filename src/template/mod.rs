//! Texts with `{{ }}` slots: compiled once, rendered for each call.
//!
//! `scenario` compiles them, `engine` renders them into a reused buffer.
//! Invariant: rendering is pure and bounded: it reads only its RenderScope and draws only from its
//! generator.

mod calendar;
mod calls;
mod codec;
mod compiled;
mod encode;
mod environment;
mod error;
pub mod exact_json;
mod expression;
mod filters;
mod functions;
mod names;
mod operators;
mod parse;
mod people;
mod scope;
mod sign;
mod slot;
#[cfg(test)]
mod tests;
mod typed;
mod work;

pub use calls::{OWN_VARIABLE, VariableUse, recording_variables};
pub use compiled::Template;
pub use encode::{Encoding, MAX_OUTPUT};
pub use error::{ParseError, ParseErrorKind, RenderError};
pub use names::{FUNCTIONS, RESERVED};
pub use parse::Builder;
pub use scope::RenderScope;
pub use typed::TypedTemplate;
pub use work::{MAX_DEPTH, MAX_ITERATION_WORK, MAX_VALUE, MAX_WORK};

/// A value that a template can read, such as a capture or a part of a row.
pub use minijinja::Value;
pub use minijinja::value::ValueKind;
