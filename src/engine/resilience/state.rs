//! The resilience policies of a shard: what they hold back, and what they have learned.
//!
//! `permit` and `retry` ask it for each attempt, `orders` changes it by command, `snapshot` reads
//! it.
//! Invariant: without an active policy a call pays one look at [`ResilienceState::is_passthrough`].

use std::cell::{Cell, RefCell};

use rand::RngExt;

use crate::clock::Time;
use crate::engine::call::prepared::PreparedCall;
use crate::engine::startup::setup::ShardSetup;
use crate::ids::{BreakerId, EndpointId, PoolId, StepId, indexed_by};
use crate::plan::policy::{
    FailureCriteria, HedgePolicy, PoolPolicy, PoolStrategy, Priority, RetryPolicy,
};
use crate::plan::slots::Segment;
use crate::resilience::{AdaptiveTimeout, BreakerBoard, ConnectBackoffGate, RetryBudget};
use crate::seed::{Rng, Stream};
use crate::stats::{AttemptOutcome, BlockCause, BreakerState, BreakerUse};
use crate::units::nanos;
use crate::wire::pool::ConnectionPool;

/// The resilience policies of a shard and their state.
#[derive(Debug)]
pub(crate) struct ResilienceState {
    /// Whether no policy is active, so that calls skip all of them.
    pub(super) passthrough: Cell<bool>,
    /// The part of the run that this shard owns.
    pub(super) segment: Segment,
    pub(super) start: Time,
    /// Response times and deadlines by endpoint; empty if no policy needs them.
    pub(super) times: RefCell<Vec<AdaptiveTimeout>>,
    /// Whether deadlines follow those times.
    pub(super) adapts_timeouts: bool,
    /// By service; empty if connections are never held back.
    pub(super) gates: RefCell<Vec<ConnectBackoffGate>>,
    pub(super) retries: Option<(RetryPolicy, RefCell<Option<RetryBudget>>)>,
    pub(super) hedging: Option<(HedgePolicy, RefCell<RetryBudget>)>,
    /// By pool of the plan; `None` for a pool that users do not share.
    pub(super) pools: Vec<Option<ConnectionPool>>,
    /// Counts of breakers since the last delta, by breaker; empty if there are none.
    pub(super) breakers: RefCell<Vec<BreakerUse>>,
    /// The longest wait for a slot of a rate limit, ns.
    pub(super) limit_wait_ns: u64,
    /// The outcomes that count as failures of a pooled connection.
    pub(super) failures: FailureCriteria,
    /// By service: connections that were opened before this time are not used any more.
    pub(super) refreshed: RefCell<Vec<Time>>,
    /// Calls below this priority are not sent.
    pub(super) least: Cell<Priority>,
    /// Steps whose calls are not sent, by series.
    pub(super) muted: RefCell<Vec<bool>>,
    pub(super) rng: RefCell<Rng>,
}

indexed_by! {
    EndpointId: AdaptiveTimeout;
    PoolId: Option<ConnectionPool>;
}

