//! The places of the parts of a scenario, for warnings and late checks.
//!
//! Compilers fill them in, `lint` and `loader` report at them.
//! Invariant: they are in the order of the plan.

use std::time::Duration;

use crate::plan::EndpointPattern;
use crate::scenario::syntax::diagnostics::SourceSpan;
use crate::scenario::syntax::node::{Node, NodeKind};

/// The places of the parts of an archetype.
#[derive(Debug, Default)]
pub(crate) struct ArchetypeSpans {
    /// Own variables of the archetype, with their first assignment.
    pub variables: Vec<(String, SourceSpan)>,
    /// Feeds of the archetype, in order.
    pub feeds: Vec<SourceSpan>,
    pub pace: Option<SourceSpan>,
    pub session: Option<SourceSpan>,
    pub network: Option<SourceSpan>,
    /// The timeouts of its steps.
    pub timeouts: Vec<(Duration, SourceSpan)>,
    /// Its steps of streams and with stamps, by their index among the calls.
    pub streams: Vec<(usize, SourceSpan)>,
    /// Its `cached` steps, by their index.
    pub cached: Vec<(usize, SourceSpan)>,
}

/// The places of the parts of a scenario.
#[derive(Debug, Default)]
pub(crate) struct SourceSpans {
    /// In the order of the plan's archetypes.
    pub archetypes: Vec<ArchetypeSpans>,
    pub setup: Option<ArchetypeSpans>,
    pub teardown: Option<ArchetypeSpans>,
    /// The services, with their timeouts.
    pub services: Vec<(SourceSpan, Option<SourceSpan>)>,
    /// The caches.
    pub caches: Vec<SourceSpan>,
    /// Inline archetypes that no workload uses.
    pub unused: Vec<(String, SourceSpan)>,
    pub warmup: Option<SourceSpan>,
    pub shift: Option<SourceSpan>,
    /// The thresholds.
    pub thresholds: Vec<SourceSpan>,
    /// The endpoint patterns of pools and limits.
    pub patterns: Vec<PlacedPattern>,
}

/// Returns the places of services and of their timeouts.
pub(crate) fn service_spans(node: &Node) -> Vec<(SourceSpan, Option<SourceSpan>)> {
    let NodeKind::Map(entries) = &node.kind else { return Vec::new() };
    let timeout = |node: &Node| node.get("timeout").map(|node| node.span);
    entries.iter().map(|(key, node)| (key.span, timeout(node))).collect()
}

/// An endpoint pattern with its place.
pub(crate) type PlacedPattern = (EndpointPattern, SourceSpan);
