//! Parts of a window that are judged by themselves: starts that never began, and times of ok calls.
//!
//! `verdict` judges them, `report` and `sinks` show them.
//! Invariant: a part never counts more than its window.

use super::delta::{LoadWindow, StepWindow};
use super::histogram::Histogram;
use super::latency::{Latency, Untimed};

/// Starts that were due and never began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostStarts {
    /// No user was free.
    pub dropped: u64,
    /// Policy suppressed them.
    pub suppressed: u64,
}

impl LoadWindow {
    /// The starts of this window that never began.
    pub fn lost_starts(&self) -> LostStarts {
        LostStarts { dropped: self.lost - self.suppressed, suppressed: self.suppressed }
    }
}

impl LostStarts {
    /// Adds two counts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            dropped: self.dropped + other.dropped,
            suppressed: self.suppressed + other.suppressed,
        }
    }

    /// All lost starts.
    pub fn count(self) -> u64 {
        self.dropped + self.suppressed
    }

    /// Ranks them above every response.
    pub fn rank_in(self, latency: &mut Latency) {
        latency.beyond_n(Untimed::Dropped, self.dropped);
        latency.beyond_n(Untimed::StartSuppressed, self.suppressed);
    }
}

impl StepWindow {
    /// Response times of ok calls.
    pub fn ok_response(&self) -> Histogram {
        self.exclude_unwanted(&self.response, 0)
    }

    /// Service times of ok calls.
    pub fn ok_service(&self) -> Histogram {
        self.exclude_unwanted(&self.service, 1)
    }

    fn exclude_unwanted(&self, all: &Latency, index: usize) -> Histogram {
        match &self.unwanted {
            Some(unwanted) => all.answers().without(&unwanted[index]),
            None => all.answers().clone(),
        }
    }
}
