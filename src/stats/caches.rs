//! What the caches of a run did: lookups, fills, waits, and each layer's part.
//!
//! `engine` counts it through the recorder; `report` shows it.
//! Invariant: the names are those of the plan, so their number is bounded.

use std::collections::BTreeMap;

/// The first failure of a layer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstLayerFailure {
    /// When, ns after the run's start.
    pub at_ns: u64,
    /// Why, in the store's words.
    pub why: String,
}

/// The use of a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerUse {
    /// Lookups that it had an entry for.
    pub hits: u64,
    /// Lookups that it had none for.
    pub misses: u64,
    /// Entries that were too old.
    pub expired: u64,
    /// Entries that are damaged, foreign, or encrypted with another secret.
    pub unreadable: u64,
    /// Entries that were found below and written to it.
    pub promotions: u64,
    /// Entries of fills that were written to it.
    pub writes: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests without an answer in time.
    pub timeouts: u64,
    /// Requests that were not made, because it had not answered before.
    pub skipped: u64,
    /// The first request that failed or had no answer in time.
    pub first_failure: Option<FirstLayerFailure>,
}

/// The use of a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheUse {
    /// `cached` steps.
    pub lookups: u64,
    /// Lookups that were served from an entry.
    pub hits: u64,
    /// Lookups that ran the steps, and whose values were kept.
    pub fills: u64,
    /// Lookups that ran the steps, which failed or captured nothing.
    pub failed_fills: u64,
    /// Lookups that waited for another user, or another process.
    pub waits: u64,
    /// Time that users spent in lookups, ns: waits, and requests to layers.
    pub wait_ns: u64,
    /// The longest of them, ns.
    pub longest_wait_ns: u64,
    /// Entries that `forget` removed.
    pub forgotten: u64,
    /// By the name of the layer.
    pub layers: BTreeMap<String, LayerUse>,
}

/// The use of all caches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caches {
    /// By the name of the cache.
    pub by_name: BTreeMap<String, CacheUse>,
}

impl LayerUse {
    fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.expired += other.expired;
        self.unreadable += other.unreadable;
        self.promotions += other.promotions;
        self.writes += other.writes;
        self.failed += other.failed;
        self.timeouts += other.timeouts;
        self.skipped += other.skipped;
        let both = [self.first_failure.take(), other.first_failure.clone()];
        self.first_failure = both.into_iter().flatten().min();
    }
}

impl CacheUse {
    /// The use of a layer.
    pub fn layer(&mut self, name: &str) -> &mut LayerUse {
        self.layers.entry(name.to_owned()).or_default()
    }

    /// Counts the time that a lookup took.
    pub fn add_wait(&mut self, ns: u64) {
        self.wait_ns += ns;
        self.longest_wait_ns = self.longest_wait_ns.max(ns);
    }

    /// Lookups that were served from an entry, as a share; `None` without any.
    pub fn hit_ratio(&self) -> Option<f64> {
        let ended = self.hits + self.fills + self.failed_fills;
        (ended > 0).then(|| self.hits as f64 / ended as f64)
    }

    fn add(&mut self, other: &Self) {
        self.lookups += other.lookups;
        self.hits += other.hits;
        self.fills += other.fills;
        self.failed_fills += other.failed_fills;
        self.waits += other.waits;
        self.wait_ns += other.wait_ns;
        self.longest_wait_ns = self.longest_wait_ns.max(other.longest_wait_ns);
        self.forgotten += other.forgotten;
        other.layers.iter().for_each(|(name, layer)| self.layer(name).add(layer));
    }
}

impl Caches {
    /// The use of a cache.
    pub fn cache(&mut self, name: &str) -> &mut CacheUse {
        self.by_name.entry(name.to_owned()).or_default()
    }

    /// Adds the counts of another shard or interval.
    pub fn merge(&mut self, other: &Self) {
        other.by_name.iter().for_each(|(name, cache)| self.cache(name).add(cache));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_shards_add_up_in_any_order() {
        let mut one = Caches::default();
        let tokens = one.cache("tokens");
        (tokens.lookups, tokens.hits, tokens.fills) = (4, 3, 1);
        tokens.add_wait(5);
        tokens.layer("memory").hits = 3;
        let mut other = Caches::default();
        other.cache("tokens").add_wait(9);
        other.cache("tokens").layer("redis").timeouts = 2;
        let failure = |at_ns, why: &str| Some(FirstLayerFailure { at_ns, why: why.to_owned() });
        one.cache("tokens").layer("redis").first_failure = failure(7, "refused");
        other.cache("tokens").layer("redis").first_failure = failure(5, "no answer");
        other.cache("rows").layer("sqlite").first_failure = failure(9, "locked");
        other.cache("rows").lookups = 1;
        let (mut left, mut right) = (one.clone(), other.clone());
        left.merge(&other);
        right.merge(&one);
        assert_eq!(left, right);
        let tokens = &left.by_name["tokens"];
        assert_eq!((tokens.wait_ns, tokens.longest_wait_ns), (14, 9));
        assert_eq!(tokens.hit_ratio(), Some(0.75));
        assert_eq!(left.by_name["rows"].hit_ratio(), None);
        assert_eq!(tokens.layers["redis"].first_failure, failure(5, "no answer"));
        assert_eq!(left.by_name["rows"].layers["sqlite"].first_failure, failure(9, "locked"));
    }
}
