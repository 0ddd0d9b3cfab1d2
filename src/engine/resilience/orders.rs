//! Orders of the run to the resilience policies of a shard, and the changes that they cause.
//!
//! `shard_loop` hands on each order; `permit` records what attempts change.
//! Invariant: an order may arrive twice without harm.

use super::state::ResilienceState;
use crate::clock::{RunOffset, Time};
use crate::engine::shard::Shard;
use crate::event::Order;
use crate::ids::ServiceId;
use crate::resilience::StateTransition;
use crate::resilience::board::BreakerTransition;
use crate::stats::{AttemptOutcome, Change, ChangeCause, ChangeSubject, StateChange};
use crate::trace::trace_event;
use crate::wire::Wire;

impl ResilienceState {
    /// Carries out an order.
    pub(crate) fn apply(&self, shard: &Shard, order: &Order) {
        let (wire, now) = (&shard.wire, crate::clock::now());
        match order {
            Order::Breaker(id, switch) => {
                if let Some(change) = shard.shared.board.switch(*id, *switch) {
                    record_breaker_change(shard, (*id, change), None, now);
                }
            }
            Order::Mute(step, muted) => {
                if let Some(mine) = self.muted.borrow_mut().get_mut(step.index()) {
                    *mine = *muted;
                }
                self.passthrough.set(false);
            }
            Order::Level(level) => {
                self.least.set(level.min_priority());
                self.passthrough.set(false);
            }
            Order::Resize(id, size) => {
                if let Some(pool) = &self.pools[*id] {
                    pool.resize(*size, self.segment, wire, now);
                }
            }
            Order::Refresh(service) => {
                match shard.shared.backends.group(*service) {
                    None => self.refresh(wire, *service, now),
                    Some(all) => {
                        (0..all.size()).for_each(|at| self.refresh(wire, all.service(at), now));
                    }
                }
                self.passthrough.set(false);
            }
            Order::BackendHealth(service, backend, is_healthy) => {
                if let Some(all) = shard.shared.backends.group(*service) {
                    all.set_healthy(*backend, *is_healthy, now.since(shard.start));
                }
            }
            Order::BackendWeight(service, backend, weight) => {
                if let Some(all) = shard.shared.backends.group(*service) {
                    all.set_weight(*backend, *weight);
                }
            }
            Order::TrimMemory => {
                self.pools.iter().flatten().for_each(|pool| {
                    pool.close_idle(None);
                });
            }
            // The shard carries these out itself.
            Order::Admit(_) | Order::PauseAdmission(_) => {}
        }
    }
}

impl ResilienceState {
    /// Opens the connections to a service anew.
    fn refresh(&self, wire: &Wire, service: ServiceId, now: Time) {
        wire.forget(service);
        if let Some(refreshed) = self.refreshed.borrow_mut().get_mut(service.index()) {
            *refreshed = now;
        }
        self.pools.iter().flatten().for_each(|pool| {
            pool.close_idle(Some(service));
        });
    }
}

/// Records that a breaker has changed its state; `outcome` is that of the last attempt, `None` if
/// an order changed it.
pub(crate) fn record_breaker_change(
    shard: &Shard,
    (id, transition): BreakerTransition,
    outcome: Option<AttemptOutcome>,
    now: Time,
) {
    let StateTransition { from, to, why } = transition;
    shard.resilience.count_transition(id, to);
    let subject = shard.shared.breakers[id.index()].clone();
    let cause = ChangeCause::Breaker { why, last: outcome };
    record_change(shard, subject, Change::Breaker { from, to }, cause, now);
}

/// Records a change of state and its cause.
pub(crate) fn record_change(
    shard: &Shard,
    subject: ChangeSubject,
    change: Change,
    cause: ChangeCause,
    now: Time,
) {
    trace_event!(INFO, "state changed", subject = subject, change = change, cause = cause);
    let at = RunOffset::of(now, shard.start);
    shard.recorder.borrow_mut().push_change(StateChange { at, subject, change, cause });
}
