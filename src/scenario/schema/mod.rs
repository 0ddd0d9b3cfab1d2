//! The language as JSON Schema (2020-12), for editors.
//!
//! `cli schema` prints it.
//! Invariant: its keys are those that the readers of a scenario read; `tests` compares them.

mod build;
mod client;
mod document;
mod load;
mod responses;
mod safety;
mod scalars;
mod steps;
mod target;
#[cfg(test)]
mod tests;
mod users;

pub use document::{SchemaOf, document};
