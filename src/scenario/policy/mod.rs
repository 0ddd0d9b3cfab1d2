//! Reads `client:` and its blocks: the policies of the simulated client.
//!
//! `compile` passes the fields of a scenario; each submodule reads a kind of block.
//! Invariant: a block merges key by key over its defaults, and a default yields to given values;
//! `true` means the defaults, `false` switches the block off.

mod attempts;
mod breakers;
mod degradation;
mod pools;
#[cfg(test)]
mod tests;

pub(super) use attempts::{MAX_FACTOR, MAX_RETRIES, WINDOWS};
pub(super) use breakers::MAX_COUNT;
pub(super) use pools::MAX_CONNECTIONS;

use super::diagnostics::{Diagnostics, SourceSpan};
use super::fields::{self, Fields, wrong};
use super::node::{Node, NodeKind};
use crate::plan::policy::{
    AdmissionPolicy, BackoffPolicy, DegradationPolicy, HealingPolicy, MemoryPolicy, RetryPolicy,
    TimeoutPolicy,
};
use crate::plan::{EndpointPattern, Policies};

/// Maximum endpoint patterns in all pools, or in all limits.
pub(super) const MAX_PATTERNS: usize = 1_024;

/// The values of `client`.
pub(super) const CLIENTS: [(&str, bool); 2] = [("measure", false), ("resilient", true)];

/// An endpoint pattern with its place.
pub(super) type PlacedPattern = (EndpointPattern, SourceSpan);

/// Reads `client` and all blocks of a scenario, with the endpoint patterns in them.
pub(super) fn client(
    review: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> (Policies, Vec<PlacedPattern>) {
    let resilient = fields.take("client").and_then(|node| fields::word(review, node, &CLIENTS));
    let mut client = if resilient == Some(true) { resilient_client() } else { Policies::default() };
    let mut patterns = Vec::new();
    if let Some(node) = fields.take("pools") {
        client.pools = pools::pools(review, node, &mut patterns);
    }
    if let Some(node) = fields.take("breakers") {
        client.breakers = breakers::breakers(review, node, client.breakers);
    }
    if let Some(node) = fields.take("timeouts") {
        client.timeouts = attempts::timeouts(review, node);
    }
    if let Some(node) = fields.take("retries") {
        client.retries = attempts::retries(review, node);
    }
    if let Some(node) = fields.take("hedging") {
        client.hedging = attempts::hedging(review, node);
    }
    if let Some(node) = fields.take("limits") {
        client.limits = attempts::limits(review, node, &mut patterns);
    }
    if let Some(node) = fields.take("connect_backoff") {
        client.connect_backoff = attempts::connect_backoff(review, node);
    }
    if let Some(node) = fields.take("degradation") {
        client.degradation = degradation::degradation(review, node);
    }
    if let Some(node) = fields.take("healing") {
        client.healing = degradation::healing(review, node);
    }
    if let Some(node) = fields.take("admission") {
        client.admission = degradation::admission(review, node);
    }
    if let Some(node) = fields.take("memory") {
        client.memory = degradation::memory(review, node);
    }
    if let Some(node) = fields.take("prewarm") {
        client.prewarm = fields::duration(review, node).filter(|early| !early.is_zero());
    }
    (client, patterns)
}

/// Returns the defaults of `client: resilient`.
fn resilient_client() -> Policies {
    Policies {
        resilient: true,
        breakers: breakers::all(),
        timeouts: Some(TimeoutPolicy::default()),
        retries: Some(RetryPolicy::default()),
        connect_backoff: Some(BackoffPolicy::default()),
        degradation: Some(DegradationPolicy::default()),
        healing: Some(HealingPolicy::default()),
        admission: Some(AdmissionPolicy::default()),
        memory: Some(MemoryPolicy::default()),
        ..Policies::default()
    }
}

/// Reads a block over its defaults; `expected` describes it, beside `true` and `false`.
fn block<T>(
    review: &mut Diagnostics,
    node: &Node,
    what: &'static str,
    expected: &str,
    default: T,
    read: impl FnOnce(&mut Diagnostics, &mut Fields<'_>, T) -> Option<T>,
) -> Option<T> {
    match node.kind {
        NodeKind::Bool(on) => on.then_some(default),
        NodeKind::Map(_) => {
            let mut fields = Fields::of(review, node, what)?;
            let value = read(review, &mut fields, default);
            fields.finish(review);
            value
        }
        _ => wrong(review, node, format!("{expected}, `true` or `false`")),
    }
}

/// A given value with its place.
type Said<T> = Option<(SourceSpan, T)>;

/// Reads the value of a key, with its place.
fn said<T>(
    review: &mut Diagnostics,
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Diagnostics, &Node) -> Option<T>,
) -> Said<T> {
    let node = fields.take(key)?;
    read(review, node).map(|value| (node.span, value))
}

/// Reports two given values in the wrong order.
fn in_order<T: Ord + Copy>(
    review: &mut Diagnostics,
    (low, least): (&str, Said<T>),
    (high, most): (&str, Said<T>),
) {
    if let (Some((_, least)), Some((span, most))) = (least, most)
        && least > most
    {
        review
            .mistake(span, format!("`{high}` is less than `{low}`"))
            .expected(format!("at least as much as `{low}`"));
    }
}

/// Reads an endpoint pattern.
fn pattern(review: &mut Diagnostics, text: &str, span: SourceSpan) -> Option<EndpointPattern> {
    let found = EndpointPattern::parse(text);
    if found.is_none() {
        let mistake =
            review.mistake(span, format!("`{}` names no endpoints", fields::short(text))).expected(
                "`*`, or a path such as /export/* without its query, after a method or alone",
            );
        let near = text.split_once(' ').map(|(method, path)| (method.to_uppercase(), path));
        let near = near.map(|(method, path)| format!("{method} {path}"));
        if let Some(near) = near.filter(|near| EndpointPattern::parse(near).is_some()) {
            mistake.help(format!("did you mean `{near}`?"));
        }
    }
    found
}

/// Reads a number from 1 to `most`.
fn few(review: &mut Diagnostics, node: &Node, most: u32) -> Option<u32> {
    fields::count(review, node, 1, u64::from(most)).and_then(|count| u32::try_from(count).ok())
}
