//! A step of a stream within an iteration.
//!
//! `iteration` runs it, boxed, for each of them.
//! Invariant: the next step is intended when the message was read, and picked up when the user got
//! its turn: the time between is lateness of the shard.

use crate::clock;
use crate::engine::iterations::iteration::IterationRunner;
use crate::engine::streams;
use crate::stats::sample::IterationEnd;

impl IterationRunner<'_> {
    /// Notes the intended start of an iteration, which waits on streams may count from.
    pub(super) fn note_begin(&mut self) {
        if self.flow().has_streams {
            let begun = self.timing.intended;
            self.user.extras().streams.iteration_begun = Some(begun);
        }
    }

    /// Runs the step `index` of a stream.
    pub(super) async fn stream_step(&mut self, index: usize) -> Result<(), IterationEnd> {
        let flow = self.flow();
        let (shard, timing) = (self.shard, self.timing);
        let ended = streams::step(shard, self.user, index, &timing).await;
        let prepared = &flow.calls[index];
        if prepared.is_listener() {
            // A listener begins, which takes no time and is no call.
            return if ended.goes_on { Ok(()) } else { Err(IterationEnd::Early) };
        }
        let think = prepared.call.think.as_ref().or(flow.think.as_ref());
        self.mark_fill(ended.result, prepared.call.has_rescue);
        let went = self.after(&ended, think);
        self.timing.picked_up = self.timing.picked_up.max(clock::now());
        went
    }
}
