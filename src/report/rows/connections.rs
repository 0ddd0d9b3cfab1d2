//! Connections that were opened ahead of their users, as a part of a line.
//!
//! The summary and the page show it.
//! Invariant: a report without `prewarm` does not mention it.

use crate::stats::Connections;
use crate::units::show_count;

/// How many connections were opened before their user was due, and for how many of them no user
/// came; empty without any.
pub(crate) fn prewarmed_part(connections: &Connections) -> String {
    let Connections { prewarmed, prewarmed_used, .. } = *connections;
    let ahead = show_count(prewarmed);
    match prewarmed.saturating_sub(prewarmed_used) {
        _ if prewarmed == 0 => String::new(),
        0 => format!(" ({ahead} ahead)"),
        unused => format!(" ({ahead} ahead, {} of them unused)", show_count(unused)),
    }
}
