//! `tags:` of archetypes and steps, by which thresholds and reports can select series.
//!
//! `archetype` and `step` call it.
//! Invariant: a key is a valid name and occurs once; values are plain texts.

use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::mistake::truncate;
use crate::scenario::syntax::names::is_name;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Maximum tags of a series.
const MAX_TAGS: usize = 32;

/// Keys and values.
pub(crate) type Tags = Vec<(String, String)>;

/// Reads a map of tags.
pub(crate) fn tags(diagnostics: &mut Diagnostics, node: &Node) -> Tags {
    let expected = "a map of tags, such as `{ team: checkout }`";
    let entries = values::entries(diagnostics, node, expected).unwrap_or_default();
    if entries.len() > MAX_TAGS {
        diagnostics.mistake(node.span, format!("more than {MAX_TAGS} tags"));
        return Tags::new();
    }
    let mut tags = Tags::new();
    for (key, value) in entries {
        if !is_name(&key.name) {
            diagnostics
                .mistake(key.span, format!("`{}` is not a valid tag name", truncate(&key.name)))
                .expected("letters, digits, `-`, `_` and `.`");
        }
        match values::plain_text(diagnostics, value, "the value of a tag, such as checkout") {
            Some(text) if text.len() <= 200 => tags.push((key.name.clone(), text.to_owned())),
            Some(_) => drop(report_wrong::<()>(diagnostics, value, "a value of at most 200 bytes")),
            None => {}
        }
    }
    tags
}

/// Merges an archetype's tags and a step's own.
pub(crate) fn all(archetype: &Tags, own: &Tags) -> Tags {
    let mut tags = archetype.clone();
    add(&mut tags, own);
    tags
}

/// Adds tags; of two with the same key the later one wins.
pub(crate) fn add(tags: &mut Tags, more: &[(String, String)]) {
    for (key, value) in more {
        match tags.iter_mut().find(|(mine, _)| mine == key) {
            Some((_, mine)) => mine.clone_from(value),
            None => tags.push((key.clone(), value.clone())),
        }
    }
}
