//! The door to a service that takes no connections: one tries, the others wait.
//!
//! `engine::caution` keeps one for each service of a shard and asks before a connection is opened.
//! Invariant: while the service fails, at most one connection is tried at a time, and not before
//! the wait since the last failure is over.

use super::backoff;
use crate::clock::Time;
use crate::plan::policy::Backoff;
use crate::seed::Rng;

/// How often those who wait look whether the one who tries has been let in, ns.
const LOOK_NS: u64 = 100_000_000;

/// A service's door.
#[derive(Clone, Debug)]
pub struct Gate {
    law: Backoff,
    failures: u32,
    not_before: Time,
    /// Somebody is trying.
    tried: bool,
}

/// What a call that needs a new connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Open it.
    Go,
    /// Open it; how that ends is how things stand.
    Try,
    /// Ask again then.
    Wait(Time),
}

impl Gate {
    /// An open one.
    pub fn new(law: Backoff) -> Self {
        Self { law, failures: 0, not_before: Time(0), tried: false }
    }

    /// Whether the service takes connections, as far as known.
    pub fn is_open(&self) -> bool {
        self.failures == 0
    }

    /// May a connection be opened?
    pub fn ask(&mut self, now: Time) -> Ask {
        if self.failures == 0 {
            return Ask::Go;
        }
        if now < self.not_before {
            return Ask::Wait(self.not_before);
        }
        if self.tried {
            return Ask::Wait(now.after(LOOK_NS));
        }
        self.tried = true;
        Ask::Try
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
            self.not_before = now.after(backoff::wait_ns(&self.law, self.failures, rng));
        }
        self.tried = false;
        first
    }

    /// Who tried was cut: nobody knows.
    pub fn gave_up(&mut self) {
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
        let mut gate = Gate::new(Backoff { jitter: false, ..Backoff::default() });
        let at = |ms: u64| Time(ms * MS);
        assert_eq!([gate.ask(at(0)), gate.ask(at(0))], [Ask::Go; 2]);
        // Both were let in, both fail: that is one failure.
        assert!(gate.failed(at(1), &mut rng));
        assert!(!gate.failed(at(1), &mut rng));
        assert_eq!(gate.ask(at(2)), Ask::Wait(at(101)));
        // Then one tries, the others look again.
        assert_eq!(gate.ask(at(101)), Ask::Try);
        assert_eq!(gate.ask(at(101)), Ask::Wait(at(201)));
        assert!(!gate.failed(at(110), &mut rng));
        assert_eq!(gate.ask(at(150)), Ask::Wait(at(310)));
        // Who tries and is cut leaves the place to the next.
        assert_eq!(gate.ask(at(310)), Ask::Try);
        gate.gave_up();
        assert_eq!(gate.ask(at(311)), Ask::Try);
        assert!(gate.opened());
        assert!(!gate.opened());
        assert_eq!(gate.ask(at(312)), Ask::Go);
    }

    #[test]
    fn a_dead_service_is_tried_a_few_times_a_minute() {
        let mut rng = Seed::new(1).unwrap().rng(Stream::Caution, 0, 0);
        let mut gate = Gate::new(Backoff { jitter: false, ..Backoff::default() });
        gate.failed(Time(0), &mut rng);
        let mut tries = 0;
        for ms in 1..60_000 {
            if gate.ask(Time(ms * MS)) == Ask::Try {
                tries += 1;
                gate.failed(Time(ms * MS), &mut rng);
            }
        }
        // 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7 s, then each 10 s.
        assert_eq!(tries, 11);
    }
}
