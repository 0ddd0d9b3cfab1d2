//! What a shard's caution says of itself once a second: its pools, deadlines and breakers.
//!
//! `shard` puts it into each delta; what breakers do is counted here as it happens.
//! Invariant: each transition of a breaker is counted by the shard that made it, and by no other.

use super::ResilienceState;
use crate::clock::Time;
use crate::resilience::{AdaptiveTimeout, BreakerBoard, BreakerState};
use crate::stats::{BreakerUse, CircuitState, Delta, PoolUse, ResilienceSnapshot};
use crate::wire::pool::ConnectionPool;

impl ResilienceState {
    /// Puts what happened since the last call of this into a delta; idle connections are looked
    /// at.
    pub(in crate::engine) fn take_interval(
        &self,
        board: &BreakerBoard,
        delta: &mut Delta,
        now: Time,
    ) {
        let used = |pool: &Option<ConnectionPool>| {
            pool.as_ref().map_or_else(PoolUse::default, |pool| {
                pool.sweep(now);
                pool.take_use(now)
            })
        };
        delta.pools = self.pools.iter().map(used).collect();
        delta.guarded = ResilienceSnapshot {
            timeouts_ns: if self.follows {
                self.times.borrow().iter().map(AdaptiveTimeout::limit_ns).collect()
            } else {
                Vec::new()
            },
            breakers: self.take_breakers(board),
        };
    }

    fn take_breakers(&self, board: &BreakerBoard) -> Vec<BreakerUse> {
        let circuit = |state| match state {
            BreakerState::Closed => CircuitState::Closed,
            BreakerState::Open => CircuitState::Open,
            BreakerState::HalfOpen => CircuitState::HalfOpen,
        };
        let mut counted = self.breakers.borrow_mut();
        let places = counted.iter_mut().zip(board.states());
        places
            .map(|(counted, state)| BreakerUse {
                state: state.map(circuit),
                ..std::mem::take(counted)
            })
            .collect()
    }

    /// The breaker of this place has refused an attempt.
    #[cold]
    pub(super) fn refused(&self, at: usize) {
        if let Some(breaker) = self.breakers.borrow_mut().get_mut(at) {
            breaker.refused += 1;
        }
    }

    /// The breaker of this place has changed its state, by what this shard saw or was told.
    pub(super) fn changed(&self, at: usize, to: BreakerState) {
        if let Some(breaker) = self.breakers.borrow_mut().get_mut(at) {
            breaker.opened += u64::from(to == BreakerState::Open);
        }
    }
}
