//! YAML as nodes with source spans, parsed once within tight limits.
//!
//! `library` parses the text of a file, `fields` and `values` read the nodes.
//! Invariant: no other module knows the YAML crate.

mod errors;
mod parse;
mod place;
mod raw;
mod tree;

pub(crate) use parse::{parse, parse_value};
pub(crate) use tree::{Node, NodeKey, NodeKind};
