//! A stream that is open, or is being opened again.
//!
//! A user holds it, and so does its reader task.
//! Invariant: a message goes to the first listener that takes it, else to the step that waits, else
//! to the inbox; an answer goes to the command that it answers.

use std::cell::RefCell;
use std::task::{Context, Poll};

use crate::clock::{self, RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::streams::captured_values::CapturedValues;
use crate::engine::streams::connected_stream::ConnectedStream;
use crate::engine::streams::inbox::KeptMessage;
use crate::engine::streams::stream_state::StreamState;
use crate::ids::StepId;
use crate::plan::stream::StreamAct;
use crate::seed::Rng;
use crate::wire::message_stream::{Message, MessageKind, StreamEnd};

/// Bytes that wait for the kernel from which on a `send` waits, too.
pub(super) const MAX_QUEUED: usize = 1 << 20;

/// A stream of a user.
#[derive(Debug)]
pub(crate) struct LiveStream {
    pub(crate) state: RefCell<StreamState>,
    /// Archetype's index of the step that opened it, and its series.
    pub(crate) call: usize,
    pub(crate) step: StepId,
    /// Service and path: the default name of its channel.
    pub(crate) path: String,
    /// Whether messages that no listener takes are kept.
    keeps: bool,
}

impl LiveStream {
    /// A stream that has just been opened by the step `call`.
    pub(crate) fn new(
        wire: ConnectedStream,
        (call, step): (usize, StepId),
        (path, keeps): (String, bool),
        opened: Time,
        drawn: (Rng, Option<CapturedValues>),
    ) -> Self {
        let state = StreamState::new(wire, opened, drawn);
        Self { state: RefCell::new(state), call, step, path, keeps }
    }

    /// Reads and writes until there is nothing to do; ready when the stream has ended.
    pub(crate) fn poll(&self, shard: &Shard, cx: &mut Context<'_>) -> Poll<StreamEnd> {
        let mut wire = {
            let mut state = self.state.borrow_mut();
            if !state.reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                state.reader = Some(cx.waker().clone());
            }
            match state.wire.take() {
                Some(wire) => wire,
                None => return Poll::Pending,
            }
        };
        let mut receive = |at: Time, message: Message<'_>| self.receive(shard, at, &message);
        let mut end = shard.wire.poll_stream(&mut *wire, cx, &mut receive);
        let served = self.state.borrow_mut().serve_broker(shard, cx, &mut *wire);
        let settles = served.is_settling;
        if let (Some(status), true) = (served.ended, self.reconnects(shard)) {
            // Its listeners begin again with the next session.
            wire.close(0, "");
            let _ = wire.poll_flush(cx);
            end = Poll::Ready(StreamEnd { is_ours: false, code: Some(status), failure: None });
        }
        let replies = self.state.borrow_mut().replies.take();
        let mut flushes = self.state.borrow().is_flushing || !replies.is_empty() || settles;
        for payload in &replies {
            let message = Message::new(MessageKind::Text, payload);
            flushes &= wire.send(message) || self.state.borrow().is_flushing || settles;
        }
        if flushes && end.is_pending() {
            match wire.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => flushes = false,
                Poll::Ready(Err(failed)) => end = Poll::Ready(failed),
            }
        }
        let resent = wire.take_resent();
        if resent > 0 {
            let now = RunOffset::of(clock::now(), shard.start);
            shard.recorder.borrow_mut().messages(self.step, now).counts.resent += resent;
        }
        let traffic = wire.take_traffic();
        let mut recorder = shard.recorder.borrow_mut();
        recorder.record_traffic(traffic.sent, traffic.received);
        while let Some(timings) = wire.take_connection() {
            recorder.record_connection(&timings, RunOffset::of(clock::now(), shard.start));
        }
        drop(recorder);
        let mut state = self.state.borrow_mut();
        if end.is_ready() {
            state.forget_backlog(shard);
            state.end_text = wire.take_end_text();
            state.reconnect_delay = wire.reconnect_delay().or(state.reconnect_delay);
        }
        let was_flushing = std::mem::replace(&mut state.is_flushing, flushes);
        if !flushes {
            state.replies.mark_flushed();
        }
        if end.is_pending() {
            state.wire = Some(wire);
        }
        if was_flushing && !flushes || end.is_ready() {
            state.wake_user();
        }
        end
    }

    /// Whether its step opens it again when it ends.
    fn reconnects(&self, shard: &Shard) -> bool {
        let calls = &shard.flows[shard.archetype_of(self.step)].calls;
        let stream = calls[self.call].call.stream.as_ref();
        stream.is_some_and(
            |stream| matches!(&stream.act, StreamAct::Open(open) if open.reconnect.is_some()),
        )
    }

    /// Takes a message from the wire.
    fn receive(&self, shard: &Shard, at: Time, message: &Message<'_>) {
        shard.recorder.borrow_mut().count_receipt();
        let mut state = self.state.borrow_mut();
        let shares_read = std::mem::replace(&mut state.last_read, at) == at;
        if let Some(id) = message.id
            && state.last_id.as_deref() != Some(id)
        {
            state.last_id = Some(id.to_owned());
        }
        if let Some(place) = state.listeners.iter().position(|one| one.takes(message)) {
            state.hand_over(shard, place, at, message, shares_read);
            return;
        }
        let now = RunOffset::of(at, shard.start);
        if let Some(waiting) = &mut state.waiting
            && waiting.found.is_none()
            && waiting.conditions.hold(message)
        {
            waiting.found = Some(KeptMessage::of(at, message));
            state.wake_user();
            return;
        }
        let is_passed_over =
            !self.keeps || state.waiting.as_ref().is_some_and(|waiting| waiting.found.is_none());
        // What is kept is counted as received when a step takes it, or when it is given up.
        let dropped =
            if is_passed_over { 0 } else { state.inbox.push(KeptMessage::of(at, message)) };
        let mut recorder = shard.recorder.borrow_mut();
        let counts = &mut recorder.messages(self.step, now).counts;
        counts.received += u64::from(is_passed_over) + dropped;
        counts.unmatched += u64::from(is_passed_over);
        counts.dropped += dropped;
        counts.coalesced += u64::from(shares_read);
    }

    /// Counts messages that no step took.
    pub(crate) fn count_unmatched(&self, shard: &Shard, count: u64) {
        let now = RunOffset::of(clock::now(), shard.start);
        let mut recorder = shard.recorder.borrow_mut();
        let counts = &mut recorder.messages(self.step, now).counts;
        counts.received += count;
        counts.unmatched += count;
    }

    /// Counts the messages that are left in the inbox.
    pub(crate) fn give_up_inbox(&self, shard: &Shard) {
        let left = self.state.borrow_mut().inbox.take_all().count() as u64;
        if left > 0 {
            self.count_unmatched(shard, left);
        }
    }

    /// Whether some listener is due messages.
    pub(crate) fn is_due_messages(&self) -> bool {
        self.state.borrow().listeners.iter().any(|listener| listener.due.is_some())
    }

    /// Whether all messages that its listeners are due have arrived.
    pub(crate) fn has_all_due(&self) -> bool {
        let state = self.state.borrow();
        let mut due = state.listeners.iter().filter_map(|listener| listener.due.as_ref());
        due.all(|due| due.ledger.has_all(due.channel.next_index()))
    }

    /// Ends its listeners: what they are due is settled.
    pub(crate) fn end_listeners(&self, shard: &Shard, is_final: bool) {
        let now = clock::now();
        for listener in &mut self.state.borrow_mut().listeners {
            listener.end(shard, now, is_final);
        }
    }

    /// Begins to close; the reader brings it to its end.
    pub(crate) fn begin_close(&self, shard: &Shard, code: u16, reason: &str) {
        let mut state = self.state.borrow_mut();
        state.end_batches(shard);
        if let Some(wire) = &mut state.wire {
            wire.close(code, reason);
            state.is_flushing = true;
        }
        state.is_unwanted = true;
        state.wake_reader();
    }

    /// Ends what is sent; the reader goes on until the target ends the stream.
    pub(crate) fn finish(&self) {
        let mut state = self.state.borrow_mut();
        if let Some(wire) = &mut state.wire {
            wire.finish();
            state.is_flushing = true;
        }
        state.wake_reader();
    }

    /// Whether its user has closed it.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.state.borrow().is_unwanted
    }
}
