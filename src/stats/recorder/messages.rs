//! What a recorder counts of streams and their messages.
//!
//! `engine::streams` of the same thread calls it.
//! Invariant: a message counts in the second of its intended send if that is known, else in the
//! second of its receipt.

use super::Recorder;
use crate::clock::RunOffset;
use crate::ids::StepId;
use crate::stats::messages::{MessageWindow, StreamCounts};
use crate::stats::named::add_name;

impl Recorder {
    /// The messages of a step in the second of `at`, to be added to.
    #[inline]
    pub fn messages(&mut self, step: StepId, at: RunOffset) -> &mut MessageWindow {
        self.step_window(step, at).messages.get_or_insert_default()
    }

    /// Counts a message that was read, whatever becomes of it.
    #[inline]
    pub fn count_receipt(&mut self) {
        self.receive_lag.count();
    }

    /// Records how late the messages since the last tick were read; this one came `late_ns` late.
    pub(super) fn record_receive_lag(&mut self, at: RunOffset, late_ns: u64) {
        let (messages, late_ns) = self.receive_lag.tick(late_ns);
        if messages > 0 {
            let us = (late_ns + 500) / 1_000;
            self.window(at).receive_lag.record_n(us, messages);
        }
    }

    /// The counts of streams, to be added to.
    pub fn streams(&mut self) -> &mut StreamCounts {
        &mut self.delta.streams
    }

    /// Records bytes of streams, which belong to no call.
    pub fn record_traffic(&mut self, sent: u64, received: u64) {
        self.delta.connections.bytes_sent += sent;
        self.delta.connections.bytes_received += received;
    }

    /// Counts a stream that ended, by its close code or failure kind and the side that closed.
    pub fn record_stream_end(&mut self, why: &str) {
        self.delta.streams.ended += 1;
        add_name(&mut self.delta.streams.closed, why, 1);
    }
}
