//! How a run of a job ended.
//!
//! `execution` finds it out, `entry` keeps it, `notification` compares it.
//! Invariant: an outcome has one word, in histories, notifications and messages alike.

use serde::{Deserialize, Serialize};

use crate::exit::ExitStatus;
use crate::timetable::RetryOn;

/// How a run of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// All thresholds hold.
    Passed,
    /// A threshold failed.
    Failed,
    /// Thresholds rest on a measurement that is not trusted.
    Inconclusive,
    /// A safety limit stopped the run.
    Aborted,
    /// The run could not be carried out, or died.
    Broken,
    /// Arguments or scenario are invalid.
    Invalid,
    /// An attempt took longer than its timeout.
    TimedOut,
    /// The command before the run failed: there was no run.
    BeforeFailed,
    /// The scheduler was told to end.
    Stopped,
    /// The run of a later slot took its place.
    Replaced,
    /// Its lease could not be renewed.
    LeaseLost,
    /// Its scheduler died, or was paused for longer than its lease.
    Lost,
    /// Its slot came while the former run went on.
    Skipped,
}

impl JobOutcome {
    /// The outcome of a run that ended by itself; `None`: by a signal.
    pub fn of_exit(code: Option<u8>) -> Self {
        match code.and_then(ExitStatus::from_code) {
            Some(ExitStatus::Pass) => Self::Passed,
            Some(ExitStatus::Fail) => Self::Failed,
            Some(ExitStatus::Inconclusive) => Self::Inconclusive,
            Some(ExitStatus::Aborted) => Self::Aborted,
            Some(ExitStatus::Usage | ExitStatus::Scenario) => Self::Invalid,
            // Someone else than this scheduler has ended it.
            Some(
                ExitStatus::Broken
                | ExitStatus::HungUp
                | ExitStatus::Interrupted
                | ExitStatus::Quit
                | ExitStatus::Terminated,
            )
            | None => Self::Broken,
        }
    }

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
            Self::Broken => "broken",
            Self::Invalid => "invalid",
            Self::TimedOut => "timed_out",
            Self::BeforeFailed => "before_failed",
            Self::Stopped => "stopped",
            Self::Replaced => "replaced",
            Self::LeaseLost => "lease_lost",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }

    /// The outcome of this word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// Whether it tells something of the target or of the job: the others are decisions of
    /// schedulers, and neither fail nor recover a job.
    pub fn is_verdict(self) -> bool {
        !matches!(self, Self::Stopped | Self::Replaced | Self::Skipped)
    }

    /// The word of `when` for it; `None`: it is never retried.
    pub fn retried_by(self) -> Option<RetryOn> {
        Some(match self {
            Self::Failed => RetryOn::Fail,
            Self::Inconclusive => RetryOn::Inconclusive,
            Self::Aborted => RetryOn::Aborted,
            Self::Broken => RetryOn::Broken,
            Self::TimedOut => RetryOn::Timeout,
            Self::BeforeFailed => RetryOn::Before,
            _ => return None,
        })
    }

    const ALL: [Self; 13] = [
        Self::Passed,
        Self::Failed,
        Self::Inconclusive,
        Self::Aborted,
        Self::Broken,
        Self::Invalid,
        Self::TimedOut,
        Self::BeforeFailed,
        Self::Stopped,
        Self::Replaced,
        Self::LeaseLost,
        Self::Lost,
        Self::Skipped,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_exit_code_has_an_outcome_and_each_outcome_one_word() {
        for (code, outcome) in [
            (Some(0), JobOutcome::Passed),
            (Some(1), JobOutcome::Broken),
            (Some(2), JobOutcome::Invalid),
            (Some(3), JobOutcome::Invalid),
            (Some(4), JobOutcome::Failed),
            (Some(5), JobOutcome::Inconclusive),
            (Some(6), JobOutcome::Aborted),
            (Some(101), JobOutcome::Broken),
            (Some(143), JobOutcome::Broken),
            (None, JobOutcome::Broken),
        ] {
            assert_eq!(JobOutcome::of_exit(code), outcome, "{code:?}");
        }
        for outcome in JobOutcome::ALL {
            let word = serde_json::to_value(outcome).unwrap();
            assert_eq!(word, outcome.name());
            assert_eq!(JobOutcome::from_name(outcome.name()), Some(outcome));
        }
    }
}
