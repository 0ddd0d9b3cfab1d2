//! Checks and captures: conditions on a response, and values stored from it.
//!
//! `scenario` compiles them, the engine applies them to a captured response with [`apply`].
//! Invariant: a response is hostile input: nothing here trusts its size, encoding or form, and the
//! work on it is bounded (ARCHITECTURE.md, the table of bounds).

mod apply;
mod capture;
mod check;
#[cfg(feature = "css")]
mod counted;
mod limits;
#[cfg(feature = "css")]
mod page;
mod path;
mod response;
#[cfg(test)]
mod tests;

pub use apply::{CheckPart, Evaluation, ResponseRules, apply};
pub use capture::{Capture, CaptureSource, MatchPick};
pub use check::{Check, CheckCondition, CheckedTime, TextCondition};
pub use limits::MAX_CAPTURE;
#[cfg(feature = "css")]
pub use page::CssSelector;
pub use path::BoundedPath;
pub use response::{BodyView, ParsedResponse, ResponseView, StreamedView, text_of};
