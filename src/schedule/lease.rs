//! When a lease is renewed, and when a run that cannot renew it has to end.
//!
//! `execution` asks it while a run goes on.
//! Invariant: by this machine's own clock a run is ended before its lease ends at the store: a
//! lease counts from the moment before its request was sent.

use std::time::Duration;

use crate::clock::Time;
use crate::units::nanos;

/// The shortest time from one attempt to renew to the next: a tenth of the lease, at most this.
const RETRY: Duration = Duration::from_secs(1);

/// The lease of a claim.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseKeeper {
    /// How long it lasts, ns; `None`: as long as its process.
    lease: Option<u64>,
    renewed: Time,
    tried: Time,
    is_lost: bool,
}

/// What a lease permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LeaseState {
    /// The run may go on.
    Valid,
    /// The run is to end by itself: two thirds of the lease passed without a renewal.
    Ending,
    /// The run is to be killed.
    Over,
}

impl LeaseKeeper {
    /// A lease that was requested at this time.
    pub(super) fn new(lease: Option<Duration>, requested: Time) -> Self {
        Self { lease: lease.map(nanos), renewed: requested, tried: requested, is_lost: false }
    }

    /// Whether it is time to renew it: each third of it, and again soon after a failure.
    pub(super) fn is_due(&self, now: Time) -> bool {
        let Some(lease) = self.lease else { return false };
        let retry = (lease / 10).min(nanos(RETRY));
        !self.is_lost && now >= self.renewed.after(lease / 3) && now >= self.tried.after(retry)
    }

    /// Notes an attempt to renew it that was sent at this time; `None`: no answer.
    pub(super) fn answered(&mut self, sent: Time, is_held: Option<bool>) {
        self.tried = sent;
        match is_held {
            Some(true) => self.renewed = sent,
            Some(false) => self.is_lost = true,
            None => {}
        }
    }

    /// Whether it lasts as long as its process.
    pub(super) fn is_of_process(&self) -> bool {
        self.lease.is_none()
    }

    /// What the lease permits now.
    pub(super) fn state(&self, now: Time) -> LeaseState {
        let Some(lease) = self.lease else { return LeaseState::Valid };
        let age = now.since(self.renewed);
        match () {
            () if self.is_lost || age >= lease / 6 * 5 => LeaseState::Over,
            () if age >= lease / 3 * 2 => LeaseState::Ending,
            () => LeaseState::Valid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn lease_is_renewed_each_third_and_over_before_its_end() {
        let mut lease = LeaseKeeper::new(Some(Duration::from_secs(30)), Time(0));
        assert!(!lease.is_due(Time(9 * S)) && lease.is_due(Time(10 * S)));
        lease.answered(Time(10 * S), Some(true));
        assert!(!lease.is_due(Time(19 * S)) && lease.is_due(Time(20 * S)));
        lease.answered(Time(20 * S), None);
        assert!(!lease.is_due(Time(20 * S + S / 2)) && lease.is_due(Time(21 * S)));
        assert_eq!(lease.state(Time(29 * S)), LeaseState::Valid);
        assert_eq!(lease.state(Time(30 * S)), LeaseState::Ending);
        assert_eq!(lease.state(Time(35 * S)), LeaseState::Over, "it ends at 40 s");
        lease.answered(Time(36 * S), Some(true));
        assert_eq!(lease.state(Time(37 * S)), LeaseState::Valid);
        lease.answered(Time(47 * S), Some(false));
        assert_eq!(lease.state(Time(47 * S)), LeaseState::Over);
        assert!(!lease.is_due(Time(100 * S)));
    }

    #[test]
    fn lease_of_a_process_needs_no_renewal() {
        let lease = LeaseKeeper::new(None, Time(0));
        assert!(!lease.is_due(Time(1_000 * S)));
        assert_eq!(lease.state(Time(1_000 * S)), LeaseState::Valid);
    }
}
