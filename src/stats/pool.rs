//! What a pool of connections went through since the last shed.
//!
//! `wire::pool` fills it, deltas carry it, sizing and `pools.csv` read it.
//! Invariant: counts add up over shards and seconds; what stands at the moment adds up over shards.

use super::Histogram;

/// A pool's part of a delta, and of a run.
#[derive(Clone, Debug, Default)]
pub struct PoolUse {
    /// Connections it may have now.
    pub size: u64,
    /// Lent to calls now.
    pub in_use: u64,
    /// Open and free now.
    pub idle: u64,
    /// Calls that wait for one now.
    pub waiting: u64,
    /// How often one was lent.
    pub leases: u64,
    /// Calls that would not wait any longer.
    pub gave_up: u64,
    /// Attempts over its connections that failed as the target's doing.
    pub failed: u64,
    /// Waits for a connection, of all that were lent one.
    pub waits: Histogram,
    /// ∫ connections lent dt, connection·ns.
    pub busy: u128,
    /// ∫ connections it may have dt, connection·ns.
    pub room: u128,
}

impl PoolUse {
    /// Adds what was counted at another time; what stands is that of `later`.
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

    /// The same without what was counted.
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

    /// Share of its connections that were lent, over time; `None` before any time has passed.
    pub fn utilisation(&self) -> Option<f64> {
        (self.room > 0).then(|| self.busy as f64 / self.room as f64)
    }

    /// Share of its attempts that failed; `None` without any.
    pub fn error_share(&self) -> Option<f64> {
        (self.leases > 0).then(|| self.failed as f64 / self.leases as f64)
    }
}
