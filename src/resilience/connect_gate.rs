//! Connect backoff: while a service accepts no connections, one attempt probes it and the others
//! wait.
//!
//! `engine::resilience` keeps one for each service of a shard and asks before a connection is
//! opened.
//! Invariant: while the service fails, at most one connection is attempted at a time, and not
//! before the wait since the last failure is over.

use super::backoff;
use crate::clock::Time;
use crate::plan::policy::BackoffPolicy;
use crate::seed::Rng;

/// How often waiting calls check whether the probe has connected, ns.
const CHECK_NS: u64 = 100_000_000;

/// The connect gate of a service.
#[derive(Clone, Debug)]
pub struct ConnectBackoffGate {
    backoff: BackoffPolicy,
    failures: u32,
    not_before: Time,
    /// Whether a probe is running.
    is_probing: bool,
}

/// The decision on a call that needs a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectDecision {
    /// Open a connection.
    Open,
    /// Open a connection; its result decides for the others.
    Probe,
    /// Ask again at this time.
    Wait(Time),
}

impl ConnectBackoffGate {
    /// Creates an open gate.
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { backoff: policy, failures: 0, not_before: Time(0), is_probing: false }
    }

    /// Whether the service accepts connections, as far as known.
    pub fn is_open(&self) -> bool {
        self.failures == 0
    }

    /// Decides whether a connection may be opened.
    pub fn decide(&mut self, now: Time) -> ConnectDecision {
        if self.failures == 0 {
            return ConnectDecision::Open;
        }
        if now < self.not_before {
            return ConnectDecision::Wait(self.not_before);
        }
        if self.is_probing {
            return ConnectDecision::Wait(now.after(CHECK_NS));
        }
        self.is_probing = true;
        ConnectDecision::Probe
    }

    /// Reports an opened connection; returns true if the gate was closed.
    pub fn opened(&mut self) -> bool {
        self.is_probing = false;
        std::mem::take(&mut self.failures) > 0
    }

    /// Reports a failure to connect; returns true if the gate was open. Attempts that started
    /// together fail together: only a probe's failure makes the wait longer.
    pub fn failed(&mut self, now: Time, rng: &mut Rng) -> bool {
        let first = self.failures == 0;
        if first || self.is_probing {
            self.failures = self.failures.saturating_add(1);
            self.not_before = now.after(backoff::wait_ns(&self.backoff, self.failures, rng));
        }
        self.is_probing = false;
        first
    }

    /// Reports a probe that was cancelled: its result is unknown.
    pub fn probe_cancelled(&mut self) {
        self.is_probing = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    const MS: u64 = 1_000_000;

    #[test]
    fn one_call_probes_and_the_others_wait() {
        let mut rng = Seed::new(1).unwrap().rng(Stream::Caution, 0, 0);
        let mut gate =
            ConnectBackoffGate::new(BackoffPolicy { jitter: false, ..BackoffPolicy::default() });
        let at = |ms: u64| Time(ms * MS);
        assert_eq!([gate.decide(at(0)), gate.decide(at(0))], [ConnectDecision::Open; 2]);
        // Both were permitted, both fail: that counts as one failure.
        assert!(gate.failed(at(1), &mut rng));
        assert!(!gate.failed(at(1), &mut rng));
        assert_eq!(gate.decide(at(2)), ConnectDecision::Wait(at(101)));
        // Then one probes, the others check again.
        assert_eq!(gate.decide(at(101)), ConnectDecision::Probe);
        assert_eq!(gate.decide(at(101)), ConnectDecision::Wait(at(201)));
        assert!(!gate.failed(at(110), &mut rng));
        assert_eq!(gate.decide(at(150)), ConnectDecision::Wait(at(310)));
        // A cancelled probe leaves its place to the next.
        assert_eq!(gate.decide(at(310)), ConnectDecision::Probe);
        gate.probe_cancelled();
        assert_eq!(gate.decide(at(311)), ConnectDecision::Probe);
        assert!(gate.opened());
        assert!(!gate.opened());
        assert_eq!(gate.decide(at(312)), ConnectDecision::Open);
    }

    #[test]
    fn dead_service_is_probed_a_few_times_a_minute() {
        let mut rng = Seed::new(1).unwrap().rng(Stream::Caution, 0, 0);
        let mut gate =
            ConnectBackoffGate::new(BackoffPolicy { jitter: false, ..BackoffPolicy::default() });
        gate.failed(Time(0), &mut rng);
        let mut tries = 0;
        for ms in 1..60_000 {
            if gate.decide(Time(ms * MS)) == ConnectDecision::Probe {
                tries += 1;
                gate.failed(Time(ms * MS), &mut rng);
            }
        }
        // 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7 s, then each 10 s.
        assert_eq!(tries, 11);
    }
}
