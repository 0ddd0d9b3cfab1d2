//! An attempt's way to the wire and back: what lets it in, and what it leaves behind.
//!
//! `attempt` takes it through, and waits where it is told to.
//! Invariant: each thing that [`Caution::enter`] takes is given back by [`Caution::leave`], once.

use super::ResilienceState;
use crate::clock::Time;
use crate::engine::prepared::PreparedCall;
use crate::engine::shard::Shard;
use crate::engine::user::User;
use crate::resilience::board::BreakerTransition;
use crate::resilience::{BreakerPermit, ConnectDecision};
use crate::stats::{AttemptOutcome, AttemptPhase, BlockCause, ChangeKind, Exchange, StateChange};
use crate::wire::pool::{self, AcquireError};

/// How far an attempt has come towards being sent.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct AttemptPermit {
    /// So many limits have given it a turn.
    limit_slots: u8,
    /// The user's line is lent by a pool.
    leased: bool,
    /// It tries a door for all.
    probes_connect: bool,
    /// Its leave from the breakers.
    breakers: BreakerPermit,
}

/// An attempt that was made.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct CompletedAttempt<'a> {
    /// How it ended.
    pub(in crate::engine) exchange: &'a Exchange,
    /// When it began. Its deadline runs from then on, over its hedge and redirects, so what it
    /// took is counted from then on, too.
    pub(in crate::engine) begun: Time,
    /// How long it might take, ns.
    pub(in crate::engine) limit_ns: u64,
}

/// Why an attempt is not sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum AdmissionDelay {
    /// It may go on then.
    Until(Time, BlockCause),
    /// It waits for a line of this pool.
    WaitForConnection(usize),
    /// It is not sent at all.
    Suppress(BlockCause),
}

impl AttemptPermit {
    /// Whether it is a breaker's probe: one was promised, not two.
    pub(in crate::engine) fn is_probe(self) -> bool {
        self.breakers.is_probe()
    }
}

impl AdmissionDelay {
    /// What holds it.
    pub(in crate::engine) fn cause(self) -> BlockCause {
        match self {
            Self::Until(_, cause) | Self::Suppress(cause) => cause,
            Self::WaitForConnection(_) => BlockCause::Pool,
        }
    }
}

impl ResilienceState {
    /// Goes on towards sending: a turn at each limit, a line of its pool, the door of its service,
    /// and last the leave of the breakers, since what they said before a wait is old after it.
    pub(in crate::engine) fn acquire(
        &self,
        shard: &Shard,
        user: &mut User,
        prepared: &PreparedCall,
        entry: &mut AttemptPermit,
        now: Time,
    ) -> Result<(), AdmissionDelay> {
        let (service, endpoint) = (prepared.call.service, prepared.endpoint);
        if entry.limit_slots == 0
            && let Some(at) = shard.shared.board.refusing_breaker(endpoint, service, now)
        {
            // Nobody takes a turn that it has no use for.
            self.refused(at);
            return Err(AdmissionDelay::Suppress(BlockCause::Breaker));
        }
        let now_ns = now.since(self.start);
        let shared = shard.shared.limits.of(user.number, service, endpoint);
        let own = user.limiter.as_deref();
        for limiter in
            [own, shared[0], shared[1], shared[2]].into_iter().skip(entry.limit_slots.into())
        {
            entry.limit_slots += 1;
            match limiter.map(|limiter| limiter.reserve(now_ns, self.limit_wait_ns)) {
                Some(Some(turn)) if turn > now_ns => {
                    return Err(AdmissionDelay::Until(self.start.after(turn), BlockCause::Limit));
                }
                Some(None) => return Err(AdmissionDelay::Suppress(BlockCause::Limit)),
                Some(Some(_)) | None => {}
            }
        }
        // A phone shares no connections with its neighbours.
        if !entry.leased
            && !user.has_emulated_link()
            && let Some(pool) = self.pool_of(prepared)
        {
            let line = pool.lease(service, &shard.wire, now);
            user.slots[service] =
                line.ok_or(AdmissionDelay::WaitForConnection(prepared.pool.unwrap_or_default()))?;
            entry.leased = true;
        }
        let line = &mut user.slots[service];
        if line.is_open() && line.opened() < self.refreshed.borrow()[service] {
            line.close();
        }
        if !entry.probes_connect
            && let Some(gate) = self.gates.borrow_mut().get_mut(service)
            && !gate.is_open()
        {
            // When a target dies all its connections do: each user would knock once.
            shard.wire.drop_if_dead(line);
            match if line.is_open() { ConnectDecision::Open } else { gate.decide(now) } {
                ConnectDecision::Open => {}
                ConnectDecision::Probe => entry.probes_connect = true,
                ConnectDecision::Wait(at) => {
                    // Who waits at a door keeps no line from those who go elsewhere.
                    if std::mem::take(&mut entry.leased)
                        && let Some(pool) = self.pool_of(prepared)
                    {
                        let line = std::mem::replace(line, shard.wire.slot());
                        pool.give_back(service, line, &shard.wire, false, now);
                    }
                    return Err(AdmissionDelay::Until(at, BlockCause::Connect));
                }
            }
        }
        let told = |changed| shard.record_breaker_change(changed, None, now);
        let pass = shard.shared.board.admit(endpoint, service, now, told);
        entry.breakers = pass.map_err(|at| {
            self.refused(at);
            AdmissionDelay::Suppress(BlockCause::Breaker)
        })?;
        Ok(())
    }

