//! Limits of users and durations in a load.
//!
//! Invariant: a bounded duration fits schedules in nanoseconds.

use std::time::Duration;

use crate::plan::load::OPEN_END;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::node::Node;
use crate::scenario::syntax::values;

/// Default maximum of concurrent users of an open workload.
pub(crate) const DEFAULT_MAX_USERS: u64 = 10_000;

/// Reads a duration that fits schedules in nanoseconds.
pub(crate) fn bounded(diagnostics: &mut Diagnostics, node: &Node) -> Option<Duration> {
    let duration = values::duration(diagnostics, node)?;
    if duration < Duration::from_nanos(OPEN_END) {
        return Some(duration);
    }
    diagnostics.mistake(node.span, "a run lasts at most 31 years");
    None
}

/// Reads a positive duration that fits schedules in nanoseconds.
pub(crate) fn positive_bounded(diagnostics: &mut Diagnostics, node: &Node) -> Option<Duration> {
    bounded(diagnostics, node).and_then(|_| values::positive_duration(diagnostics, node))
}
