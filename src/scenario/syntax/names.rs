//! Names of archetypes, workloads, pools and tags.
//!
//! Invariant: a valid name is also valid as the name of a file.

use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::node::NodeKey;

/// Whether a name is valid for an archetype and its file.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(allowed)
}

pub(crate) fn report_bad_name(diagnostics: &mut Diagnostics, key: &NodeKey) {
    diagnostics
        .mistake(key.span, format!("invalid name `{}`", truncate(&key.name)))
        .expected("letters, digits, `-`, `_` and `.`, not starting with `.`");
}
