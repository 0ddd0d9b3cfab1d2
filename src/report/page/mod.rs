//! A run as a page: one HTML document that needs nothing else, and the same sections live.
//!
//! `sinks` calls it with a finished report, or with that of a run that goes on.
//! Invariant: what others wrote is text, never markup: maud escapes it.

mod axis;
mod chart;
mod document;
mod section;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod words;

pub(crate) use document::{
    RenderedSection, SCRIPT, STYLE, document, hash, not_carried_out, sections, shell, title,
};
pub(crate) use words::short;
