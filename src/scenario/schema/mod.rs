//! Descriptions of the language, made from its field tables: a JSON Schema (2020-12) for editors,
//! and the reference page of the documentation.
//!
//! `cli schema` prints the schema; a test keeps `docs/reference.md` up to date.
//! Invariant: descriptions have the keys of `nouns`, and no others.

mod document;
#[cfg(test)]
mod places;
mod reference;
mod render;
mod scalars;
#[cfg(test)]
mod tests;
mod words;

pub use document::{SchemaOf, document};
pub use reference::reference;
