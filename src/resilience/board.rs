//! The breakers of a run: one for each endpoint, one for each service, one for all.
//!
//! All shards of a process share it; `engine::caution` asks it for each attempt.
//! Invariant: an attempt goes only when all levels that apply let it through; a probe that another
//! level holds back is given back.

use super::breaker::{
    AttemptResult, BreakerDecision, BreakerState, CircuitBreaker, StateTransition,
};
use crate::clock::Time;
use crate::plan::policy::{self, BreakerSwitch};
use crate::plan::{Endpoints, Plan};
use crate::stats::AttemptOutcome;

/// All breakers, in the order of their names: endpoints, services, system.
#[derive(Debug)]
pub struct BreakerBoard {
    breakers: Vec<Option<CircuitBreaker>>,
    endpoints: usize,
    /// Whether there is any.
    any: bool,
}

/// An attempt's leave to go: of which breakers it is a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerPermit {
    probes: u8,
    generations: [u16; 3],
}

/// What changed, and at which breaker.
pub type BreakerTransition = (usize, StateTransition);

impl BreakerBoard {
    /// The breakers that a plan asks for.
    pub fn new(plan: &Plan, endpoints: &Endpoints) -> Self {
        let laws = &plan.policies.breakers;
        let new = |law: &Option<policy::BreakerPolicy>| law.as_ref().map(CircuitBreaker::new);
        let mut breakers: Vec<_> = endpoints.all.iter().map(|_| new(&laws.endpoint)).collect();
        breakers.extend(plan.services.iter().map(|_| new(&laws.service)));
        breakers.push(new(&laws.system));
        let any = breakers.iter().any(Option::is_some);
        Self { breakers, endpoints: endpoints.all.len(), any }
    }

    /// Whether there is any breaker.
    pub fn any(&self) -> bool {
        self.any
    }

    /// From the widest to the narrowest: what stops all is asked first.
    fn levels(&self, endpoint: usize, service: usize) -> [usize; 3] {
        [self.breakers.len() - 1, self.endpoints + service, endpoint]
    }

    /// The widest breaker that would refuse an attempt now; takes nothing.
    #[inline]
    pub fn refusing_breaker(&self, endpoint: usize, service: usize, now: Time) -> Option<usize> {
        if !self.any {
            return None;
        }
        self.levels(endpoint, service)
            .into_iter()
            .find(|at| self.breakers[*at].as_ref().is_some_and(|breaker| breaker.would_refuse(now)))
    }

    /// Leave to go now. `changed` is told of each transition.
    ///
    /// # Errors
    /// The place of the breaker that refuses.
    #[inline]
    pub fn admit(
        &self,
        endpoint: usize,
        service: usize,
        now: Time,
        mut changed: impl FnMut(BreakerTransition),
    ) -> Result<BreakerPermit, usize> {
        let mut pass = BreakerPermit::default();
        let levels = self.levels(endpoint, service);
        for (level, at) in levels.into_iter().enumerate() {
            let Some(breaker) = &self.breakers[at] else { continue };
            let (verdict, change) = breaker.admit(now);
            if let Some(change) = change {
                changed((at, change));
            }
            match verdict {
                BreakerDecision::Go => {}
                BreakerDecision::Probe(generation) => {
                    pass.probes |= 1 << level;
                    pass.generations[level] = generation;
                }
                BreakerDecision::Refuse => {
                    self.give_back(endpoint, service, pass, now);
                    return Err(at);
                }
            }
        }
        Ok(pass)
    }

    /// An attempt that had leave was not made after all.
    pub fn give_back(&self, endpoint: usize, service: usize, pass: BreakerPermit, now: Time) {
        for (level, at) in self.levels(endpoint, service).into_iter().enumerate() {
            if let (Some(breaker), Some(probe)) = (&self.breakers[at], pass.of(level)) {
                breaker.report(now, Some(probe), AttemptResult::Unknown);
            }
        }
    }

    /// An attempt that had leave has ended. `changed` is told of each transition.
    #[inline]
    pub fn report(
        &self,
        (endpoint, service): (usize, usize),
        pass: BreakerPermit,
        outcome: AttemptOutcome,
        now: Time,
        mut changed: impl FnMut(BreakerTransition),
    ) {
        for (level, at) in self.levels(endpoint, service).into_iter().enumerate() {
            let Some(breaker) = &self.breakers[at] else { continue };
            let end = match outcome {
                AttemptOutcome::Unfinished(_)
                | AttemptOutcome::Own(_)
                | AttemptOutcome::Suppressed(_) => AttemptResult::Unknown,
                outcome if breaker.when().matches(outcome) => AttemptResult::Failure,
                _ => AttemptResult::Success,
            };
            if let Some(change) = breaker.report(now, pass.of(level), end) {
                changed((at, change));
            }
        }
    }

    /// Somebody says what a breaker has to do.
    pub fn switch(&self, at: usize, switch: BreakerSwitch) -> Option<StateTransition> {
        let to = match switch {
            BreakerSwitch::Open => Some(BreakerState::Open),
            BreakerSwitch::Close => Some(BreakerState::Closed),
            BreakerSwitch::Reset => None,
        };
        self.breakers.get(at)?.as_ref()?.force(to)
    }

    /// The state of each breaker; none where there is no breaker.
    pub fn states(&self) -> impl Iterator<Item = Option<BreakerState>> {
        self.breakers.iter().map(|breaker| breaker.as_ref().map(CircuitBreaker::state))
    }
}

impl BreakerPermit {
    /// Whether it is a probe of any breaker.
    pub fn is_probe(self) -> bool {
        self.probes != 0
    }

    fn of(self, level: usize) -> Option<u16> {
        (self.probes >> level & 1 == 1).then_some(self.generations[level])
    }
}
