//! The syntax of scenario files: YAML nodes, values, templates, and the mistakes in them.
//!
//! All compilers of scenario parts read their nodes here.
//! Invariant: every mistake has its place in a file.

pub(crate) mod diagnostics;
pub(crate) mod distribution;
pub(crate) mod field_value;
pub(crate) mod fields;
pub(crate) mod files;
pub(crate) mod folders;
pub(crate) mod header;
pub(crate) mod include;
pub(crate) mod metadata;
pub(crate) mod mistake;
pub(crate) mod names;
pub(crate) mod node;
pub(crate) mod source;
pub(crate) mod spans;
pub(crate) mod templates;
pub(crate) mod values;
