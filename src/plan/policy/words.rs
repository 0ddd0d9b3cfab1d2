//! Policies in a few words, and the pool of an endpoint.
//!
//! `cli plan` shows the words; forecasts look up pools.
//! Invariant: every active policy is listed; without any the kind is `measure`.

use super::{Policies, PoolPolicy, PoolStrategy, PrewarmPolicy};
use crate::ids::PoolId;
use crate::plan::endpoint_pattern::{Endpoint, EndpointPattern};
use crate::units::{counted, show_bytes, show_duration};

impl Policies {
    /// Returns `measure` or `resilient`.
    pub fn kind(&self) -> &'static str {
        if self.resilient { "resilient" } else { "measure" }
    }

    /// Lists the active policies, a few words each.
    pub fn parts(&self) -> Vec<String> {
        let count = |count: usize, one: &str| counted(count as u64, one);
        let mut parts = Vec::new();
        let mut add = |is: bool, what: &str| parts.extend(is.then(|| what.to_owned()));
        let breakers = [&self.breakers.endpoint, &self.breakers.service, &self.breakers.system];
        let levels = breakers.into_iter().flatten().count();
        add(!self.pools.is_empty(), &count(self.pools.len(), "pool"));
        add(levels > 0, &format!("breakers at {}", count(levels, "level")));
        add(self.timeouts.is_some(), "adaptive timeouts");
        if let Some(retries) = &self.retries {
            let retries = if retries.max == 1 {
                "1 retry".to_owned()
            } else {
                format!("{} retries", retries.max)
            };
            add(true, &retries);
        }
        add(self.hedging.is_some(), "hedging");
        add(self.limits.is_any_set(), "limits");
        add(self.connect_backoff.is_some(), "connect backoff");
        add(self.degradation.is_some(), "degradation");
        add(self.healing.is_some(), "healing");
        add(self.admission.is_some(), "admission");
        match self.memory.map(|memory| memory.budget) {
            Some(Some(bytes)) => add(true, &format!("memory budget {}", show_bytes(bytes))),
            Some(None) => add(true, "memory budget"),
            None => {}
        }
        if let Some(PrewarmPolicy { lead, predict }) = self.prewarm {
            let predicted = if predict { " with prediction" } else { "" };
            add(true, &format!("prewarm {}{predicted}", show_duration(lead)));
        }
        parts
    }

    /// Returns the pool of an endpoint; `None` if it belongs to none.
    pub fn pool_of(&self, endpoint: &Endpoint) -> Option<PoolId> {
        let pools = PoolId::number(&self.pools);
        let patterns =
            pools.flat_map(|(id, pool)| pool.patterns.iter().map(move |pattern| (pattern, id)));
        EndpointPattern::most_specific(patterns, endpoint)
    }

    /// Returns the shared pool with the fewest connections; each shard needs one of them.
    pub fn smallest_pool(&self) -> Option<&PoolPolicy> {
        let shared = self.pools.iter().filter(|pool| pool.strategy == PoolStrategy::Shared);
        shared.min_by_key(|pool| pool.connections)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{MemoryPolicy, RetryPolicy};
    use super::*;

    #[test]
    fn parts_list_the_active_policies() {
        assert_eq!(Policies::default().parts(), [""; 0]);
        let client = Policies {
            retries: Some(RetryPolicy { max: 1, ..RetryPolicy::default() }),
            memory: Some(MemoryPolicy { budget: Some(200 << 20) }),
            prewarm: Some(PrewarmPolicy { lead: Duration::from_secs(2), predict: true }),
            ..Policies::default()
        };
        assert_eq!(
            client.parts(),
            ["1 retry", "memory budget 200 MiB", "prewarm 2s with prediction"]
        );
        assert_eq!(client.kind(), "measure");
    }
}