impl ResilienceState {
    /// The policies of a plan at the start of a run.
    pub(crate) fn new(setup: &ShardSetup) -> Self {
        let (plan, shared) = (&setup.plan, &setup.shared);
        let policies = &plan.policies;
        let segment = setup.segment;
        let observed = policies.timeouts.is_some() || policies.hedging.is_some();
        let policy = policies.timeouts.unwrap_or_default();
        let times = if observed { shared.endpoints.all.len() } else { 0 };
        let gate = |_| policies.connect_backoff.map(ConnectBackoffGate::new);
        let retries = policies.retries.clone().map(|policy| {
            let budget = policy.budget.map(RetryBudget::new);
            (policy, RefCell::new(budget))
        });
        let pool = |policy: &PoolPolicy| {
            (policy.strategy == PoolStrategy::Shared)
                .then(|| ConnectionPool::new(policy, segment, setup.start))
        };
        let passthrough = !observed
            && !shared.board.has_breakers()
            && policies.connect_backoff.is_none()
            && retries.is_none()
            && policies.pools.is_empty()
            && !policies.limits.is_any_set();
        Self {
            passthrough: Cell::new(passthrough),
            segment,
            start: setup.start,
            times: RefCell::new(vec![AdaptiveTimeout::new(policy); times]),
            adapts_timeouts: policies.timeouts.is_some(),
            gates: RefCell::new(plan.services.iter().filter_map(gate).collect()),
            retries,
            hedging: policies
                .hedging
                .map(|policy| (policy, RefCell::new(RetryBudget::new(policy.budget)))),
            pools: policies.pools.iter().map(pool).collect(),
            breakers: RefCell::new(if shared.board.has_breakers() {
                vec![BreakerUse::default(); shared.breakers.len()]
            } else {
                Vec::new()
            }),
            limit_wait_ns: policies.limits.wait.map_or(u64::MAX, nanos),
            failures: FailureCriteria::target_failures(),
            refreshed: RefCell::new(vec![Time(0); plan.services.len()]),
            least: Cell::new(Priority::Low),
            muted: RefCell::new(vec![false; plan.steps.len()]),
            rng: RefCell::new(plan.seed.rng(Stream::Caution, segment.shard, 0)),
        }
    }

    /// Whether no policy is active.
    #[inline]
    pub(crate) fn is_passthrough(&self) -> bool {
        self.passthrough.get()
    }

    /// Why a call is not to be sent now; `None` if it may be sent.
    pub(crate) fn suppression_cause(
        &self,
        board: &BreakerBoard,
        prepared: &PreparedCall,
        step: StepId,
        now: Time,
    ) -> Option<BlockCause> {
        if self.muted.borrow()[step.index()] {
            return Some(BlockCause::Muted);
        }
        if prepared.priority < self.least.get() {
            return Some(BlockCause::Degradation);
        }
        let at = board.refusing_breaker(prepared.endpoint, prepared.call.service, now)?;
        self.count_refusal(at);
        Some(BlockCause::Breaker)
    }

    /// The deadline of an attempt, ns: the one that follows the endpoint's times, at most that of
    /// its step or service.
    #[inline]
    pub(crate) fn timeout_ns(&self, has_emulated_link: bool, prepared: &PreparedCall) -> u64 {
        // A user behind an emulated link has response times of its own, which are not observed.
        if self.adapts_timeouts && !has_emulated_link {
            let limit = self.times.borrow()[prepared.endpoint].limit_ns();
            limit.min(prepared.timeout_ns)
        } else {
            prepared.timeout_ns
        }
    }

    /// The pool of a call; `None` if users do not share connections for it.
    pub(crate) fn pool_of(&self, prepared: &PreparedCall) -> Option<&ConnectionPool> {
        self.pools[prepared.pool?].as_ref()
    }

    /// Draws a random number that decides nothing of the content.
    pub(crate) fn draw(&self) -> u64 {
        self.rng.borrow_mut().random()
    }

    /// Whether the outcome of an attempt is a failure of the target.
    pub(crate) fn is_failure(&self, outcome: AttemptOutcome) -> bool {
        self.failures.matches(outcome)
    }

    /// Counts an attempt that a breaker refused.
    #[cold]
    pub(crate) fn count_refusal(&self, id: BreakerId) {
        if let Some(breaker) = self.breakers.borrow_mut().get_mut(id.index()) {
            breaker.refused += 1;
        }
    }

    /// Counts a transition of breaker `id` to state `to`, caused by this shard.
    pub(crate) fn count_transition(&self, id: BreakerId, to: BreakerState) {
        if let Some(breaker) = self.breakers.borrow_mut().get_mut(id.index()) {
            breaker.opened += u64::from(to == BreakerState::Open);
        }
    }
}
