//! The permit of an attempt: what it acquires before it is sent, and what it releases and teaches
//! afterwards.
//!
//! `attempt` calls `acquire` until it succeeds, waits in between, and calls `release` once.
//! Invariant: what [`ResilienceState::acquire`] takes, [`ResilienceState::release`] gives back,
//! once.

use super::orders::{record_breaker_change, record_change};
use super::state::ResilienceState;
use crate::clock::{self, Time};
use crate::engine::call::prepared::PreparedCall;
use crate::engine::shard::Shard;
use crate::engine::users::user::User;
use crate::ids::{PoolId, ServiceId};
use crate::protocol::status;
use crate::resilience::{BreakerPermit, ConnectDecision};
use crate::stats::{
    AttemptOutcome, AttemptPhase, BlockCause, Change, ChangeCause, ChangeSubject, Exchange,
};
use crate::wire::ConnectionSlot;
use crate::wire::pool::{self, AcquireError};

/// The resources that an attempt has acquired so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AttemptPermit {
    /// Where the attempt goes: the call's service, or one of its backends.
    to: ServiceId,
    /// How many rate limits have given it a slot.
    limit_slots: u8,
    /// Whether the user's connection slot belongs to a pool.
    leased: bool,
    /// Whether the attempt is the probe of a service that takes no connections.
    probes_connect: bool,
    /// The permit of the breakers.
    breakers: BreakerPermit,
}

/// An attempt that was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CompletedAttempt<'a> {
    /// How the attempt ended.
    pub(crate) exchange: &'a Exchange,
    /// When the attempt began. Its deadline counts from then on, over its hedge and redirects, so
    /// its time does, too.
    pub(crate) begun: Time,
    /// Deadline of the attempt, ns after `begun`.
    pub(crate) limit_ns: u64,
}

/// Why an attempt is not sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AdmissionDelay {
    /// The attempt may go on at this time.
    Until(Time, BlockCause),
    /// The attempt waits for a connection of this pool.
    WaitForConnection(PoolId),
    /// The attempt is never sent.
    Suppress(BlockCause),
}

impl AttemptPermit {
    /// The permit of an attempt that has acquired nothing yet.
    pub(crate) fn to(service: ServiceId) -> Self {
        Self { to: service, ..Self::default() }
    }

    /// Whether the attempt is the probe of a breaker.
    pub(crate) fn is_probe(self) -> bool {
        self.breakers.is_probe()
    }
}

impl AdmissionDelay {
    /// The policy that causes the delay.
    pub(crate) fn cause(self) -> BlockCause {
        match self {
            Self::Until(_, cause) | Self::Suppress(cause) => cause,
            Self::WaitForConnection(_) => BlockCause::Pool,
        }
    }
}

impl ResilienceState {
    /// Acquires what the attempt still needs: a slot at each rate limit, a connection of its pool,
    /// the connect gate of its service, and last the permit of the breakers, which would be old
    /// after a wait.
    ///
    /// # Errors
    /// The delay after which it is to be called again.
    pub(crate) fn acquire(
        &self,
        shard: &Shard,
        user: &mut User,
        prepared: &PreparedCall,
        permit: &mut AttemptPermit,
        now: Time,
    ) -> Result<(), AdmissionDelay> {
        let (service, endpoint, to) = (prepared.call.service, prepared.endpoint, permit.to);
        if permit.limit_slots == 0
            && let Some(at) = shard.shared.board.refusing_breaker(endpoint, service, now)
        {
            // An attempt that will be refused must not use up a slot of a rate limit.
            self.count_refusal(at);
            return Err(AdmissionDelay::Suppress(BlockCause::Breaker));
        }
        let now_ns = now.since(self.start);
        let shared = shard.shared.limits.applicable(user.number, service, endpoint);
        let own = user.limiter.as_deref();
        for limiter in
            [own, shared[0], shared[1], shared[2]].into_iter().skip(permit.limit_slots.into())
        {
            permit.limit_slots += 1;
            match limiter.map(|limiter| limiter.reserve(now_ns, self.limit_wait_ns)) {
                Some(Some(slot_ns)) if slot_ns > now_ns => {
                    return Err(AdmissionDelay::Until(
                        self.start.after(slot_ns),
                        BlockCause::Limit,
                    ));
                }
                Some(None) => return Err(AdmissionDelay::Suppress(BlockCause::Limit)),
                Some(Some(_)) | None => {}
            }
        }
        if !permit.leased && prepared.call.transaction.is_some() {
            permit.leased = user.take_kept_lease();
        }
        // A user behind an emulated link shares no connections.
        if !permit.leased
            && !user.has_emulated_link()
            && let Some(pool) = self.pool_of(prepared)
        {
            let slot = pool.lease(to, &shard.wire, now);
            let id = prepared.pool.unwrap_or_default();
            user.use_leased(to, slot.ok_or(AdmissionDelay::WaitForConnection(id))?);
            permit.leased = true;
        }
        let slot = &mut user.slots[to];
        if slot.is_open() && slot.opened() < self.refreshed.borrow()[to.index()] {
            slot.close();
        }
        if !permit.probes_connect
            && let Some(gate) = self.gates.borrow_mut().get_mut(to.index())
            && !gate.is_open()
        {
            // When a target dies, all its connections do: each user would try to connect once.
            shard.wire.drop_if_dead(slot);
            match if slot.is_open() { ConnectDecision::Open } else { gate.decide(now) } {
                ConnectDecision::Open => {}
                ConnectDecision::Probe => permit.probes_connect = true,
                ConnectDecision::Wait(at) => {
                    // An attempt that waits for a gate must not keep a pooled connection from
                    // others.
                    if std::mem::take(&mut permit.leased)
                        && let Some(pool) = self.pool_of(prepared)
                    {
                        let slot = user.return_leased(to, &shard.wire);
                        pool.give_back(to, slot, &shard.wire, false, now);
                    }
                    return Err(AdmissionDelay::Until(at, BlockCause::Connect));
                }
            }
        }
        let record = |changed| record_breaker_change(shard, changed, None, now);
        let breakers = shard.shared.board.admit(endpoint, service, now, record);
        permit.breakers = breakers.map_err(|at| {
            self.count_refusal(at);
            AdmissionDelay::Suppress(BlockCause::Breaker)
        })?;
        Ok(())
    }

