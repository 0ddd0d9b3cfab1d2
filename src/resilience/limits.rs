//! The rate limits of a run: per source address, per endpoint pattern, and overall.
//!
//! All shards of a process share them; `engine::resilience` asks them for each attempt. A user's
//! own limit is stored with the user.
//! Invariant: the narrowest is asked first, so that an attempt waiting for its own slot holds no
//! slot of a wider limit that others could have used.

use super::RateLimiter;
use crate::ids::{EndpointId, ServiceId};
use crate::plan::slots::ShardRange;
use crate::plan::{EndpointPattern, Endpoints, Plan};

/// All limits that several users share.
#[derive(Debug, Default)]
pub struct RateLimits {
    /// By service: the places of its source addresses in `sources`.
    source_of: Vec<Vec<usize>>,
    sources: Vec<RateLimiter>,
    /// By endpoint: its pattern's place in `patterns`.
    pattern_of: Vec<Option<usize>>,
    patterns: Vec<RateLimiter>,
    global: Option<RateLimiter>,
}

impl RateLimits {
    /// Creates the limits that a plan configures, in the process with the shards `range`: it has
    /// its part of each rate.
    pub fn new(plan: &Plan, endpoints: &Endpoints, range: ShardRange) -> Self {
        let policies = &plan.policies.limits;
        let limiter = |units| RateLimiter::new(range.part_of(units));
        let mut limits = Self { global: policies.global.map(limiter), ..Self::default() };
        if let Some(rate) = policies.per_source {
            let mut known = Vec::new();
            for service in &plan.services {
                // A service without source addresses uses the machine's default one: that counts as
                // one, too.
                let own = [None];
                let named: Vec<_> = service.transport.sources.iter().map(|ip| Some(*ip)).collect();
                let sources = if named.is_empty() { &own[..] } else { &named };
                let places = sources.iter().map(|source| {
                    known.iter().position(|other| other == source).unwrap_or_else(|| {
                        known.push(*source);
                        limits.sources.push(limiter(rate));
                        known.len() - 1
                    })
                });
                let places = places.collect();
                limits.source_of.push(places);
            }
        }
        limits.patterns = policies.per_endpoint.iter().map(|(_, rate)| limiter(*rate)).collect();
        let patterns = || policies.per_endpoint.iter().map(|(pattern, _)| pattern).zip(0..);
        let best = |endpoint| EndpointPattern::most_specific(patterns(), endpoint);
        limits.pattern_of = endpoints.all.iter().map(best).collect();
        limits
    }

    /// The limits of an attempt by `user`, from the narrowest to the widest.
    pub fn applicable(
        &self,
        user: u64,
        service: ServiceId,
        endpoint: EndpointId,
    ) -> [Option<&RateLimiter>; 3] {
        let source = self.source_of.get(service.index()).and_then(|places| {
            let place = user.checked_rem(places.len() as u64)?;
            self.sources.get(places[place as usize])
        });
        let pattern = self.pattern_of.get(endpoint.index()).copied().flatten();
        [source, pattern.and_then(|at| self.patterns.get(at)), self.global.as_ref()]
    }
}
