//! A state change during a run, with its cause: an event on the time axis.
//!
//! Shards and controllers create them, deltas carry a shard's, the Tally stores them in order.
//! Invariant: a change says what changed and why; changes that found no room are counted.

use crate::clock::RunOffset;

/// The subject of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// A circuit breaker changed its state.
    Breaker,
    /// A pool changed its size.
    Pool,
    /// A service accepts connections again, or no longer.
    Connect,
    /// The degradation level went up or down.
    Degradation,
    /// A remedy was applied, or could not be.
    Healing,
    /// Memory runs short, or no longer.
    Memory,
    /// Admission was paused to protect the generator, or resumed.
    Admission,
    /// A user of live control changed the load, or set a mark.
    Control,
}

impl ChangeKind {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Breaker => "breaker",
            Self::Pool => "pool",
            Self::Connect => "connect",
            Self::Degradation => "degradation",
            Self::Healing => "healing",
            Self::Memory => "memory",
            Self::Admission => "admission",
            Self::Control => "control",
        }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// When it changed.
    pub at: RunOffset,
    /// What it is about.
    pub kind: ChangeKind,
    /// What the change belongs to: `endpoint GET /cart`, `pool auth`, `workload shoppers`.
    pub subject: String,
    /// What changed: `closed → open`, `50 → 60 connections`.
    pub change: String,
    /// Why: the observation that caused it.
    pub cause: String,
}

impl std::fmt::Display for StateChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { subject, change, cause, .. } = self;
        write!(f, "{subject}: {change} ({cause})")
    }
}

/// The most changes that a shard keeps per interval; the rest is counted.
pub const MAX_INTERVAL_CHANGES: usize = 64;

/// The most changes that a run keeps: the first ones; the rest is counted.
pub const MAX_RUN_CHANGES: usize = 2_000;

/// State changes in order of arrival, up to a limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// The first ones.
    pub list: Vec<StateChange>,
    /// The number of changes beyond the limit.
    pub lost: u64,
}

impl StateChanges {
    /// Adds a change, if there are fewer than `most`.
    pub fn push(&mut self, change: StateChange, most: usize) {
        if self.list.len() < most {
            self.list.push(change);
        } else {
            self.lost += 1;
        }
    }

    /// Adds the changes of another list.
    pub fn extend(&mut self, other: Self, most: usize) {
        self.lost += other.lost;
        other.list.into_iter().for_each(|change| self.push(change, most));
    }
}
