//! What the simulated client holds back, waits for and learns: a shard's laws of caution.
//!
//! `attempt` asks it at each height of its stack, the shard gives it orders.
//! Invariant: where nothing is asked for it is quiet, and a call costs one look at that; what it
//! lends (a line, a place at a door, a breaker's probe) comes back whatever becomes of the attempt.

mod permit;
mod retry;
mod snapshot;

use std::cell::{Cell, RefCell};

pub(super) use permit::{AdmissionDelay, AttemptPermit, CompletedAttempt};

use super::ShardSetup;
use super::prepared::PreparedCall;
use super::shard::Shard;
use super::user::User;
use crate::clock::Time;
use crate::event::Order;
use crate::plan::policy::{
    self, FailureCriteria, HedgePolicy, PoolStrategy, Priority, RetryPolicy,
};
use crate::resilience::{AdaptiveTimeout, ConnectBackoffGate, RetryBudget};
use crate::seed::{Rng, Stream};
use crate::stats::{BlockCause, BreakerUse};
use crate::units::nanos;
use crate::wire::pool::ConnectionPool;

/// A shard's caution.
#[derive(Debug)]
pub(super) struct ResilienceState {
    /// Nothing is asked of it.
    quiet: Cell<bool>,
    /// Which shard, of how many.
    part: (u64, u64),
    start: Time,
    /// Has its own time by endpoint; empty where nobody asks.
    times: RefCell<Vec<AdaptiveTimeout>>,
    /// Whether deadlines follow those times.
    follows: bool,
    /// By service; empty where connections are never held back.
    gates: RefCell<Vec<ConnectBackoffGate>>,
    retries: Option<(RetryPolicy, RefCell<Option<RetryBudget>>)>,
    hedging: Option<(HedgePolicy, RefCell<RetryBudget>)>,
    /// By pool of the plan; those that users do not share are none.
    pools: Vec<Option<ConnectionPool>>,
    /// What breakers did since the last shed, by place; empty where there is none.
    breakers: RefCell<Vec<BreakerUse>>,
    /// How long a call waits for its turn at a limit, ns.
    limit_wait_ns: u64,
    /// What a pool's errors are.
    failures: FailureCriteria,
    /// By service: connections opened before are not used any more.
    refreshed: RefCell<Vec<Time>>,
    /// What is less important than this is not sent.
    least: Cell<Priority>,
    /// By series.
    muted: RefCell<Vec<bool>>,
    rng: RefCell<Rng>,
}

impl ResilienceState {
    pub(super) fn new(setup: &ShardSetup) -> Self {
        let (plan, shared) = (&setup.plan, &setup.shared);
        let policies = &plan.policies;
        let (shard, shards) = (setup.segment.shard, setup.segment.shards);
        let observed = policies.timeouts.is_some() || policies.hedging.is_some();
        let law = policies.timeouts.unwrap_or_default();
        let times = if observed { shared.endpoints.all.len() } else { 0 };
        let gate = |_| policies.connect_backoff.map(ConnectBackoffGate::new);
        let retries = policies.retries.clone().map(|law| {
            let budget = law.budget.map(RetryBudget::new);
            (law, RefCell::new(budget))
        });
        let pool = |law: &policy::PoolPolicy| {
            (law.strategy == PoolStrategy::Shared)
                .then(|| ConnectionPool::new(law, shard, shards, setup.start))
        };
        let quiet = !observed
            && !shared.board.any()
            && policies.connect_backoff.is_none()
            && retries.is_none()
            && policies.pools.is_empty()
            && !policies.limits.is_any_set();
        Self {
            quiet: Cell::new(quiet),
            part: (shard, shards),
            start: setup.start,
            times: RefCell::new(vec![AdaptiveTimeout::new(law); times]),
            follows: policies.timeouts.is_some(),
            gates: RefCell::new(plan.services.iter().filter_map(gate).collect()),
            retries,
            hedging: policies.hedging.map(|law| (law, RefCell::new(RetryBudget::new(law.budget)))),
            pools: policies.pools.iter().map(pool).collect(),
            breakers: RefCell::new(if shared.board.any() {
                vec![BreakerUse::default(); shared.names.len()]
            } else {
                Vec::new()
            }),
            limit_wait_ns: policies.limits.wait.map_or(u64::MAX, nanos),
            failures: FailureCriteria::target_failures(),
            refreshed: RefCell::new(vec![Time(0); plan.services.len()]),
            least: Cell::new(Priority::Low),
            muted: RefCell::new(vec![false; plan.steps.len()]),
            rng: RefCell::new(plan.seed.rng(Stream::Caution, shard, 0)),
        }
    }

    /// Whether nothing is asked of it: then a call goes as it comes.
    #[inline]
    pub(super) fn is_passthrough(&self) -> bool {
        self.quiet.get()
    }

    /// Why a call is not made at all, as things stand.
    pub(super) fn suppression_cause(
        &self,
        shard: &Shard,
        prepared: &PreparedCall,
        step: usize,
        now: Time,
    ) -> Option<BlockCause> {
        if self.muted.borrow()[step] {
            return Some(BlockCause::Muted);
        }
        if prepared.priority < self.least.get() {
            return Some(BlockCause::Degradation);
        }
        let board = &shard.shared.board;
        let at = board.refusing_breaker(prepared.endpoint, prepared.call.service, now)?;
        self.refused(at);
        Some(BlockCause::Breaker)
    }

    /// How long an attempt may take, ns: what the endpoint's own times say, and no longer than its
    /// step or service allows.
    #[inline]
    pub(super) fn timeout_ns(&self, user: &User, prepared: &PreparedCall) -> u64 {
        // Who is far away has times of its own, which nobody here knows.
        if self.follows && !user.has_emulated_link() {
            let limit = self.times.borrow()[prepared.endpoint].limit_ns();
            limit.min(prepared.timeout_ns)
        } else {
            prepared.timeout_ns
        }
    }

    /// The pool that lends lines to a call.
    pub(super) fn pool_of(&self, prepared: &PreparedCall) -> Option<&ConnectionPool> {
        self.pools.get(prepared.pool?)?.as_ref()
    }

    /// Does as it is told.
    pub(super) fn apply(&self, shard: &Shard, order: &Order) {
        let (wire, now) = (&shard.wire, crate::clock::now());
        match order {
            Order::Breaker(at, switch) => {
                if let Some(change) = shard.shared.board.switch(*at, *switch) {
                    shard.record_breaker_change((*at, change), None, now);
                }
            }
            Order::Mute(step, muted) => {
                if let Some(mine) = self.muted.borrow_mut().get_mut(*step) {
                    *mine = *muted;
                }
                self.quiet.set(false);
            }
            Order::Level(level) => {
                self.least.set(level.min_priority());
                self.quiet.set(false);
            }
            Order::Resize(at, size) => {
                if let Some(Some(pool)) = self.pools.get(*at) {
                    pool.resize(*size, self.part.0, self.part.1, wire, now);
                }
            }
            Order::Refresh(service) => {
                wire.forget(*service);
                if let Some(refreshed) = self.refreshed.borrow_mut().get_mut(*service) {
                    *refreshed = now;
                }
                self.quiet.set(false);
                self.pools.iter().flatten().for_each(|pool| {
                    pool.close_idle(Some(*service));
                });
            }
            Order::TrimMemory => {
                self.pools.iter().flatten().for_each(|pool| {
                    pool.close_idle(None);
                });
            }
            // The shard's own.
            Order::Admit(_) | Order::PauseAdmission(_) => {}
        }
    }
}
