//! A client in few words, and whose connections a call goes over.
//!
//! `cli plan` shows the words; forecasts ask for pools.
//! Invariant: what is held back, given up or tried again is named; nothing said is `measure`.

use super::{Policies, PoolPolicy, PoolStrategy};
use crate::plan::endpoint_pattern::{Endpoint, EndpointPattern};
use crate::units::{show_bytes, show_duration};

impl Policies {
    /// `measure` or `resilient`.
    pub fn kind(&self) -> &'static str {
        if self.resilient { "resilient" } else { "measure" }
    }

    /// What it does beside sending what is due, a few words each.
    pub fn parts(&self) -> Vec<String> {
        let count = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        let mut parts = Vec::new();
        let mut say = |is: bool, what: &str| parts.extend(is.then(|| what.to_owned()));
        let breakers = [&self.breakers.endpoint, &self.breakers.service, &self.breakers.system];
        let levels = breakers.into_iter().flatten().count();
        say(!self.pools.is_empty(), &count(self.pools.len(), "pool"));
        say(levels > 0, &format!("breakers at {}", count(levels, "level")));
        say(self.timeouts.is_some(), "adaptive timeouts");
        if let Some(retries) = &self.retries {
            let most = if retries.max == 1 {
                "1 retry".to_owned()
            } else {
                format!("{} retries", retries.max)
            };
            say(true, &most);
        }
        say(self.hedging.is_some(), "hedging");
        say(self.limits.any(), "limits");
        say(self.connect_backoff.is_some(), "connect backoff");
        say(self.degradation.is_some(), "degradation");
        say(self.healing.is_some(), "healing");
        say(self.admission.is_some(), "admission");
        match self.memory.map(|memory| memory.budget) {
            Some(Some(bytes)) => say(true, &format!("{} of memory", show_bytes(bytes))),
            Some(None) => say(true, "memory watched"),
            None => {}
        }
        if let Some(early) = self.prewarm {
            say(true, &format!("users ready {} early", show_duration(early)));
        }
        parts
    }

    /// The pool that an endpoint comes under.
    pub fn pool_of(&self, endpoint: &Endpoint) -> Option<usize> {
        let pools = self.pools.iter().enumerate();
        let patterns = pools
            .flat_map(|(index, pool)| pool.patterns.iter().map(move |pattern| (pattern, index)));
        EndpointPattern::best(patterns, endpoint)
    }

    /// Whether the scenario says how much memory the run may take.
    pub fn has_own_memory_budget(&self) -> bool {
        self.memory.is_some_and(|memory| memory.budget.is_some())
    }

    /// The shared pool with the fewest connections: each shard needs one of them.
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
    fn a_client_in_few_words() {
        assert_eq!(Policies::default().parts(), [""; 0]);
        let client = Policies {
            retries: Some(RetryPolicy { max: 1, ..RetryPolicy::default() }),
            memory: Some(MemoryPolicy { budget: Some(200 << 20) }),
            prewarm: Some(Duration::from_secs(2)),
            ..Policies::default()
        };
        assert_eq!(client.parts(), ["1 retry", "200 MiB of memory", "users ready 2s early"]);
        assert_eq!(client.kind(), "measure");
    }
}
