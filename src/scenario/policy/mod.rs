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
use super::fields::{self, Fields, report_wrong};
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
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> (Policies, Vec<PlacedPattern>) {
    let resilient =
        fields.take("client").and_then(|node| fields::one_of(diagnostics, node, &CLIENTS));
    let mut client = if resilient == Some(true) { resilient_client() } else { Policies::default() };
    let mut patterns = Vec::new();
    if let Some(node) = fields.take("pools") {
        client.pools = pools::pools(diagnostics, node, &mut patterns);
    }
    if let Some(node) = fields.take("breakers") {
        client.breakers = breakers::breakers(diagnostics, node, client.breakers);
    }
    if let Some(node) = fields.take("timeouts") {
        client.timeouts = attempts::timeouts(diagnostics, node);
    }
    if let Some(node) = fields.take("retries") {
        client.retries = attempts::retries(diagnostics, node);
    }
    if let Some(node) = fields.take("hedging") {
        client.hedging = attempts::hedging(diagnostics, node);
    }
    if let Some(node) = fields.take("limits") {
        client.limits = attempts::limits(diagnostics, node, &mut patterns);
    }
    if let Some(node) = fields.take("connect_backoff") {
        client.connect_backoff = attempts::connect_backoff(diagnostics, node);
    }
    if let Some(node) = fields.take("degradation") {
        client.degradation = degradation::degradation(diagnostics, node);
    }
    if let Some(node) = fields.take("healing") {
        client.healing = degradation::healing(diagnostics, node);
    }
    if let Some(node) = fields.take("admission") {
        client.admission = degradation::admission(diagnostics, node);
    }
    if let Some(node) = fields.take("memory") {
        client.memory = degradation::memory(diagnostics, node);
    }
    if let Some(node) = fields.take("prewarm") {
        client.prewarm = fields::duration(diagnostics, node).filter(|early| !early.is_zero());
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
    diagnostics: &mut Diagnostics,
    node: &Node,
    what: &'static str,
    expected: &str,
    default: T,
    read: impl FnOnce(&mut Diagnostics, &mut Fields<'_>, T) -> Option<T>,
) -> Option<T> {
    match node.kind {
        NodeKind::Bool(on) => on.then_some(default),
        NodeKind::Map(_) => {
            let mut fields = Fields::read(diagnostics, node, what)?;
            let value = read(diagnostics, &mut fields, default);
            fields.finish(diagnostics);
            value
        }
        _ => report_wrong(diagnostics, node, format!("{expected}, `true` or `false`")),
    }
}

/// A given value with its place.
type Given<T> = Option<(SourceSpan, T)>;

/// Reads the value of a key, with its place.
fn given<T>(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&mut Diagnostics, &Node) -> Option<T>,
) -> Given<T> {
    let node = fields.take(key)?;
    read(diagnostics, node).map(|value| (node.span, value))
}

/// Reports two given values in the wrong order.
fn in_order<T: Ord + Copy>(
    diagnostics: &mut Diagnostics,
    (low, least): (&str, Given<T>),
    (high, most): (&str, Given<T>),
) {
    if let (Some((_, least)), Some((span, most))) = (least, most)
        && least > most
    {
        diagnostics
            .mistake(span, format!("`{high}` is less than `{low}`"))
            .expected(format!("at least as much as `{low}`"));
    }
}

/// Reads an endpoint pattern.
fn pattern(diagnostics: &mut Diagnostics, text: &str, span: SourceSpan) -> Option<EndpointPattern> {
    let found = EndpointPattern::parse(text);
    if found.is_none() {
        let mistake = diagnostics
            .mistake(span, format!("`{}` names no endpoints", fields::truncate(text)))
            .expected(
                "`*`, or a path such as /export/* without its query, after a method or alone",
            );
        let suggestion = text.split_once(' ').map(|(method, path)| (method.to_uppercase(), path));
        let suggestion = suggestion.map(|(method, path)| format!("{method} {path}"));
        if let Some(suggestion) =
            suggestion.filter(|suggestion| EndpointPattern::parse(suggestion).is_some())
        {
            mistake.help(format!("did you mean `{suggestion}`?"));
        }
    }
    found
}

/// Reads a number from 1 to `most`.
fn count_u32(diagnostics: &mut Diagnostics, node: &Node, most: u32) -> Option<u32> {
    fields::count(diagnostics, node, 1, u64::from(most)).and_then(|count| u32::try_from(count).ok())
}