    /// Whether each limit has a turn for another attempt at once: none waits for one. Those are
    /// taken then; one that a wider limit refuses is lost, as it is to any attempt.
    pub(in crate::engine) fn try_limits(
        &self,
        shard: &Shard,
        user: &User,
        prepared: &PreparedCall,
        now: Time,
    ) -> bool {
        let now_ns = now.since(self.start);
        let place = (prepared.call.service, prepared.endpoint);
        let shared = shard.shared.limits.of(user.number, place.0, place.1);
        let mut all = user.limiter.as_deref().into_iter().chain(shared.into_iter().flatten());
        all.all(|limiter| limiter.reserve(now_ns, 0).is_some())
    }

    /// Waits as `hold` says; the wait is blocked time, by cause.
    ///
    /// # Errors
    /// How the call ends instead.
    pub(in crate::engine) async fn wait(
        &self,
        user: &mut User,
        prepared: &PreparedCall,
        entry: &mut AttemptPermit,
        hold: AdmissionDelay,
        (now, picked_up): (Time, Time),
    ) -> Result<(), AttemptOutcome> {
        // Never sent, and the run is over.
        const CUT: AttemptOutcome = AttemptOutcome::Unfinished(AttemptPhase::Connect);
        match hold {
            AdmissionDelay::Suppress(cause) => Err(AttemptOutcome::Suppressed(cause)),
            AdmissionDelay::Until(at, cause) => {
                // Who waits for a dead service gives up when it would have had no answer.
                let patience = picked_up.after(prepared.timeout_ns);
                let until = if cause == BlockCause::Connect { at.min(patience) } else { at };
                user.deadline.pause_until(until).await.map_err(|_| CUT)?;
                let too_long = cause == BlockCause::Connect && until == patience;
                if too_long { Err(AttemptOutcome::Suppressed(cause)) } else { Ok(()) }
            }
            AdmissionDelay::WaitForConnection(at) => {
                let Some(pool) = &self.pools[at] else { return Ok(()) };
                match pool.wait(prepared.call.service, &user.deadline, now).await {
                    Ok(line) => {
                        user.slots[prepared.call.service] = line;
                        entry.leased = true;
                        Ok(())
                    }
                    Err(AcquireError::TooLong) => Err(AttemptOutcome::Suppressed(BlockCause::Pool)),
                    Err(AcquireError::Cut) => Err(CUT),
                }
            }
        }
    }

    /// An attempt has ended that was let in; or it was not made, where there is no exchange.
    pub(in crate::engine) fn release(
        &self,
        shard: &Shard,
        user: &mut User,
        prepared: &PreparedCall,
        entry: AttemptPermit,
        made: Option<CompletedAttempt<'_>>,
        now: Time,
    ) {
        let place = (prepared.endpoint, prepared.call.service);
        let outcome = made.map(|made| made.exchange.outcome);
        match outcome {
            None => shard.shared.board.give_back(place.0, place.1, entry.breakers, now),
            Some(outcome) => {
                let told = |changed| shard.record_breaker_change(changed, Some(outcome), now);
                shard.shared.board.report(place, entry.breakers, outcome, now, told);
            }
        }
        // Who is far away has times of its own; what a target turns away it has not worked on.
        if let Some(CompletedAttempt { exchange, begun, limit_ns }) = made
            && !user.has_emulated_link()
            && let Some(times) = self.times.borrow_mut().get_mut(prepared.endpoint)
        {
            match exchange.outcome {
                AttemptOutcome::Responded(429 | 500..) => {}
                AttemptOutcome::Responded(_) => times.answered(exchange.done.since(begun)),
                AttemptOutcome::Timeout(_) => times.timed_out(limit_ns),
                _ => {}
            }
        }
        self.observe_connect(shard, place.1, entry, made.map(|made| made.exchange), now);
        let line = &mut user.slots[place.1];
        if entry.leased
            && let Some(pool) = self.pool_of(prepared)
        {
            let line = std::mem::replace(line, shard.wire.slot());
            let failed = outcome.is_some_and(|outcome| self.failures.matches(outcome));
            pool.give_back(place.1, line, &shard.wire, failed, now);
        } else if let Some(at) = prepared.pool {
            pool::retire(line, &shard.plan.policies.pools[at], now);
        }
    }

