//! The door to a service that takes no connections: one tries, the others wait.
//!
//! `engine::caution` keeps one for each service of a shard and asks before a connection is opened.
//! Invariant: while the service fails, at most one connection is tried at a time, and not before
//! the wait since the last failure is over.

use super::backoff;
use crate::clock::Time;
use crate::plan::policy::BackoffPolicy;
use crate::seed::Rng;

/// How often those who wait look whether the one who tries has been let in, ns.
const LOOK_NS: u64 = 100_000_000;

/// A service's door.
#[derive(Clone, Debug)]
pub struct ConnectBackoffGate {
    backoff: BackoffPolicy,
    failures: u32,
    not_before: Time,
    /// Somebody is trying.
    tried: bool,
}

/// What a call that needs a new connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectDecision {
    /// Open it.
    Open,
    /// Open it; how that ends is how things stand.
    Probe,
    /// Ask again then.
    Wait(Time),
}

impl ConnectBackoffGate {
    /// An open one.
    pub fn new(law: BackoffPolicy) -> Self {
        Self { backoff: law, failures: 0, not_before: Time(0), tried: false }
    }

    /// Whether the service takes connections, as far as known.
    pub fn is_open(&self) -> bool {
        self.failures == 0
    }

    /// May a connection be opened?
    pub fn decide(&mut self, now: Time) -> ConnectDecision {
        if self.failures == 0 {
            return ConnectDecision::Open;
        }
        if now < self.not_before {
            return ConnectDecision::Wait(self.not_before);
        }
        if self.tried {
            return ConnectDecision::Wait(now.after(LOOK_NS));
        }
        self.tried = true;
        ConnectDecision::Probe
    }

    /// A connection was opened; true when that is news.
    pub fn opened(&mut self) -> bool {
        self.tried = false;
        std::mem::take(&mut self.failures) > 0
    }

    /// None could be opened; true when that is news. Those who were let in together fail together:
    /// only who tried alone makes the wait longer.
    pub fn failed(&mut self, now: Time, rng: &mut Rng) -> bool {
        let first = self.failures == 0;
        if first || self.tried {
            self.failures = self.failures.saturating_add(1);
            self.not_before = now.after(backoff::wait_ns(&self.backoff, self.failures, rng));
        }
        self.tried = false;
        first
    }

    /// Who tried was cut: nobody knows.
    pub fn probe_cancelled(&mut self) {
        self.tried = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Seed, Stream};

    const MS: u64 = 1_000_000;

    #[test]
    fn golden_walk() {
        let mut rng = Seed::new(1).unwrap().rng(Stream::Caution, 0, 0);
        let mut gate =
            ConnectBackoffGate::new(BackoffPolicy { jitter: false, ..BackoffPolicy::default() });
        let at = |ms: u64| Time(ms * MS);
        assert_eq!([gate.decide(at(0)), gate.decide(at(0))], [ConnectDecision::Open; 2]);
        // Both were let in, both fail: that is one failure.
        assert!(gate.failed(at(1), &mut rng));
        assert!(!gate.failed(at(1), &mut rng));
        assert_eq!(gate.decide(at(2)), ConnectDecision::Wait(at(101)));
        // Then one tries, the others look again.
        assert_eq!(gate.decide(at(101)), ConnectDecision::Probe);
        assert_eq!(gate.decide(at(101)), ConnectDecision::Wait(at(201)));
        assert!(!gate.failed(at(110), &mut rng));
        assert_eq!(gate.decide(at(150)), ConnectDecision::Wait(at(310)));
        // Who tries and is cut leaves the place to the next.
        assert_eq!(gate.decide(at(310)), ConnectDecision::Probe);
        gate.probe_cancelled();
        assert_eq!(gate.decide(at(311)), ConnectDecision::Probe);
        assert!(gate.opened());
        assert!(!gate.opened());
        assert_eq!(gate.decide(at(312)), ConnectDecision::Open);
    }

    #[test]
    fn a_dead_service_is_tried_a_few_times_a_minute() {
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
