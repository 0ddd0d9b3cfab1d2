//! What a connection pool did in an interval.
//!
//! `wire::pool` fills it, deltas carry it, sizing and `pools.csv` read it.
//! Invariant: counts add up over shards and seconds; momentary values add up over shards.

use super::Histogram;

/// A pool's part of a delta, and of a run.
#[derive(Clone, Debug, Default)]
pub struct PoolUse {
    /// Connections it may have now.
    pub size: u64,
    /// Connections in use by calls now.
    pub in_use: u64,
    /// Connections open and free now.
    pub idle: u64,
    /// Calls that wait for one now.
    pub waiting: u64,
    /// Leases so far.
    pub leases: u64,
    /// Calls whose wait ended without a lease.
    pub gave_up: u64,
    /// Attempts over its connections that failed through the target.
    pub failed: u64,
    /// Waits for a connection, of all calls that got one.
    pub waits: Histogram,
    /// ∫ connections in use dt, connection·ns.
    pub busy: u128,
    /// ∫ connections it may have dt, connection·ns.
    pub room: u128,
}

impl PoolUse {
    /// Adds a later part of the same shard; momentary values are those of `later`.
    pub fn then(&mut self, later: &Self) {
        (self.size, self.in_use, self.idle, self.waiting) =
            (later.size, later.in_use, later.idle, later.waiting);
        self.count(later);
    }

    /// Adds another shard's part of the same time.
    pub fn add(&mut self, other: &Self) {
        self.size += other.size;
        self.in_use += other.in_use;
        self.idle += other.idle;
        self.waiting += other.waiting;
        self.count(other);
    }

    /// The momentary values alone, with counts at zero.
    #[must_use]
    pub fn standing(&self) -> Self {
        let Self { size, in_use, idle, waiting, .. } = *self;
        Self { size, in_use, idle, waiting, ..Self::default() }
    }

    fn count(&mut self, other: &Self) {
        self.leases += other.leases;
        self.gave_up += other.gave_up;
        self.failed += other.failed;
        self.waits.merge(&other.waits);
        self.busy += other.busy;
        self.room += other.room;
    }

    /// Share of its connections in use, over time; `None` before any time has passed.
    pub fn utilisation(&self) -> Option<f64> {
        (self.room > 0).then(|| self.busy as f64 / self.room as f64)
    }

    /// Share of its attempts that failed; `None` if there were none.
    pub fn error_share(&self) -> Option<f64> {
        (self.leases > 0).then(|| self.failed as f64 / self.leases as f64)
    }
}