    /// What an attempt tells about whether its service takes connections.
    fn observe_connect(
        &self,
        shard: &Shard,
        service: usize,
        entry: AttemptPermit,
        exchange: Option<&Exchange>,
        now: Time,
    ) {
        let mut gates = self.gates.borrow_mut();
        let Some(gate) = gates.get_mut(service) else { return };
        let (news, change) = match exchange
            .and_then(|exchange| accepts_connections(exchange, entry.probes_connect))
        {
            Some(false) => (gate.failed(now, &mut self.rng.borrow_mut()), "takes no connections"),
            Some(true) => (gate.opened(), "takes connections again"),
            None if entry.probes_connect => {
                gate.probe_cancelled();
                return;
            }
            None => return,
        };
        if news {
            let cause = match exchange.map(|exchange| exchange.outcome) {
                Some(AttemptOutcome::Responded(_)) => "a connection was opened".to_owned(),
                Some(outcome) => outcome.to_string(),
                None => String::new(),
            };
            let subject = format!("service {}", shard.plan.services[service].name);
            shard.notice(ChangeKind::Connect, &subject, change, cause, now);
        }
    }
}

/// Whether a service takes connections, as far as an attempt tells; none: it was cut before that,
/// could not be made for want of something of ours, or needed no connection.
fn accepts_connections(exchange: &Exchange, tries: bool) -> Option<bool> {
    match exchange.outcome {
        AttemptOutcome::Failed(phase, _) | AttemptOutcome::Timeout(phase) if phase.opens() => {
            Some(false)
        }
        _ if exchange.connect.is_some_and(|opening| opening.open) => Some(true),
        // It needed one, and came further.
        AttemptOutcome::Responded(_) | AttemptOutcome::Failed(..) | AttemptOutcome::Timeout(_) => {
            tries.then_some(true)
        }
        AttemptOutcome::Unfinished(_) | AttemptOutcome::Own(_) | AttemptOutcome::Suppressed(_) => {
            None
        }
    }
}

impl Shard {
    /// A breaker has changed its state; `outcome` is what the last attempt came to.
    pub(in crate::engine) fn record_breaker_change(
        &self,
        (at, change): BreakerTransition,
        outcome: Option<AttemptOutcome>,
        now: Time,
    ) {
        let change_text = format!("{} → {}", change.from.name(), change.to.name());
        let cause = match outcome {
            Some(outcome) => format!("{}; the last: {outcome}", change.why),
            None => change.why.to_string(),
        };
        self.resilience.changed(at, change.to);
        self.notice(ChangeKind::Breaker, &self.shared.names[at], &change_text, cause, now);
    }

    /// Something changed, and why.
    pub(in crate::engine) fn notice(
        &self,
        topic: ChangeKind,
        subject: &str,
        change: &str,
        cause: String,
        now: Time,
    ) {
        self.recorder.borrow_mut().notice(StateChange {
            at_ns: now.since(self.start),
            kind: topic,
            subject: subject.to_owned(),
            change: change.to_owned(),
            cause,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::conclude::unsent;
    use crate::stats::sample::ConnectTimings;
    use crate::stats::{FailureKind, GeneratorError};

    #[test]
    fn who_is_cut_at_a_door_has_not_seen_it_open() {
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
            assert_eq!(accepts_connections(&exchange, true), tried, "{outcome}, who tries");
            assert_eq!(accepts_connections(&exchange, false), seen, "{outcome}, who does not");
        }
        let open = Some(ConnectTimings { open: true, ..ConnectTimings::default() });
        let cut = unsent(AttemptOutcome::Unfinished(AttemptPhase::FirstByte), Time(0));
        assert_eq!(accepts_connections(&Exchange { connect: open, ..cut }, false), Some(true));
    }
}
