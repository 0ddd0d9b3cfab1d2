//! What changes of a stream: its connection, its inbox, its listeners, and what waits for answers.
//!
//! `live_stream` owns it; the steps of the stream read and change it.
//! Invariant: the connection is here, or taken by the task that polls it.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{self, RunOffset, Time};
use crate::engine::shard::Shard;
use crate::engine::streams::answers::PendingAnswers;
use crate::engine::streams::captured_values::CapturedValues;
use crate::engine::streams::conditions::{Conditions, view};
use crate::engine::streams::connected_stream::ConnectedStream;
use crate::engine::streams::consumer::SettledCounts;
use crate::engine::streams::inbox::{KeptMessage, MessageInbox, head_of};
use crate::engine::streams::listener::Listener;
use crate::engine::streams::replies::ReplyQueue;
use crate::extract::{self, ResponseRules};
use crate::ids::StepId;
use crate::plan::broker::SubscribeOptions;
use crate::protocol::status;
use crate::seed::Rng;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, MessageTime};
use crate::template::Value;
use crate::wire::broker::command::{BrokerCommand, CommandAnswer};
use crate::wire::message_stream::{Message, MessageKind, MessageStream, StreamEnd};

/// Maximum messages that are sent again after a reconnection.
const MAX_RESENT: usize = 64;

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
    /// The text with which the target explained its end.
    pub(super) end_text: Option<Vec<u8>>,
    /// Messages that are sent again after a reconnection.
    pub(super) resent: Vec<(MessageKind, Vec<u8>)>,
    pub(super) replies: ReplyQueue,
    /// Where captured values go; `None` if no listener of the flow captures any.
    pub(super) captured: Option<CapturedValues>,
    /// Draws what a capture picks at random.
    pub(super) rng: Rng,
    /// When the last message of the stream was read.
    pub(super) last_read: Time,
    /// Whether bytes wait for the kernel.
    pub(crate) is_flushing: bool,
    /// Whether its user has closed it.
    pub(super) is_unwanted: bool,
    /// Commands to a broker that wait for their answers.
    pub(super) answers: PendingAnswers,
    /// Whether the broker asked for a pause of publishing.
    pub(super) is_held_back: bool,
    /// Subscriptions at a broker, which begin again after a reconnection.
    pub(super) subscriptions: Vec<BrokerSubscription>,
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

/// What a broker's answers led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct BrokerServed {
    /// Whether settlements were queued.
    pub(super) is_settling: bool,
    /// The status with which the broker ended a subscription; `None`: it ended none.
    pub(super) ended: Option<u16>,
}

/// A subscription at a broker.
#[derive(Clone, Debug)]
pub(crate) struct BrokerSubscription {
    pub(crate) number: u32,
    /// The number of the command that began it.
    pub(crate) command: u64,
    pub(crate) source: String,
    pub(crate) group: Option<String>,
    pub(crate) options: SubscribeOptions,
}

impl StreamState {
    /// A stream that has just been opened.
    pub(super) fn new(
        wire: ConnectedStream,
        opened: Time,
        (rng, captured): (Rng, Option<CapturedValues>),
    ) -> Self {
        Self {
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
            end_text: None,
            resent: Vec::new(),
            replies: ReplyQueue::default(),
            captured,
            rng,
            last_read: Time::NEVER,
            is_flushing: false,
            is_unwanted: false,
            answers: PendingAnswers::default(),
            is_held_back: false,
            subscriptions: Vec::new(),
        }
    }

    /// Takes the answers that came, and settles messages whose work is done.
    pub(super) fn serve_broker(
        &mut self,
        shard: &Shard,
        cx: &mut Context<'_>,
        wire: &mut dyn MessageStream,
    ) -> BrokerServed {
        let (mut ends_wait, mut ended) = (false, None);
        while let Some(answer) = wire.take_answer() {
            if self.ends_subscription(shard, &answer) {
                ended = Some(answer.status);
            }
            ends_wait |= self.answers.take(shard, answer);
        }
        self.count_consumers(shard, wire);
        // A user that waits for room goes on when the broker allows it again.
        let was_held_back = std::mem::replace(&mut self.is_held_back, wire.is_held_back());
        if ends_wait || was_held_back && !self.is_held_back {
            self.wake_user();
        }
        let Self { listeners, rng, .. } = self;
        let mut is_settling = false;
        for listener in listeners {
            let Some(consumer) = &mut listener.consumer else { continue };
            let counts = consumer.poll(cx, rng, &mut |settlement| {
                is_settling |= wire.command(0, BrokerCommand::Settle(settlement)).is_ok();
            });
            count_settled(shard, listener.step, counts);
        }
        BrokerServed { is_settling, ended }
    }

