//! The ways the program can end, with their exit codes.
//!
//! `run` and `cli` return one; `main` turns it into the process's exit code.
//! Invariant: README's table and this enum agree (`tests/tidy.rs` compares them).

use std::process::ExitCode;

/// How the program ended. The first status that applies wins, in the order of the language
/// reference's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// All thresholds hold, or there are none.
    Pass,
    /// The run could not be carried out, or its report could not be written.
    Broken,
    /// Invalid command-line arguments.
    Usage,
    /// Errors in the scenario or archetypes, a missing file, or a plan that this machine cannot
    /// run.
    Scenario,
    /// A threshold failed.
    Fail,
    /// Thresholds depend on numbers that cannot be trusted.
    Inconclusive,
    /// Stopped by a safety limit.
    Aborted,
    /// Ended by SIGHUP after the partial report was written.
    HungUp,
    /// Ended by SIGINT after the partial report was written.
    Interrupted,
    /// Ended at once by SIGQUIT after the partial report was written.
    Quit,
    /// Ended by SIGTERM after the partial report was written.
    Terminated,
}

impl ExitStatus {
    /// All statuses, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Pass,
        Self::Broken,
        Self::Usage,
        Self::Scenario,
        Self::Fail,
        Self::Inconclusive,
        Self::Aborted,
        Self::HungUp,
        Self::Interrupted,
        Self::Quit,
        Self::Terminated,
    ];

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Broken => 1,
            Self::Usage => 2,
            Self::Scenario => 3,
            Self::Fail => 4,
            Self::Inconclusive => 5,
            Self::Aborted => 6,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Quit => 131,
            Self::Terminated => 143,
        }
    }

    /// The status with an exit code; `None` if there is none.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// The report's word for it; `None` if there is no run to judge.
    pub const fn verdict(self) -> Option<&'static str> {
        match self {
            Self::Pass => Some("pass"),
            Self::Fail => Some("fail"),
            Self::Inconclusive => Some("inconclusive"),
            Self::Aborted => Some("aborted"),
            Self::HungUp | Self::Interrupted | Self::Quit | Self::Terminated => Some("interrupted"),
            Self::Broken | Self::Usage | Self::Scenario => None,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(ending: ExitStatus) -> Self {
        Self::from(ending.code())
    }
}
