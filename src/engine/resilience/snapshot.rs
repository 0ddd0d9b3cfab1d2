//! The state of pools, deadlines and breakers, once a second.
//!
//! `shard_loop` puts it into each delta.
//! Invariant: each transition of a breaker is counted by the shard that made it, and by no other.

use super::state::ResilienceState;
use crate::clock::Time;
use crate::resilience::{AdaptiveTimeout, BreakerBoard};
use crate::stats::{BreakerUse, Delta, PoolUse, ResilienceSnapshot};
use crate::wire::pool::ConnectionPool;

impl ResilienceState {
    /// Adds the changes since the last delta to this one, and closes connections that were idle for
    /// too long.
    pub(crate) fn take_interval(&self, board: &BreakerBoard, delta: &mut Delta, now: Time) {
        let used = |pool: &Option<ConnectionPool>| {
            pool.as_ref().map_or_else(PoolUse::default, |pool| {
                pool.sweep(now);
                pool.take_use(now)
            })
        };
        delta.pools = self.pools.iter().map(used).collect();
        delta.resilience = ResilienceSnapshot {
            timeouts_ns: if self.adapts_timeouts {
                self.times.borrow().iter().map(AdaptiveTimeout::limit_ns).collect()
            } else {
                Vec::new()
            },
            breakers: self.take_breakers(board),
        };
    }

    fn take_breakers(&self, board: &BreakerBoard) -> Vec<BreakerUse> {
        let mut counted = self.breakers.borrow_mut();
        let breakers = counted.iter_mut().zip(board.states());
        breakers.map(|(counted, state)| BreakerUse { state, ..std::mem::take(counted) }).collect()
    }
}
