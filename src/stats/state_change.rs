//! Something that changed while a run went on, with its cause: events on the time axis.
//!
//! Shards and controllers make them, deltas carry a shard's, the Tally keeps them in order.
//! Invariant: a notice says what changed and why; what was lost for want of room is counted.

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// A circuit breaker changed its state.
    Breaker,
    /// A pool changed its size.
    Pool,
    /// A service takes connections again, or no more.
    Connect,
    /// The client went down or up a level.
    Degradation,
    /// Something was mended, or could not be.
    Healing,
    /// Memory runs short, or no longer.
    Memory,
    /// Work was held back because the generator is in trouble, or let in again.
    Admission,
    /// Somebody changed what is asked, or put a mark.
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
    /// When, ns after the run's start.
    pub at_ns: u64,
    /// What it is about.
    pub kind: ChangeKind,
    /// Whose change: `endpoint GET /cart`, `pool auth`, `workload shoppers`.
    pub subject: String,
    /// What changed: `closed → open`, `50 → 60 connections`.
    pub change: String,
    /// Why: what was seen.
    pub cause: String,
}

impl std::fmt::Display for StateChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { subject, change, cause, .. } = self;
        write!(f, "{subject}: {change} ({cause})")
    }
}

/// The most notices a shard keeps between two sheds; more are counted.
pub const NOTICES: usize = 64;

/// The most notices a run keeps: the first ones; more are counted.
pub const KEPT: usize = 2_000;

/// Notices in the order they came, as many as there is room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// The first ones.
    pub list: Vec<StateChange>,
    /// How many more there were.
    pub lost: u64,
}

impl StateChanges {
    /// Adds one, if there is room among `most`.
    pub fn push(&mut self, notice: StateChange, most: usize) {
        if self.list.len() < most {
            self.list.push(notice);
        } else {
            self.lost += 1;
        }
    }

    /// Adds those of another.
    pub fn extend(&mut self, other: Self, most: usize) {
        self.lost += other.lost;
        other.list.into_iter().for_each(|notice| self.push(notice, most));
    }
}
