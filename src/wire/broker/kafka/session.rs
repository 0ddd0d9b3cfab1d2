//! A session at a cluster of Kafka: one producer, one consumer, and the groups that it joins.
//!
//! `opening` makes it; `engine::streams` polls it through `MessageStream`.
//! Invariant: each way it can end is a [`StreamEnd`] within a deadline; a session that closes sends
//! what waits, stores offsets and leaves its groups first.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::cluster_state::ClusterState;
use super::links::{BrokerLinks, ConnectsBrokers};
use crate::clock::{self, Time, Timer};
use crate::plan::kafka::KafkaSettings;
use crate::stats::FailureKind;
use crate::stats::sample::ConnectTimings;
use crate::wire::broker::command::{BrokerCommand, CommandAnswer};
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamSettings, Traffic};
use crate::wire::open_count::OpenStreamCount;

/// Bytes of a response beside the records that a fetch returns.
const FRAME_EXTRA: u64 = 4 << 20;

/// Bytes of messages that wait; more wait at their senders.
const MAX_WAITING: usize = 1 << 20;

/// A session of Kafka.
#[derive(Debug)]
pub(in crate::wire) struct KafkaSession {
    links: BrokerLinks,
    state: ClusterState,
    phase: KafkaPhase,
    timer: Timer,
    close_ns: u64,
}

#[derive(Clone, Copy, Debug)]
enum KafkaPhase {
    Open,
    /// Closing since.
    Closing(Time),
    Ended(StreamEnd),
}

impl KafkaSession {
    pub(in crate::wire) fn new(
        first: (StreamConnection, OpenStreamCount),
        connector: Rc<dyn ConnectsBrokers>,
        settings: &KafkaSettings,
        stream: &StreamSettings,
    ) -> Self {
        let max_frame = u64::from(settings.fetch_max) + stream.max_message + FRAME_EXTRA;
        let max_frame = usize::try_from(max_frame).unwrap_or(usize::MAX);
        Self {
            links: BrokerLinks::new(first, connector, max_frame),
            state: ClusterState::new(settings, stream.max_message as usize),
            phase: KafkaPhase::Open,
            timer: Timer::new(),
            close_ns: stream.close.as_nanos() as u64,
        }
    }

    fn end(&mut self, is_ours: bool, failure: Option<FailureKind>) {
        if !matches!(self.phase, KafkaPhase::Ended(_)) {
            self.phase = KafkaPhase::Ended(StreamEnd { is_ours, code: None, failure });
        }
    }

    /// Ends the session for a failure; one that closes ends regularly.
    fn fail(&mut self, kind: FailureKind) {
        match self.phase {
            KafkaPhase::Closing(_) => self.end(true, None),
            _ => self.end(false, Some(kind)),
        }
    }

    /// Sends what is due, and hands it to the kernel.
    fn send(&mut self, cx: &mut Context<'_>) {
        if matches!(self.phase, KafkaPhase::Ended(_)) {
            return;
        }
        let is_closing = matches!(self.phase, KafkaPhase::Closing(_));
        self.state.send_due(clock::now(), is_closing, &mut self.links);
        if let Err(kind) = self.links.poll_write(cx) {
            self.fail(kind);
        }
        if is_closing && self.state.is_done() && !self.links.has_group_requests() {
            self.end(true, None);
        }
    }

    /// Wakes the task for the next deadline. Returns whether one has passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let is_closing = matches!(self.phase, KafkaPhase::Closing(_));
            let mut next = self.state.deadline(is_closing).min(self.links.deadline());
            if let KafkaPhase::Closing(since) = self.phase {
                let end = since.after(self.close_ns);
                if clock::now() >= end {
                    self.end(true, Some(FailureKind::NoClose));
                    return true;
                }
                next = next.min(end);
            }
            if next == Time::NEVER {
                return false;
            }
            // A deadline that has passed is not set again: the timer would forget that it fired.
            if next <= clock::now() {
                return true;
            }
            self.timer.set(next);
            if self.timer.poll(cx).is_pending() {
                return false;
            }
        }
    }
}

impl MessageStream for KafkaSession {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        loop {
            self.send(cx);
            if let KafkaPhase::Ended(end) = self.phase {
                return Poll::Ready(end);
            }
            let Self { links, state, .. } = self;
            let mut take = |now, request, body: &[u8]| state.take(now, request, body, receive);
            match links.poll_read(cx, buffer, &mut take) {
                Ok(true) => links.name_first(&state.cluster),
                Ok(false) if self.poll_deadline(cx) => {}
                Ok(false) => return Poll::Pending,
                Err(kind) => self.fail(kind),
            }
        }
    }

    /// Messages of Kafka have a topic: they are commands.
    fn send(&mut self, _: Message<'_>) -> bool {
        false
    }

    fn command(&mut self, number: u64, command: BrokerCommand<'_>) -> Result<(), FailureKind> {
        if !matches!(self.phase, KafkaPhase::Open) {
            return Err(FailureKind::Closed);
        }
        let now = clock::now();
        match command {
            BrokerCommand::Publish(publish) => self.state.publish(number, &publish, now)?,
            BrokerCommand::Subscribe { source, options, subscription, group } => {
                let numbers = (number, subscription);
                self.state.subscribe(numbers, (source, group), options, now);
            }
            BrokerCommand::Settle(settlement) => self.state.settle(&settlement, now),
            BrokerCommand::BeginTransaction { id } => {
                self.state.begin_transaction(number, id, now);
            }
            BrokerCommand::CommitTransaction => self.state.commit_transaction(number, now),
        }
        Ok(())
    }

    fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.state.take_answer()
    }

    fn take_rebalance(&mut self) -> Option<(u32, u64)> {
        self.state.take_rebalance()
    }

    fn take_resent(&mut self) -> u64 {
        std::mem::take(&mut self.state.producer.resent)
    }

    fn take_connection(&mut self) -> Option<ConnectTimings> {
        self.links.activity.opened.pop_front()
    }

    /// Messages wait for a broker that throttles this client.
    fn is_held_back(&self) -> bool {
        self.state.producer.waiting() > 0 && self.links.holds_records(clock::now())
    }

    fn behind(&self, subscription: u32) -> Option<u64> {
        self.state.consumer.behind(subscription)
    }

    /// A message is sent when it is in a batch; the batch goes to the kernel when it is full, or
    /// has waited for `linger`.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        self.send(cx);
        let _ = self.poll_deadline(cx);
        if self.state.has_answers() {
            // Some commands are answered without a response: the reader takes those answers, too.
            cx.waker().wake_by_ref();
        }
        match self.phase {
            KafkaPhase::Ended(end) => Poll::Ready(Err(end)),
            _ if self.queued() >= MAX_WAITING => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn queued(&self) -> usize {
        self.state.producer.waiting() + self.links.queued()
    }

    fn close(&mut self, _: u16, _: &str) {
        if matches!(self.phase, KafkaPhase::Open) {
            let now = clock::now();
            self.phase = KafkaPhase::Closing(now);
            self.state.begin_close(now);
        }
    }

    fn take_traffic(&mut self) -> Traffic {
        let activity = &mut self.links.activity;
        let (sent, received) = (activity.sent, activity.received);
        (activity.sent, activity.received) = (0, 0);
        Traffic { sent, received }
    }
}
