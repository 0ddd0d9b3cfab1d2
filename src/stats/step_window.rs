//! A series in one second: its calls and times, of all of it and by backend.
//!
//! Recorders fill it as a part of a window; `verdict` and `report` read it.
//! Invariant: `a.merge(b)` equals what one recorder would have counted for both.

use super::counts::Calls;
use super::histogram::Histogram;
use super::latency::Latency;
use super::messages::{MessageWindow, merge_messages};
use super::own_delay::{OwnDelay, merge_boxed};

/// A series in one second.
#[derive(Clone, Debug, Default)]
pub struct StepWindow {
    /// Calls of the step by result; `made` counts ended ones.
    pub calls: Calls,
    /// Those of them that were due after the end of their workload's load, while iterations
    /// drained.
    pub in_drain: u64,
    /// From intended to the last byte.
    pub response: Latency,
    /// From dispatch to the last byte.
    pub service: Latency,
    /// Complete responses with an unexpected result: their response and service times, which
    /// `response` and `service` hold too. Boxed, since most steps have none.
    pub unwanted: Option<Box<[Histogram; 2]>>,
    /// Those of its calls that the generator itself delayed.
    pub own_delay: Option<Box<OwnDelay>>,
    /// Passed and failed, by check.
    pub checks: Vec<[u64; 2]>,
    /// Responses by status, in order of first occurrence; at most `delta::STATUSES`, whatever the
    /// target sends.
    pub statuses: Vec<(u16, u64)>,
    /// Its messages. Boxed, since most steps have none.
    pub messages: Option<Box<MessageWindow>>,
}

/// The calls of a series that went to one backend, in one second.
#[derive(Clone, Debug, Default)]
pub struct BackendWindow {
    /// Calls whose last attempt went to it; without checks and messages.
    pub calls: StepWindow,
    /// Attempts that went to it.
    pub attempts: u64,
    /// Those of them that the target failed: no response in time, or a status of 500 and above.
    pub failed: u64,
}

impl BackendWindow {
    /// Adds the counts of another window or series.
    pub fn merge(&mut self, other: &Self) {
        self.calls.merge(&other.calls);
        self.attempts += other.attempts;
        self.failed += other.failed;
    }
}

/// Counts responses with a status in a list of statuses.
#[inline]
pub(super) fn count_status(statuses: &mut Vec<(u16, u64)>, status: u16, count: u64) {
    match statuses.iter_mut().find(|(known, _)| *known == status) {
        Some((_, mine)) => *mine += count,
        None => statuses.push((status, count)),
    }
}

impl StepWindow {
    /// Counts responses with a status.
    #[inline]
    pub fn count_status(&mut self, status: u16, count: u64) {
        count_status(&mut self.statuses, status, count);
    }

    /// Calls that were due before the end of the load.
    pub const fn in_load(&self) -> u64 {
        self.calls.made.saturating_sub(self.in_drain)
    }

    /// Adds the counts of another window or series.
    pub fn merge(&mut self, other: &Self) {
        self.calls.add(&other.calls);
        self.in_drain += other.in_drain;
        self.response.merge(&other.response);
        self.service.merge(&other.service);
        if let Some(theirs) = &other.unwanted {
            let mine = self.unwanted.get_or_insert_default();
            mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| mine.merge(theirs));
        }
        merge_boxed(&mut self.own_delay, other.own_delay.as_deref(), OwnDelay::merge);
        merge_messages(&mut self.messages, other.messages.as_deref());
        for &(status, count) in &other.statuses {
            self.count_status(status, count);
        }
        if self.checks.len() < other.checks.len() {
            self.checks.resize(other.checks.len(), [0; 2]);
        }
        for (mine, theirs) in self.checks.iter_mut().zip(&other.checks) {
            mine[0] += theirs[0];
            mine[1] += theirs[1];
        }
    }
}
