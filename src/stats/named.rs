//! Counts by name, of which there may be any number.
//!
//! `delta` and `messages` add to them.
//! Invariant: the number of names is bounded; further ones count together.

use std::collections::BTreeMap;

/// Maximum distinct names counted by themselves; the rest count under "…".
const NAMES: usize = 32;

/// Counts under a name; beyond [`NAMES`], names are counted together.
pub(super) fn add_name(counts: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if let Some(mine) = counts.get_mut(name) {
        *mine += count;
    } else if counts.len() < NAMES {
        counts.insert(name.to_owned(), count);
    } else {
        *counts.entry("…".to_owned()).or_default() += count;
    }
}
