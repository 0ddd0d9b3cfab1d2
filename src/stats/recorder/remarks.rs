//! What a recorder stores beside counts: log lines, state changes, first failures, the reason to
//! stop.
//!
//! The engine of the same thread calls it.
//! Invariant: each list is bounded; entries without room are counted.

use std::sync::Arc;

use super::Recorder;
use crate::ids::StepId;
use crate::stats::delta::{Halt, MAX_INTERVAL_LINES};
use crate::stats::exemplar::{Exemplar, FailureMode, MOST};
use crate::stats::state_change::{MAX_INTERVAL_CHANGES, StateChange};

impl Recorder {
    /// Stores a line of a `log` step; `line` is called only if there is room for it.
    pub fn push_log_line(&mut self, line: impl FnOnce() -> String) {
        if self.delta.lines.len() < MAX_INTERVAL_LINES {
            self.delta.lines.push(line());
        } else {
            self.delta.lines_lost += 1;
        }
    }

    /// Stores a state change.
    pub fn push_change(&mut self, change: StateChange) {
        self.delta.changes.push(change, MAX_INTERVAL_CHANGES);
    }

    /// Requests the end of the run; the first reason counts.
    pub fn request_halt(&mut self, why: impl FnOnce() -> Halt) {
        if self.delta.halt.is_none() {
            self.delta.halt = Some(why());
        }
    }

    /// Stops capturing failures; they are still counted.
    pub fn stop_capturing(&mut self) {
        self.is_capturing = false;
    }

    /// Counts a failed call; `make` is called only for the first failure of its kind.
    pub fn record_failure(
        &mut self,
        step: StepId,
        failing: FailureMode,
        make: impl FnOnce() -> Exemplar,
    ) {
        let kind = (step, failing);
        let known = self.seen_kinds.contains(&kind);
        if !known && (self.seen_kinds.len() == MOST || !self.is_capturing) {
            return;
        }
        self.delta.failures.count(kind);
        if !known {
            self.seen_kinds.insert(kind);
            self.delta.failures.keep(Arc::new(make()));
        }
    }
}
