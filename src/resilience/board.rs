//! The breakers of a run: one per endpoint, one per service, one for the whole system.
//!
//! All shards of a process share it; `engine::resilience` asks it for each attempt.
//! Invariant: an attempt is permitted only if all breakers that apply permit it; a probe that
//! another breaker refuses is returned.

use super::breaker::{AttemptResult, BreakerDecision, CircuitBreaker, StateTransition};
use crate::clock::Time;
use crate::ids::{BreakerId, EndpointId, ServiceId, indexed_by};
use crate::plan::policy::{self, BreakerSwitch};
use crate::plan::{Endpoints, Plan, Service};
use crate::stats::{AttemptOutcome, BreakerState};

/// All breakers, by id: those of endpoints, of services, of the system.
#[derive(Debug)]
pub struct BreakerBoard {
    breakers: Vec<Option<CircuitBreaker>>,
    endpoints: usize,
    /// Whether there is any breaker.
    has_any: bool,
}

/// Permission for an attempt; records at which breakers it is a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerPermit {
    probes: u8,
    generations: [u16; 3],
}

/// A transition, with its breaker.
pub type BreakerTransition = (BreakerId, StateTransition);

indexed_by! {
    BreakerId: Option<CircuitBreaker>;
}

impl BreakerBoard {
    /// Creates the breakers that a plan configures.
    pub fn new(plan: &Plan, endpoints: &Endpoints) -> Self {
        let policies = &plan.policies.breakers;
        let build =
            |policy: &Option<policy::BreakerPolicy>| policy.as_ref().map(CircuitBreaker::new);
        let mut breakers: Vec<_> =
            endpoints.all.iter().map(|_| build(&policies.endpoint)).collect();
        // The backends of a service have its breaker.
        let service = |one: &Service| build(&policies.service).filter(|_| one.backend_of.is_none());
        breakers.extend(plan.services.iter().map(service));
        breakers.push(build(&policies.system));
        let has_any = breakers.iter().any(Option::is_some);
        Self { breakers, endpoints: endpoints.all.len(), has_any }
    }

    /// Whether there is any breaker.
    pub fn has_breakers(&self) -> bool {
        self.has_any
    }

    /// The breakers that apply, from the widest scope to the narrowest: the widest is
    /// asked first.
    fn levels(&self, endpoint: EndpointId, service: ServiceId) -> [BreakerId; 3] {
        let system = self.breakers.len() - 1;
        [system, self.endpoints + service.index(), endpoint.index()].map(BreakerId::new)
    }

    /// The breaker with the widest scope that would refuse an attempt now; changes nothing.
    #[inline]
    pub fn refusing_breaker(
        &self,
        endpoint: EndpointId,
        service: ServiceId,
        now: Time,
    ) -> Option<BreakerId> {
        if !self.has_any {
            return None;
        }
        self.levels(endpoint, service)
            .into_iter()
            .find(|id| self.breakers[*id].as_ref().is_some_and(|breaker| breaker.would_refuse(now)))
    }

    /// Requests permission for an attempt. `changed` is called for each transition.
    ///
    /// # Errors
    /// The breaker that refuses.
    #[inline]
    pub fn admit(
        &self,
        endpoint: EndpointId,
        service: ServiceId,
        now: Time,
        mut changed: impl FnMut(BreakerTransition),
    ) -> Result<BreakerPermit, BreakerId> {
        let mut permit = BreakerPermit::default();
        let levels = self.levels(endpoint, service);
        for (level, id) in levels.into_iter().enumerate() {
            let Some(breaker) = &self.breakers[id] else { continue };
            let (decision, change) = breaker.admit(now);
            if let Some(change) = change {
                changed((id, change));
            }
            match decision {
                BreakerDecision::Go => {}
                BreakerDecision::Probe(generation) => {
                    permit.probes |= 1 << level;
                    permit.generations[level] = generation;
                }
                BreakerDecision::Refuse => {
                    self.give_back(endpoint, service, permit, now);
                    return Err(id);
                }
            }
        }
        Ok(permit)
    }

    /// Returns the permission of an attempt that was not started.
    pub fn give_back(
        &self,
        endpoint: EndpointId,
        service: ServiceId,
        permit: BreakerPermit,
        now: Time,
    ) {
        for (level, id) in self.levels(endpoint, service).into_iter().enumerate() {
            if let (Some(breaker), Some(probe)) =
                (&self.breakers[id], permit.probe_generation(level))
            {
                breaker.report(now, Some(probe), AttemptResult::Unknown);
            }
        }
    }

    /// Reports the end of a permitted attempt. `changed` is called for each transition.
    #[inline]
    pub fn report(
        &self,
        (endpoint, service): (EndpointId, ServiceId),
        permit: BreakerPermit,
        outcome: AttemptOutcome,
        now: Time,
        mut changed: impl FnMut(BreakerTransition),
    ) {
        for (level, id) in self.levels(endpoint, service).into_iter().enumerate() {
            let Some(breaker) = &self.breakers[id] else { continue };
            let end = match outcome {
                AttemptOutcome::Unfinished(_)
                | AttemptOutcome::Own(_)
                | AttemptOutcome::Suppressed(_) => AttemptResult::Unknown,
                outcome if breaker.failure_criteria().matches(outcome) => AttemptResult::Failure,
                _ => AttemptResult::Success,
            };
            if let Some(change) = breaker.report(now, permit.probe_generation(level), end) {
                changed((id, change));
            }
        }
    }

    /// Switches a breaker by live control.
    pub fn switch(&self, id: BreakerId, switch: BreakerSwitch) -> Option<StateTransition> {
        let to = match switch {
            BreakerSwitch::Open => Some(BreakerState::Open),
            BreakerSwitch::Close => Some(BreakerState::Closed),
            BreakerSwitch::Reset => None,
        };
        self.breakers.get(id.index())?.as_ref()?.force(to)
    }

    /// The state of each breaker; `None` where there is no breaker.
    pub fn states(&self) -> impl Iterator<Item = Option<BreakerState>> {
        self.breakers.iter().map(|breaker| breaker.as_ref().map(CircuitBreaker::state))
    }
}

impl BreakerPermit {
    /// Whether the attempt is a probe of any breaker.
    pub fn is_probe(self) -> bool {
        self.probes != 0
    }

    fn probe_generation(self, level: usize) -> Option<u16> {
        (self.probes >> level & 1 == 1).then_some(self.generations[level])
    }
}
