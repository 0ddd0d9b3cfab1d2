//! Rule L: until when, and up to which time of the schedule, an agent may send load.
//!
//! `agent` renews it with each heartbeat that succeeded; the engine's dispatch asks it for each
//! arrival, before anything is sent.
//! Invariant: an arrival that was intended at t is dispatched at the local time `now` only if a
//! heartbeat succeeded that was issued later than max(t, now) − F, and t is below the horizon that
//! this heartbeat wrote on the bus.
//!
//! The horizon is what makes the rule safe without clocks. The research bounded t by the agent's
//! local clock alone: the coordinator then has to wait out F on its own clock before it gives the
//! slots to others, and an agent whose estimate of the start is wrong sends arrivals that belong to
//! others. Here an agent writes the bound itself, as a number of the schedule, in the transaction
//! that also reads the control record. A change of slots takes effect at or beyond the bounds of
//! all agents that lose slots, which the bus compares when it accepts the change. Whatever the
//! clocks do, pauses included, no index then has two senders. The local time `now` in the rule
//! is left with two purposes: load ends within F after the control plane is gone, and what became
//! due during a pause is not sent in a burst.

use crate::clock::{RunOffset, Time};

/// What the heartbeats of an agent permit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lease {
    grant: Option<Grant>,
}

/// What one heartbeat permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Arrivals intended before are not sent: they became due while there was no lease.
    pub since: RunOffset,
    /// Arrivals intended at or after are not sent yet.
    pub horizon: RunOffset,
    /// When it ends, on the local clock.
    pub until: Time,
}

impl Lease {
    /// Takes a heartbeat that succeeded: issued at `issued`, which was `schedule` on the schedule.
    /// It permits load until the local time `until`, of arrivals intended before `horizon`.
    pub fn renew(&mut self, issued: Time, schedule: RunOffset, horizon: RunOffset, until: Time) {
        let since = match self.grant {
            Some(grant) if issued < grant.until => grant.since,
            _ => schedule,
        };
        self.grant = Some(Grant { since, horizon, until });
    }

    /// Ends it at once.
    pub fn end(&mut self) {
        self.grant = None;
    }

    /// Whether an arrival intended at `intended` may be dispatched now.
    pub fn permits(&self, now: Time, intended: RunOffset) -> bool {
        self.grant.is_some_and(|grant| {
            now < grant.until && grant.since <= intended && intended < grant.horizon
        })
    }

    /// What the latest heartbeat permits; `None` before the first, and after the end.
    pub fn grant(&self) -> Option<Grant> {
        self.grant
    }

    /// The bound of the schedule that the latest heartbeat set; zero if there is none.
    pub fn horizon(&self) -> RunOffset {
        self.grant.map_or(RunOffset::ZERO, |grant| grant.horizon)
    }

    /// Until when load may be sent, on the local clock.
    pub fn until(&self) -> Option<Time> {
        self.grant.map(|grant| grant.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lease_ends_on_both_clocks_and_skips_what_became_due_without_one() {
        let offset = RunOffset::from_ns;
        let mut lease = Lease::default();
        assert!(!lease.permits(Time(1_000), offset(0)));
        lease.renew(Time(1_000), offset(0), offset(50), Time(1_050));
        assert!(lease.permits(Time(1_049), offset(49)));
        assert!(!lease.permits(Time(1_050), offset(49)), "the local clock");
        assert!(!lease.permits(Time(1_010), offset(50)), "the schedule");
        // Renewed in time: what is late may still be sent.
        lease.renew(Time(1_040), offset(40), offset(90), Time(1_090));
        assert!(lease.permits(Time(1_041), offset(3)));
        // Renewed too late.
        lease.renew(Time(1_200), offset(200), offset(250), Time(1_250));
        assert!(!lease.permits(Time(1_201), offset(199)));
        assert!(lease.permits(Time(1_201), offset(200)));
        lease.end();
        assert!(!lease.permits(Time(1_201), offset(200)));
    }
}
