//! The streams that a shard's users want, and those of them that are open, by step.
//!
//! `open` and `reader` count them; `shard_loop` records their levels at the end of each second.
//! Invariant: a stream counts at the step that opened it, reconnections included.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::RunOffset;
use crate::ids::StepId;
use crate::stats::{HeldStreams, Recorder};

/// The levels now.
#[derive(Debug, Default)]
pub(crate) struct HeldByStep(RefCell<BTreeMap<StepId, HeldStreams>>);

impl HeldByStep {
    /// Counts a stream that is wanted from now on, or no longer.
    pub(crate) fn count_wanted(&self, step: StepId, is_more: bool) {
        change(&mut self.0.borrow_mut().entry(step).or_default().wanted, is_more);
    }

    /// Counts a stream that is open from now on, or no longer.
    pub(crate) fn count_held(&self, step: StepId, is_more: bool) {
        change(&mut self.0.borrow_mut().entry(step).or_default().held, is_more);
    }

    /// All streams now.
    pub(crate) fn total(&self) -> HeldStreams {
        let mut total = HeldStreams::default();
        self.0.borrow().values().for_each(|levels| total.add(levels));
        total
    }

    /// Adds the levels now to those of the second of `at`.
    pub(crate) fn record(&self, recorder: &mut Recorder, at: RunOffset) {
        for (step, levels) in self.0.borrow().iter().filter(|(_, levels)| levels.wanted > 0) {
            recorder.messages(*step, at).streams.add(levels);
        }
    }
}

fn change(level: &mut u64, is_more: bool) {
    *level = if is_more { *level + 1 } else { *level - 1 };
}
