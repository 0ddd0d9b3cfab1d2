//! A run as a page: one self-contained HTML document, or live sections.
//!
//! `sinks` calls it with the report of a finished or running run.
//! Invariant: foreign texts are escaped by maud.

mod axis;
mod chart;
mod document;
mod section;
#[cfg(test)]
pub(crate) mod tests;
#[cfg(feature = "history")]
mod trend;
mod view;
mod words;

pub(crate) use document::{
    RenderedSection, SCRIPT, STYLE, document, hash, not_carried_out, sections, shell, title,
};
#[cfg(feature = "history")]
pub(crate) use trend::{TrendPoint, TrendUnit, trend};
pub(crate) use words::short;
