//! What became of a shift of load from one target to another.
//!
//! `run::shift` makes it, a record stores it, reports show it.
//! Invariant: a step that was held has the figures of both sides and a reason.

use super::latency::Quantile;
use super::step_window::StepWindow;

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
    /// When it was judged; `None` if the load ended or the shift was rolled back before.
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
    /// p50 and p95 of the response time, µs; `None` if not even a bound is known.
    pub response_us: [Option<u64>; 2],
    /// Whether each of them is only a lower bound: calls had no response.
    pub at_least: [bool; 2],
}

impl SideFigures {
    /// The figures of these calls.
    pub fn of(side: &StepWindow) -> Self {
        let quantiles = [0.5, 0.95].map(|p| side.response.quantile(p));
        Self {
            calls: side.calls.made,
            errors: side.calls.error_share(),
            response_us: quantiles.map(|one| one.and_then(Quantile::known_us)),
            at_least: quantiles.map(|one| one.is_some_and(|one| one.at_least)),
        }
    }
}

impl ShiftStep {
    /// Its decision as a word.
    pub const fn decision(&self) -> &'static str {
        match (self.judged_s, self.passed) {
            (None, _) => "not judged",
            (Some(_), true) => "passed",
            (Some(_), false) => "failed",
        }
    }
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
