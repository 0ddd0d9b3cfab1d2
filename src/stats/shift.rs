//! What became of a shift of load from one target to another.
//!
//! `run::shift` makes it, a record stores it, reports show it.
//! Invariant: a step that was held has the figures of both sides and a reason.

/// What became of a shift.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftReport {
    /// Name of the service.
    pub service: String,
    /// Names of the old target and the new one.
    pub targets: [String; 2],
    /// How it ended.
    pub outcome: ShiftOutcome,
    /// The steps that were begun.
    pub steps: Vec<ShiftStep>,
    /// Why it ended so, as text.
    pub why: String,
}

/// How a shift ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShiftOutcome {
    /// All users are on the new target.
    Complete,
    /// A step failed, and all users are on the old target again.
    RolledBack,
    /// The load ended before it was complete.
    Unfinished,
}

/// A step of a shift.
#[derive(Clone, Debug, PartialEq)]
pub struct ShiftStep {
    /// Share of the users on the new target, percent.
    pub percent: u32,
    /// When it began, s after the start of the run.
    pub from_s: f64,
    /// When it was judged; `None` if the load ended before.
    pub judged_s: Option<f64>,
    /// Whether its rules held.
    pub passed: bool,
    /// Each rule with the value that was judged, as text.
    pub why: String,
    /// Figures of the old target and the new one in this step.
    pub sides: [SideFigures; 2],
}

/// Figures of one target in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideFigures {
    /// Calls that ended.
    pub calls: u64,
    /// Share of them that were errors; `None` without calls.
    pub errors: Option<f64>,
    /// p50 and p95 of the response time, µs; `None` if they are not known.
    pub response_us: [Option<u64>; 2],
}

impl ShiftOutcome {
    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::RolledBack => "rolled back",
            Self::Unfinished => "unfinished",
        }
    }
}
