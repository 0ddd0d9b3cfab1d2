//! Nodes: YAML values with source spans.
//!
//! `parse` builds them, `fields` and `values` read them.
//! Invariant: a key occurs once in a map.

use crate::scenario::syntax::diagnostics::SourceSpan;

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub span: SourceSpan,
    pub kind: NodeKind,
}

/// A key with its place.
#[derive(Clone, Debug)]
pub(crate) struct NodeKey {
    pub name: String,
    pub span: SourceSpan,
}

/// The type and content of a value.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    Null,
    Bool(bool),
    /// A number: its text and its value.
    Number(String, f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(NodeKey, Node)>),
}

impl Node {
    /// Returns the value of a key, if this is a map that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        let NodeKind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|(key, _)| key.name == name).map(|(_, value)| value)
    }
}
