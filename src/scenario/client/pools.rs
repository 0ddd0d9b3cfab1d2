//! Reads `pools:` — shared connections, by group of endpoints.
//!
//! Invariant: `min ≤ connections ≤ max`; only a shared pool adapts, and each pattern occurs once.

use crate::plan::EndpointPattern;
use crate::plan::policy::{PoolPolicy, PoolStrategy, Priority};
use crate::scenario::client::block::{Given, MAX_PATTERNS, in_order, pattern};
use crate::scenario::nouns::pools::{ADAPTIVE, POOL};
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::names::{is_name, report_bad_name};
use crate::scenario::syntax::node::{Node, NodeKey, NodeKind};
use crate::scenario::syntax::spans::PlacedPattern;
use crate::scenario::syntax::values;
use crate::scenario::syntax::values::report_wrong;

/// Reads all pools.
pub(crate) fn pools(
    diagnostics: &mut Diagnostics,
    node: &Node,
    placed: &mut Vec<PlacedPattern>,
) -> Vec<PoolPolicy> {
    let expected = "a map of pools, such as `user: { match: \"*\", connections: 200 }`";
    let Some(entries) = values::entries(diagnostics, node, expected) else { return Vec::new() };
    let mut pools: Vec<PoolPolicy> = Vec::new();
    for (key, node) in entries {
        if !is_name(&key.name) {
            report_bad_name(diagnostics, key);
        }
        let Some(mut fields) = Fields::read(diagnostics, node, &POOL) else { continue };
        let patterns = fields.take("match");
        let patterns = patterns.map(|node| patterns_of(diagnostics, node, &pools, placed));
        pools.push(pool(diagnostics, &mut fields, key, patterns.unwrap_or_default()));
        fields.finish(diagnostics);
    }
    pools
}

/// Reads the patterns of a pool; those of earlier pools are taken.
fn patterns_of(
    diagnostics: &mut Diagnostics,
    node: &Node,
    pools: &[PoolPolicy],
    placed: &mut Vec<PlacedPattern>,
) -> Vec<EndpointPattern> {
    let items = values::one_or_more(node);
    if items.is_empty() {
        report_wrong::<()>(
            diagnostics,
            node,
            "patterns of endpoints, such as [\"POST /login\", \"/export/*\"]",
        );
    }
    if placed.len() + items.len() > MAX_PATTERNS {
        diagnostics.mistake(node.span, format!("more than {MAX_PATTERNS} endpoint patterns"));
        return Vec::new();
    }
    let mut own: Vec<EndpointPattern> = Vec::new();
    for item in items {
        let Some(text) = values::plain_text(diagnostics, item, "a pattern such as \"POST /login\"")
        else {
            continue;
        };
        let Some(pattern) = pattern(diagnostics, text, item.span) else { continue };
        let other = pools.iter().find(|pool| pool.patterns.contains(&pattern));
        if other.is_some() || own.contains(&pattern) {
            let whose = other.map_or("this pool".to_owned(), |pool| format!("`{}`", pool.name));
            diagnostics
                .mistake(item.span, format!("duplicate pattern `{pattern}`, already in {whose}"))
                .expected("each pattern in one pool");
            continue;
        }
        placed.push((pattern.clone(), item.span));
        own.push(pattern);
    }
    own
}

