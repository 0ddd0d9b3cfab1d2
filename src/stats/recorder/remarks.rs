//! What a recorder keeps beside counts: lines, changes, first failures, why the run has to stop.
//!
//! Invariant: each is bounded; what has no room is counted.

use std::sync::Arc;

use super::Recorder;
use crate::stats::delta::{Halt, LINES};
use crate::stats::exemplar::{Exemplar, FailureMode, MOST};
use crate::stats::state_change::{NOTICES, StateChange};

impl Recorder {
    /// A line of a `log` step; `line` is only called when there is room for it.
    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if self.delta.lines.len() < LINES {
            self.delta.lines.push(line());
        } else {
            self.delta.lines_lost += 1;
        }
    }

    /// Something changed, and why.
    pub fn notice(&mut self, notice: StateChange) {
        self.delta.notices.push(notice, NOTICES);
    }

    /// The run has to stop: the first reason counts.
    pub fn halt(&mut self, why: impl FnOnce() -> Halt) {
        if self.delta.halt.is_none() {
            self.delta.halt = Some(why());
        }
    }

    /// From now on failures are counted, and nothing more is kept of them.
    pub fn keep_no_more(&mut self) {
        self.keeps = false;
    }

    /// A call failed so; what is kept of it is made only for the first of its kind.
    pub fn failure(&mut self, step: usize, failing: FailureMode, make: impl FnOnce() -> Exemplar) {
        let kind = (step, failing);
        let known = self.kinds.contains(&kind);
        if !known && (self.kinds.len() == MOST || !self.keeps) {
            return;
        }
        self.delta.failures.count(kind);
        if !known {
            self.kinds.insert(kind);
            self.delta.failures.keep(Arc::new(make()));
        }
    }
}