    /// Takes a slot at each rate limit if none makes the attempt wait; `false` if one does. Slots
    /// that were taken before a wider limit refuses are lost, as for any attempt.
    pub(crate) fn try_limits(
        &self,
        shard: &Shard,
        user: &User,
        prepared: &PreparedCall,
        now: Time,
    ) -> bool {
        let now_ns = now.since(self.start);
        let place = (prepared.call.service, prepared.endpoint);
        let shared = shard.shared.limits.applicable(user.number, place.0, place.1);
        let mut all = user.limiter.as_deref().into_iter().chain(shared.into_iter().flatten());
        all.all(|limiter| limiter.reserve(now_ns, 0).is_some())
    }

    /// Waits as `delay` says.
    ///
    /// # Errors
    /// The outcome of the call if the wait ends it.
    pub(crate) async fn wait(
        &self,
        user: &mut User,
        prepared: &PreparedCall,
        permit: &mut AttemptPermit,
        delay: AdmissionDelay,
        (now, picked_up): (Time, Time),
    ) -> Result<(), AttemptOutcome> {
        // Never sent, because the run is over.
        const CANCELLED: AttemptOutcome = AttemptOutcome::Unfinished(AttemptPhase::Connect);
        match delay {
            AdmissionDelay::Suppress(cause) => Err(AttemptOutcome::Suppressed(cause)),
            AdmissionDelay::Until(at, cause) => {
                // An attempt waits for a dead service as long as it would have waited for a
                // response.
                let longest = picked_up.after(prepared.timeout_ns);
                let until = if cause == BlockCause::Connect { at.min(longest) } else { at };
                user.deadline.pause_until(until).await.map_err(|_| CANCELLED)?;
                let too_long = cause == BlockCause::Connect && until == longest;
                if too_long { Err(AttemptOutcome::Suppressed(cause)) } else { Ok(()) }
            }
            AdmissionDelay::WaitForConnection(id) => {
                let Some(pool) = &self.pools[id] else { return Ok(()) };
                match pool.wait(permit.to, &user.deadline, now).await {
                    Ok(slot) => {
                        user.use_leased(permit.to, slot);
                        permit.leased = true;
                        Ok(())
                    }
                    Err(AcquireError::Timeout) => Err(AttemptOutcome::Suppressed(BlockCause::Pool)),
                    Err(AcquireError::Cancelled) => Err(CANCELLED),
                }
            }
        }
    }