    /// Whether an answer is the broker's end of a subscription that it had accepted, or its refusal
    /// of one that began again. Such an end is counted as an error.
    fn ends_subscription(&mut self, shard: &Shard, answer: &CommandAnswer) -> bool {
        if !status::is_error(answer.status) || self.answers.awaits(answer.number) {
            return false;
        }
        let is_it = |known: &BrokerSubscription| known.command == answer.number;
        if !self.subscriptions.iter().any(is_it) {
            return false;
        }
        let outcome =
            AttemptOutcome::of_failure(AttemptPhase::Message, FailureKind::SubscriptionEnded);
        shard.recorder.borrow_mut().record_error(outcome);
        true
    }

    /// Forgets what listeners have not received: their connection has ended.
    pub(super) fn forget_backlog(&mut self, shard: &Shard) {
        for listener in &mut self.listeners {
            shard.backlog.change(listener.step, listener.behind.take(), None);
        }
    }

    /// Counts the rebalances of consumer groups, at the steps of their listeners, and reports what
    /// these have not received.
    fn count_consumers(&mut self, shard: &Shard, wire: &mut dyn MessageStream) {
        for listener in &mut self.listeners {
            let Some(subscription) = listener.subscription else { continue };
            let now = wire.behind(subscription);
            shard.backlog.change(listener.step, listener.behind, now);
            listener.behind = now;
        }
        while let Some((subscription, took)) = wire.take_rebalance() {
            let is_it = |listener: &&Listener| listener.subscription == Some(subscription);
            let Some(listener) = self.listeners.iter().find(is_it) else { continue };
            let now = RunOffset::of(clock::now(), shard.start);
            let mut recorder = shard.recorder.borrow_mut();
            let window = recorder.messages(listener.step, now);
            window.counts.rebalances += 1;
            window.record(MessageTime::Rebalance, took);
        }
    }

    /// Acknowledges what was handled, before the stream closes.
    pub(super) fn end_batches(&mut self, shard: &Shard) {
        let Self { listeners, wire: Some(wire), .. } = self else { return };
        for listener in listeners {
            let Some(consumer) = &mut listener.consumer else { continue };
            let acknowledged = consumer.end_batch(&mut |settlement| {
                let _ = wire.command(0, BrokerCommand::Settle(settlement));
            });
            count_settled(shard, listener.step, SettledCounts { acknowledged, rejected: 0 });
        }
    }

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
        if let (Some(consumer), Some(delivery)) = (&mut listener.consumer, message.delivery) {
            consumer.take(at, delivery.delivery, &mut self.rng);
        }
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

    /// As [`Self::poll_flush`]. An error is the kind of the stream's end, which the reader meets as
    /// well, and counts.
    pub(super) fn poll_hand_over(&mut self, cx: &Context<'_>) -> Poll<Result<(), FailureKind>> {
        self.poll_flush(cx).map_err(|end| {
            self.wake_reader();
            end.failure.unwrap_or(FailureKind::Closed)
        })
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
            wire.send(Message::new(*kind, payload));
        }
        for known in &mut self.subscriptions {
            let (source, options) = (known.source.as_str(), &known.options);
            let (subscription, group) = (known.number, known.group.as_deref());
            let command = BrokerCommand::Subscribe { source, options, subscription, group };
            known.command = self.answers.next_number();
            let _ = wire.command(known.command, command);
        }
        self.is_flushing = !self.resent.is_empty() || !self.subscriptions.is_empty();
        for due in self.listeners.iter_mut().filter_map(|listener| listener.due.as_mut()) {
            due.ledger.came_back(due.channel.next_index());
        }
        (self.wire, self.phase, self.opened) = (Some(wire), StreamPhase::Open, now);
        self.wake_user();
    }
}

/// Counts what a consumer settled, at the step of its listener.
fn count_settled(shard: &Shard, step: StepId, settled: SettledCounts) {
    if settled == SettledCounts::default() {
        return;
    }
    let now = RunOffset::of(clock::now(), shard.start);
    let mut recorder = shard.recorder.borrow_mut();
    let counts = &mut recorder.messages(step, now).counts;
    counts.acknowledged += settled.acknowledged;
    counts.rejected += settled.rejected;
}
