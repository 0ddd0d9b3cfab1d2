//! Warnings about pools, limits and their endpoint patterns.
//!
//! `plan_warnings` calls it.
//! Invariant: a warning never prevents a run.

use crate::ids::PoolId;
use crate::plan::endpoint_pattern::MAX_ENDPOINTS;
use crate::plan::transport::HttpVersion;
use crate::plan::{Endpoint, Endpoints, Plan};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::spans::SourceSpans;

/// Maximum endpoints named in a message.
const NAMED: usize = 8;

/// Warns about endpoint patterns of pools and limits that match no call.
pub(super) fn endpoints(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    if spans.patterns.is_empty() {
        return;
    }
    let endpoints = Endpoints::new(plan);
    if endpoints.all.len() == MAX_ENDPOINTS {
        // Further endpoints share the last index.
        return;
    }
    for (pattern, span) in &spans.patterns {
        if endpoints.all.iter().all(|endpoint| pattern.specificity(endpoint).is_none()) {
            let mut names: Vec<String> = endpoints.all.iter().map(Endpoint::name).collect();
            let more = names.len().saturating_sub(NAMED);
            names.truncate(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let help = format!("endpoints: {}{more}", names.join(", "));
            diagnostics.warn(*span, format!("no step matches `{pattern}`"), &help);
        }
    }
}

/// Warns about pools whose connections have `streams`, but carry no HTTP/2.
pub(super) fn streams(diagnostics: &mut Diagnostics, plan: &Plan, spans: &SourceSpans) {
    let pools = &plan.policies.pools;
    for (id, pool) in PoolId::number(pools).filter(|(_, pool)| pool.streams > 1) {
        let mut calls = plan.all_archetypes().flat_map(|archetype| &archetype.calls);
        let may_share = calls.any(|call| {
            let version = plan.services[call.service].transport.version;
            version != HttpVersion::Http1
                && plan.policies.pool_of(&Endpoint::from_call(call)) == Some(id)
        });
        let mut placed = spans.patterns.iter();
        let place = placed.find(|(pattern, _)| pool.patterns.contains(pattern));
        if let (false, Some((_, span))) = (may_share, place) {
            diagnostics.warn(
                *span,
                format!("`streams` of the pool `{}` has no effect", pool.name),
                "none of its steps goes to a service of gRPC or with `http: { version: 2 }`",
            );
        }
    }
}
