//! The rate limits of a run: per source address, per group of endpoints, and over all.
//!
//! All shards of a process share them; `engine::caution` asks them for each attempt. A user's own
//! limit is the user's.
//! Invariant: the narrowest is asked first, so that nobody who waits for its own turn holds a place
//! in a wider row that others could have had.

use super::RateLimiter;
use crate::plan::{EndpointPattern, Endpoints, Plan};

/// All limits that several users share.
#[derive(Debug, Default)]
pub struct RateLimits {
    /// By service: its source addresses' places in `sources`.
    source_of: Vec<Vec<usize>>,
    sources: Vec<RateLimiter>,
    /// By endpoint: its pattern's place in `patterns`.
    pattern_of: Vec<Option<usize>>,
    patterns: Vec<RateLimiter>,
    global: Option<RateLimiter>,
}

impl RateLimits {
    /// The limits that a plan asks for.
    pub fn new(plan: &Plan, endpoints: &Endpoints) -> Self {
        let laws = &plan.policies.limits;
        let mut limits = Self { global: laws.global.map(RateLimiter::new), ..Self::default() };
        if let Some(rate) = laws.per_source {
            let mut known = Vec::new();
            for service in &plan.services {
                // Who names no address goes out from the machine's own: that is one, too.
                let own = [None];
                let named: Vec<_> = service.transport.sources.iter().map(|ip| Some(*ip)).collect();
                let sources = if named.is_empty() { &own[..] } else { &named };
                let places = sources.iter().map(|source| {
                    known.iter().position(|other| other == source).unwrap_or_else(|| {
                        known.push(*source);
                        limits.sources.push(RateLimiter::new(rate));
                        known.len() - 1
                    })
                });
                let places = places.collect();
                limits.source_of.push(places);
            }
        }
        limits.patterns =
            laws.per_endpoint.iter().map(|(_, rate)| RateLimiter::new(*rate)).collect();
        let patterns = || laws.per_endpoint.iter().map(|(pattern, _)| pattern).zip(0..);
        let best = |endpoint| EndpointPattern::most_specific(patterns(), endpoint);
        limits.pattern_of = endpoints.all.iter().map(best).collect();
        limits
    }

    /// The limits of an attempt by `user`, from the narrowest to the widest.
    pub fn of(&self, user: u64, service: usize, endpoint: usize) -> [Option<&RateLimiter>; 3] {
        let source = self.source_of.get(service).and_then(|places| {
            let place = user.checked_rem(places.len() as u64)?;
            self.sources.get(places[place as usize])
        });
        let pattern = self.pattern_of.get(endpoint).copied().flatten();
        [source, pattern.and_then(|at| self.patterns.get(at)), self.global.as_ref()]
    }
}
