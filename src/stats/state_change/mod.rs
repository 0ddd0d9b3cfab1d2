//! A state change during a run, with its cause: an event on the time axis.
//!
//! Shards and controllers create them, deltas carry a shard's, the Tally stores them in order.
//! Invariant: a change says what changed and why, as data; sentences are made of it. Changes that
//! found no room are counted.

mod cause;
mod change;
mod states;
mod subject;

pub use cause::{ChangeCause, ControlOrigin, TransitionCause};
pub use change::{Change, MemoryRelief, Remedy};
pub use states::{
    BreakerState, BreakerSwitch, DegradationLevel, HealthFigure, LoadOverride, OverrideBase,
    Priority,
};
pub use subject::ChangeSubject;

use crate::clock::RunOffset;

/// The kind of a change.
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
    /// A worker process was lost.
    Worker,
    /// A backend of a service was left out, or is used again.
    Backend,
    /// A shift moved users between two targets.
    Shift,
}

impl ChangeKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Breaker,
        Self::Pool,
        Self::Connect,
        Self::Degradation,
        Self::Healing,
        Self::Memory,
        Self::Admission,
        Self::Control,
        Self::Worker,
        Self::Backend,
        Self::Shift,
    ];

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
            Self::Worker => "worker",
            Self::Backend => "backend",
            Self::Shift => "shift",
        }
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq)]
pub struct StateChange {
    /// When the state changed.
    pub at: RunOffset,
    /// The subject of the change.
    pub subject: ChangeSubject,
    /// The change, from state to state.
    pub change: Change,
    /// Why: the observation that caused it.
    pub cause: ChangeCause,
}

impl StateChange {
    /// The kind of the change.
    pub fn kind(&self) -> ChangeKind {
        self.change.kind()
    }
}

impl std::fmt::Display for StateChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { subject, change, cause, .. } = self;
        write!(f, "{subject}: {change} ({cause})")
    }
}

/// Maximum changes that a shard keeps per interval; the rest is counted.
pub const MAX_INTERVAL_CHANGES: usize = 64;

/// Maximum changes that a run keeps: the first ones; the rest is counted.
pub const MAX_RUN_CHANGES: usize = 2_000;

/// State changes in order of arrival, up to a limit.
#[derive(Clone, Debug, Default, PartialEq)]
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

#[cfg(test)]
mod tests;