fn pool(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    key: &NodeKey,
    patterns: Vec<EndpointPattern>,
) -> PoolPolicy {
    let strategy = strategy(diagnostics, fields);
    let adaptive = fields.entry("adaptive");
    let every = adaptive.and_then(|(_, node)| every(diagnostics, node));
    if let (Some((key, _)), true) = (adaptive, every.is_some() && strategy != PoolStrategy::Shared)
    {
        diagnostics
            .mistake(key.span, "`adaptive` needs a shared pool")
            .expected("`strategy: shared` in the same pool");
    }
    let size = fields.placed(diagnostics, "connections");
    let min = fields.placed(diagnostics, "min");
    let max = fields.placed(diagnostics, "max");
    let (min, connections, max) = sizes(diagnostics, min, size, max, every.is_some());
    let plain = PoolPolicy::shared(&key.name, patterns, connections);
    let mut pool = PoolPolicy { strategy, min, max, adaptive: every, ..plain };
    if let Some((span, streams)) = fields.placed(diagnostics, "streams") {
        pool.streams = streams;
        if streams > 1 && strategy != PoolStrategy::Shared {
            diagnostics
                .mistake(span, "`streams` needs a shared pool")
                .expected("`strategy: shared` in the same pool");
        }
    }
    fields.fill(diagnostics, "idle", &mut pool.idle);
    fields.fill(diagnostics, "max_age", &mut pool.max_age);
    fields.fill(diagnostics, "wait", &mut pool.wait);
    fields.fill(diagnostics, "max_requests", &mut pool.max_requests);
    if let Some(priority) = fields.word(diagnostics, "priority", &Priority::NAMES) {
        pool.priority = priority;
    }
    pool
}

/// Reads the strategy, from `strategy` or `keep_alive`.
fn strategy(diagnostics: &mut Diagnostics, fields: &mut Fields<'_>) -> PoolStrategy {
    let named = fields.word(diagnostics, "strategy", &PoolStrategy::NAMES);
    let keep_alive = fields.entry("keep_alive");
    let keep = fields.value(diagnostics, "keep_alive");
    let keeps = |strategy| strategy != PoolStrategy::PerRequest;
    if let (Some(strategy), Some(keep), Some((key, _))) = (named, keep, keep_alive)
        && keeps(strategy) != keep
    {
        let message = if keep {
            "`strategy: per_request` contradicts `keep_alive: true`"
        } else {
            "`keep_alive: false` contradicts this `strategy`"
        };
        diagnostics.mistake(key.span, message).expected("one of the two keys");
    }
    let default = if keep == Some(false) { PoolStrategy::PerRequest } else { PoolStrategy::Shared };
    named.unwrap_or(default)
}

/// Reads the interval of an adaptive pool; `None` if it does not adapt.
fn every(diagnostics: &mut Diagnostics, node: &Node) -> Option<std::time::Duration> {
    match node.kind {
        NodeKind::Bool(on) => on.then_some(PoolPolicy::ADAPT),
        _ => {
            let mut fields = Fields::read(diagnostics, node, &ADAPTIVE)?;
            let mut every = PoolPolicy::ADAPT;
            fields.fill(diagnostics, "every", &mut every);
            fields.finish(diagnostics);
            Some(every)
        }
    }
}

/// Completes the minimum, initial and maximum number of connections.
fn sizes(
    diagnostics: &mut Diagnostics,
    min: Given<u64>,
    size: Given<u64>,
    max: Given<u64>,
    adapts: bool,
) -> (u64, u64, u64) {
    in_order(diagnostics, ("min", min), ("connections", size));
    in_order(diagnostics, ("connections", size), ("max", max));
    if size.is_none() {
        in_order(diagnostics, ("min", min), ("max", max));
    }
    let [min, size, most] = [min, size, max].map(|given| given.map(|(_, count)| count));
    let connections = size.unwrap_or_else(|| {
        PoolPolicy::CONNECTIONS.max(min.unwrap_or(0)).min(most.unwrap_or(u64::MAX))
    });
    if let (false, Some((span, most))) = (adapts, max)
        && most > connections
    {
        diagnostics
            .mistake(span, format!("`max` has no effect: this pool has {connections} connections"))
            .expected(format!("`connections: {most}`, or `adaptive: true` in the same pool"));
    }
    let default = if adapts { connections * 2 } else { connections };
    let least = min.unwrap_or_else(|| (connections / 10).max(1));
    (least, connections, most.unwrap_or(default))
}
