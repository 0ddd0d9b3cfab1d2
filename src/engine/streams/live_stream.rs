//! A stream that is open, or is being opened again: its connection, its inbox and its listeners.
//!
//! A user holds it, and so does its reader task.
//! Invariant: the connection is here or taken by the task that polls it; a message goes to the
//! first listener that takes it, else to the step that waits, else to the inbox.

use std::cell::RefCell;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{self, RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::streams::captured_values::CapturedValues;
use crate::engine::streams::conditions::{Conditions, view};
use crate::engine::streams::connected_stream::ConnectedStream;
use crate::engine::streams::inbox::{KeptMessage, MessageInbox, head_of};
use crate::engine::streams::listener::Listener;
use crate::engine::streams::replies::ReplyQueue;
use crate::extract::{self, ResponseRules};
use crate::ids::StepId;
use crate::seed::Rng;
use crate::template::Value;
use crate::wire::message_stream::{Message, MessageKind, StreamEnd};

/// Maximum messages that are sent again after a reconnection.
const MAX_RESENT: usize = 64;

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

/// What changes.
#[derive(Debug)]
pub(crate) struct StreamState {
    /// The connection; `None` while it is polled, away or ended.
    pub(crate) wire: Option<ConnectedStream>,
    pub(crate) phase: StreamPhase,
    pub(crate) opened: Time,
    pub(crate) inbox: MessageInbox,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) waiting: Option<Box<WaitingStep>>,
    /// Wakes the reader.
    pub(crate) reader: Option<Waker>,
    /// Wakes the user that waits for the stream to send, open or close.
    pub(crate) user: Option<Waker>,
    /// Intended and actual time of the last `send`.
    pub(crate) last_sent: Option<(Time, Time)>,
    /// When the last message arrived that a step waited for.
    pub(crate) last_awaited: Option<Time>,
    /// The id of the last event, for `Last-Event-ID`.
    pub(crate) last_id: Option<String>,
    /// How long the target asked to wait before a reconnection.
    pub(crate) reconnect_delay: Option<Duration>,
    /// Messages that are sent again after a reconnection.
    resent: Vec<(MessageKind, Vec<u8>)>,
    replies: ReplyQueue,
    /// Where captured values go; `None` if no listener of the flow captures any.
    captured: Option<CapturedValues>,
    /// Draws what a capture picks at random.
    rng: Rng,
    /// When the last message of the stream was read.
    last_read: Time,
    /// Whether bytes wait for the kernel.
    pub(crate) is_flushing: bool,
    /// Whether its user has closed it.
    is_unwanted: bool,
}

/// Where a stream is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamPhase {
    Open,
    /// Ended, and to be opened again.
    Away,
    Ended(StreamEnd),
}

/// A step that waits for a message.
#[derive(Debug)]
pub(crate) struct WaitingStep {
    pub(crate) conditions: Conditions,
    pub(crate) found: Option<KeptMessage>,
}

impl LiveStream {
    /// A stream that has just been opened by the step `call`.
    pub(crate) fn new(
        wire: ConnectedStream,
        (call, step): (usize, StepId),
        (path, keeps): (String, bool),
        opened: Time,
        (rng, captured): (Rng, Option<CapturedValues>),
    ) -> Self {
        let state = StreamState {
            wire: Some(wire),
            phase: StreamPhase::Open,
            opened,
            inbox: MessageInbox::default(),
            listeners: Vec::new(),
            waiting: None,
            reader: None,
            user: None,
            last_sent: None,
            last_awaited: None,
            last_id: None,
            reconnect_delay: None,
            resent: Vec::new(),
            replies: ReplyQueue::default(),
            captured,
            rng,
            last_read: Time::NEVER,
            is_flushing: false,
            is_unwanted: false,
        };
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
        let replies = self.state.borrow_mut().replies.take();
        let mut flushes = self.state.borrow().is_flushing || !replies.is_empty();
        for payload in &replies {
            let message = Message { kind: MessageKind::Text, payload, event: None, id: None };
            flushes &= wire.send(message) || self.state.borrow().is_flushing;
        }
        if flushes && end.is_pending() {
            match wire.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => flushes = false,
                Poll::Ready(Err(failed)) => end = Poll::Ready(failed),
            }
        }
        let traffic = wire.take_traffic();
        shard.recorder.borrow_mut().record_traffic(traffic.sent, traffic.received);
        let mut state = self.state.borrow_mut();
        if end.is_ready() {
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
        if let Some(place) = state.listeners.iter().position(|one| one.conditions.hold(message)) {
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
    pub(crate) fn begin_close(&self, code: u16, reason: &str) {
        let mut state = self.state.borrow_mut();
        if let Some(wire) = &mut state.wire {
            wire.close(code, reason);
            state.is_flushing = true;
        }
        state.is_unwanted = true;
        state.wake_reader();
    }

    /// Whether its user has closed it.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.state.borrow().is_unwanted
    }
}

impl StreamState {
    /// Hands a message to the listener at `place`.
    pub(crate) fn hand_over(
        &mut self,
        shard: &Shard,
        place: usize,
        at: Time,
        message: &Message<'_>,
        shares_read: bool,
    ) {
        let listener = &mut self.listeners[place];
        listener.take(shard, at, message, shares_read);
        let call = (listener.call, listener.step);
        let (rng, captured) = (&mut self.rng, self.captured.as_ref());
        if let Some(answer) = listener.replies.answer(shard, call, (at, message), (rng, captured)) {
            let has_room = self.replies.push(answer);
            let now = RunOffset::of(at, shard.start);
            let mut recorder = shard.recorder.borrow_mut();
            recorder.messages(listener.step, now).counts.dropped += u64::from(!has_room);
        }
        self.check(shard, call, at, message);
    }

