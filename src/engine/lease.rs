//! What the coordinator of a fleet permits a shard to begin, and until when (rule L of
//! `fleet::protocol::lease`).
//!
//! `shard_loop` hands it the commands; starters, users and meters ask it. A shard of any other run
//! has no lease and may begin everything.
//! Invariant: without a valid lease nothing begins and nothing is counted. Whether what is due
//! belongs to this shard is known again with the next lease: slots that moved are told before it.

use std::cell::Cell;

use crate::clock::{RunOffset, Time};
use crate::event::LoadLease;

/// The lease of a shard.
#[derive(Debug)]
pub(crate) struct ShardLease {
    /// Whether the shard needs one.
    is_needed: Cell<bool>,
    /// Until when the shard knows what is its own; `NEVER` if it needs no lease.
    until: Cell<Time>,
    granted: Cell<Option<LoadLease>>,
    /// What is due from then on belongs to others.
    released: Cell<RunOffset>,
}

/// What becomes of a start that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseUse {
    /// It begins.
    Begin,
    /// It waits for a lease.
    Wait,
    /// It became due while there was no lease: it is not sent.
    Unserved,
}

impl ShardLease {
    /// The lease of a shard that has none yet.
    pub(crate) fn new(is_needed: bool) -> Self {
        Self {
            is_needed: Cell::new(is_needed),
            until: Cell::new(if is_needed { Time(0) } else { Time::NEVER }),
            granted: Cell::default(),
            released: Cell::new(RunOffset::NEVER),
        }
    }

    /// Decides on a start that is due at `intended`. Reads the time only if a lease is needed.
    #[inline]
    pub(crate) fn decide(&self, now: impl FnOnce() -> Time, intended: RunOffset) -> LeaseUse {
        if !self.is_needed.get() {
            return LeaseUse::Begin;
        }
        let now = now();
        match self.granted.get() {
            Some(lease) if intended >= lease.end => LeaseUse::Unserved,
            Some(lease) if now < lease.until && intended < lease.since => LeaseUse::Unserved,
            Some(lease) if now < lease.until && intended < lease.horizon => LeaseUse::Begin,
            _ => LeaseUse::Wait,
        }
    }

    /// Whether iterations of users may begin.
    #[inline]
    pub(crate) fn is_valid(&self, now: Time) -> bool {
        now < self.until()
    }

    /// Until when the shard knows what is its own.
    #[inline]
    pub(crate) fn until(&self) -> Time {
        self.until.get()
    }

    /// The lease that holds now, or held last.
    pub(crate) fn granted(&self) -> Option<LoadLease> {
        self.granted.get()
    }

    /// Takes a lease; returns the former one.
    pub(crate) fn grant(&self, lease: LoadLease) -> Option<LoadLease> {
        if self.is_needed.get() {
            self.until.set(lease.until);
        }
        self.granted.replace(Some(lease))
    }

    /// What is due from `from` on is not its own. Returns the earliest such time.
    pub(crate) fn release(&self, from: RunOffset) -> RunOffset {
        self.released.set(from.min(self.released.get()));
        self.released.get()
    }

    /// From when on nothing is its own.
    pub(crate) fn released(&self) -> RunOffset {
        self.released.get()
    }

    /// No lease is needed any more: nothing new begins.
    pub(crate) fn end(&self) {
        self.is_needed.set(false);
        self.until.set(Time::NEVER);
    }
}
