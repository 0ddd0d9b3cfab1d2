//! Reads `client:` and its blocks: the policies of the simulated client.
//!
//! `compile` passes the fields of a scenario; each submodule reads a kind of block.
//! Invariant: a block merges key by key over its defaults, and a default yields to given values;
//! `true` means the defaults, `false` switches the block off.

use crate::plan::Policies;
use crate::plan::policy::{
    AdmissionPolicy, BackoffPolicy, DegradationPolicy, HealingPolicy, MemoryPolicy, RetryPolicy,
    TimeoutPolicy,
};
use crate::scenario::client::{attempts, breakers, degradation, pools};
use crate::scenario::nouns::client::CLIENTS;
use crate::scenario::syntax::diagnostics::Diagnostics;
use crate::scenario::syntax::fields::Fields;
use crate::scenario::syntax::spans::PlacedPattern;

/// Reads `client` and all blocks of a scenario, with the endpoint patterns in them.
pub(crate) fn client(
    diagnostics: &mut Diagnostics,
    fields: &mut Fields<'_>,
) -> (Policies, Vec<PlacedPattern>) {
    let resilient = fields.word(diagnostics, "client", &CLIENTS);
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
        client.prewarm = degradation::prewarm(diagnostics, node);
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