    /// Evaluates the checks and captures of a listener.
    fn check(
        &mut self,
        shard: &Shard,
        (call, step): (usize, StepId),
        at: Time,
        message: &Message<'_>,
    ) {
        let archetype = shard.archetype_of(step);
        let prepared = &shard.flows[archetype].calls[call];
        if prepared.check_ids.is_empty() {
            return;
        }
        let rules: ResponseRules<'_> = prepared.call.response_rules();
        let head = head_of(message);
        let most = rules.captures.iter().map(|capture| capture.variable + 1).max().unwrap_or(0);
        let mut variables: Vec<Option<Value>> = vec![None; most];
        let intended = RunOffset::of(at, shard.start);
        let view = view(message.payload, &head);
        extract::apply(rules, view, &mut variables, &mut self.rng, |part, passed| {
            let id = prepared.check_ids[prepared.call.place_of(part)];
            shard.recorder.borrow_mut().record_check(step, intended, id, passed);
        });
        if let Some(captured) = &self.captured {
            for capture in rules.captures {
                captured.set(capture.variable, variables[capture.variable].take());
            }
        }
    }

    /// Hands queued bytes to the kernel. The reader is woken to write what is left, so that a
    /// sender that is cancelled leaves nothing behind; it wakes the user then.
    pub(super) fn poll_flush(&mut self, cx: &Context<'_>) -> Poll<Result<(), StreamEnd>> {
        let Some(wire) = &mut self.wire else { return Poll::Pending };
        let waker = self.reader.as_ref().unwrap_or(cx.waker());
        let flushed = wire.poll_flush(&mut Context::from_waker(waker));
        self.is_flushing = flushed.is_pending();
        flushed
    }

    /// Wakes the user that waits for the stream.
    pub(crate) fn wake_user(&mut self) {
        if let Some(user) = self.user.take() {
            user.wake();
        }
    }

    /// Wakes the reader.
    pub(crate) fn wake_reader(&self) {
        if let Some(reader) = &self.reader {
            reader.wake_by_ref();
        }
    }

    /// Notes that `cx` waits for the stream.
    pub(crate) fn wait_here(&mut self, cx: &Context<'_>) {
        self.user = Some(cx.waker().clone());
    }

    /// Keeps a message that is sent again after a reconnection.
    pub(crate) fn resend_later(&mut self, kind: MessageKind, payload: &[u8]) {
        if self.resent.len() < MAX_RESENT {
            self.resent.push((kind, payload.to_vec()));
        }
    }

    /// Continues on a new connection: sends again what subscribes.
    pub(crate) fn came_back(&mut self, mut wire: ConnectedStream, now: Time) {
        for (kind, payload) in &self.resent {
            wire.send(Message { kind: *kind, payload, event: None, id: None });
        }
        self.is_flushing = !self.resent.is_empty();
        for due in self.listeners.iter_mut().filter_map(|listener| listener.due.as_mut()) {
            due.ledger.came_back(due.channel.next_index());
        }
        (self.wire, self.phase, self.opened) = (Some(wire), StreamPhase::Open, now);
        self.wake_user();
    }
}