    /// Gives back what the attempt acquired, and lets the policies learn from it. `made` is `None`
    /// if it was not made.
    pub(crate) fn release(
        &self,
        shard: &Shard,
        user: &mut User,
        prepared: &PreparedCall,
        permit: AttemptPermit,
        made: Option<CompletedAttempt<'_>>,
        now: Time,
    ) {
        let place = (prepared.endpoint, prepared.call.service);
        let outcome = made.map(|made| made.exchange.outcome);
        match outcome {
            None => shard.shared.board.give_back(place.0, place.1, permit.breakers, now),
            Some(outcome) => {
                let record = |changed| record_breaker_change(shard, changed, Some(outcome), now);
                shard.shared.board.report(place, permit.breakers, outcome, now, record);
            }
        }
        // Times of a user behind an emulated link are its own; a target that rejects a request has
        // not worked on it.
        if let Some(CompletedAttempt { exchange, begun, limit_ns }) = made
            && !user.has_emulated_link()
            && let Some(times) = self.times.borrow_mut().get_mut(prepared.endpoint.index())
        {
            match exchange.outcome {
                AttemptOutcome::Responded(status)
                    if matches!(status::as_http(status), 429 | 500..) => {}
                AttemptOutcome::Responded(_) => times.record_response(exchange.done.since(begun)),
                AttemptOutcome::Timeout(_) => times.record_timeout(limit_ns),
                _ => {}
            }
        }
        self.observe_connect(shard, permit, made.map(|made| made.exchange), now);
        let is_kept = permit.leased && prepared.call.transaction.is_some();
        if is_kept && user.keep_lease(permit.to) {
            // The transaction that is open on the connection goes on.
        } else if permit.leased
            && let Some(pool) = self.pool_of(prepared)
        {
            let slot = user.return_leased(permit.to, &shard.wire);
            let failed = outcome.is_some_and(|outcome| self.failures.matches(outcome));
            pool.give_back(permit.to, slot, &shard.wire, failed, now);
        } else if let Some(id) = prepared.pool {
            pool::retire(&mut user.slots[permit.to], &shard.plan.policies.pools[id], now);
        }
    }

    /// Gives back a pool's slot that a transaction kept.
    pub(crate) fn give_back_lease(
        &self,
        shard: &Shard,
        prepared: &PreparedCall,
        slot: ConnectionSlot,
    ) {
        if let Some(pool) = self.pool_of(prepared) {
            pool.give_back(prepared.call.service, slot, &shard.wire, false, clock::now());
        }
    }

    /// Lets the connect gate of a service learn from an attempt.
    fn observe_connect(
        &self,
        shard: &Shard,
        permit: AttemptPermit,
        exchange: Option<&Exchange>,
        now: Time,
    ) {
        let service = permit.to;
        let mut gates = self.gates.borrow_mut();
        let Some(gate) = gates.get_mut(service.index()) else { return };
        let accepts = exchange.and_then(|one| accepts_connections(one, permit.probes_connect));
        let (is_change, accepts) = match accepts {
            Some(false) => (gate.report_failed(now, &mut self.rng.borrow_mut()), false),
            Some(true) => (gate.report_connected(), true),
            None if permit.probes_connect => {
                gate.probe_cancelled();
                return;
            }
            None => return,
        };
        let outcome = exchange.map(|exchange| exchange.outcome);
        if let Some(outcome) = outcome.filter(|_| is_change) {
            let cause = match outcome {
                AttemptOutcome::Responded(_) => ChangeCause::Connected,
                outcome => ChangeCause::Attempt { outcome },
            };
            let subject = ChangeSubject::Service(shard.plan.services[service].name.clone());
            record_change(shard, subject, Change::Connect { accepts }, cause, now);
        }
    }
}

/// Whether a service takes connections, by an attempt. `None` if the attempt does not tell: it was
/// cancelled before, failed by a generator error, or needed no connection.
fn accepts_connections(exchange: &Exchange, is_probe: bool) -> Option<bool> {
    match exchange.outcome {
        AttemptOutcome::Failed(phase, _) | AttemptOutcome::Timeout(phase) if phase.opens() => {
            Some(false)
        }
        _ if exchange.connect.is_some_and(|connect| connect.open) => Some(true),
        // The probe needed a connection, and came further.
        AttemptOutcome::Responded(_) | AttemptOutcome::Failed(..) | AttemptOutcome::Timeout(_) => {
            is_probe.then_some(true)
        }
        AttemptOutcome::Done
        | AttemptOutcome::Unfinished(_)
        | AttemptOutcome::Own(_)
        | AttemptOutcome::Suppressed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::call::timing::unsent;
    use crate::stats::sample::ConnectTimings;
    use crate::stats::{FailureKind, GeneratorError};

    #[test]
    fn cancelled_attempt_does_not_open_connect_gate() {
        let (refused, hung) = (
            AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Refused),
            AttemptOutcome::Timeout(AttemptPhase::Connect),
        );
        for (outcome, tried, seen) in [
            (refused, Some(false), Some(false)),
            (hung, Some(false), Some(false)),
            (AttemptOutcome::Responded(200), Some(true), None),
            (AttemptOutcome::Timeout(AttemptPhase::FirstByte), Some(true), None),
            (AttemptOutcome::Unfinished(AttemptPhase::Connect), None, None),
            (AttemptOutcome::Own(GeneratorError::NoDescriptor), None, None),
        ] {
            let exchange = unsent(outcome, Time(0));
            assert_eq!(accepts_connections(&exchange, true), tried, "{outcome}, who is_probe");
            assert_eq!(accepts_connections(&exchange, false), seen, "{outcome}, who does not");
        }
        let open = Some(ConnectTimings { open: true, ..ConnectTimings::default() });
        let cut = unsent(AttemptOutcome::Unfinished(AttemptPhase::FirstByte), Time(0));
        assert_eq!(accepts_connections(&Exchange { connect: open, ..cut }, false), Some(true));
    }
}
