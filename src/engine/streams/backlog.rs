//! What listeners have not received of what brokers have for them, by step.
//!
//! `stream_state` reports it; `shard_loop` records its level at the end of each second.
//! Invariant: a listener counts once, with what its broker stated last.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::RunOffset;
use crate::ids::StepId;
use crate::stats::{Backlog, Recorder};

/// The levels now.
#[derive(Debug, Default)]
pub(crate) struct BacklogByStep(RefCell<BTreeMap<StepId, Backlog>>);

impl BacklogByStep {
    /// Notes what a listener has not received, in place of what it reported before.
    pub(crate) fn change(&self, step: StepId, before: Option<u64>, now: Option<u64>) {
        if before == now {
            return;
        }
        let mut levels = self.0.borrow_mut();
        let level = levels.entry(step).or_default();
        if let Some(before) = before {
            level.messages -= before;
            level.listeners -= 1;
        }
        if let Some(now) = now {
            level.messages += now;
            level.listeners += 1;
        }
    }

    /// Adds the levels now to those of the second of `at`.
    pub(crate) fn record(&self, recorder: &mut Recorder, at: RunOffset) {
        for (step, level) in self.0.borrow().iter().filter(|(_, level)| level.listeners > 0) {
            recorder.messages(*step, at).behind.add(level);
        }
    }
}
