//! Parts of a window that are looked at by themselves: starts that were never made, and times of
//! ok calls.
//!
//! `verdict` judges them, `sinks` show them.
//! Invariant: a part never counts more than its window.

use super::delta::{LoadWindow, StepWindow};
use super::histogram::Histogram;
use super::latency::{Latency, Untimed};

/// Starts that were due and never made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostStarts {
    /// They found no free user.
    pub dropped: u64,
    /// Policy held them back.
    pub suppressed: u64,
}

impl LoadWindow {
    /// Its starts that were never made.
    pub fn lost_starts(&self) -> LostStarts {
        LostStarts { dropped: self.lost - self.suppressed, suppressed: self.suppressed }
    }
}

impl LostStarts {
    /// These and others.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            dropped: self.dropped + other.dropped,
            suppressed: self.suppressed + other.suppressed,
        }
    }

    /// All of them.
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
        self.without_unwanted(&self.response, 0)
    }

    /// Service times of ok calls.
    pub fn ok_service(&self) -> Histogram {
        self.without_unwanted(&self.service, 1)
    }

    fn without_unwanted(&self, all: &Latency, index: usize) -> Histogram {
        match &self.unwanted {
            Some(unwanted) => all.answers().without(&unwanted[index]),
            None => all.answers().clone(),
        }
    }
}
