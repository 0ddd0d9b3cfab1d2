//! A session of AMQP on its connection: publishes, consumes, and keeps the connection alive.
//!
//! `opening` makes it; `engine::streams` polls it through `MessageStream`.
//! Invariant: each way it can end is a [`StreamEnd`] within a deadline; heartbeats are sent and
//! expected as the connection agreed on.

use std::rc::Rc;
use std::task::{Context, Poll};

use super::channel::{ChannelPhase, ChannelState};
use super::encode;
use super::frames::{AmqpFrame, AmqpFrames};
use super::queue_depths::QueueDepths;
use crate::clock::{self, Time, Timer};
use crate::stats::FailureKind;
use crate::wire::broker::command::{BrokerCommand, CommandAnswer};
use crate::wire::link::message_connection::MessageConnection;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamSettings, Traffic};
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::EarlyBytes;

/// A session of AMQP.
#[derive(Debug)]
pub(in crate::wire) struct AmqpSession {
    connection: MessageConnection,
    frames: AmqpFrames,
    state: ChannelState,
    timer: Timer,
    /// The interval of heartbeats, ns.
    heartbeat_ns: Option<u64>,
    close_ns: u64,
    /// When the last frame was queued.
    last_sent: Time,
    /// When bytes were read last.
    last_read: Time,
}

impl AmqpSession {
    pub(in crate::wire) fn new(
        (connection, count): (StreamConnection, OpenStreamCount),
        early: EarlyBytes,
        settings: &StreamSettings,
        depths: Rc<QueueDepths>,
    ) -> Self {
        let limits = connection.amqp_limits();
        let now = clock::now();
        Self {
            connection: MessageConnection::new((connection, count), early),
            frames: AmqpFrames::new(limits.frame_max),
            state: ChannelState::new(limits, settings.max_message, depths),
            timer: Timer::new(),
            heartbeat_ns: (limits.heartbeat > 0)
                .then(|| u64::from(limits.heartbeat) * 1_000_000_000),
            close_ns: settings.close.as_nanos() as u64,
            last_sent: now,
            last_read: now,
        }
    }

    /// Takes bytes that were read at `now`.
    fn take_bytes(&mut self, now: Time, bytes: &[u8], receive: &mut dyn FnMut(Time, Message<'_>)) {
        let Self { frames, state, connection, .. } = self;
        let out = &mut connection.out;
        let mut each = |frame: AmqpFrame<'_>| state.take(now, &frame, out, receive);
        if let Err(fault) = frames.feed(bytes, &mut each) {
            self.state.fail(fault, &mut self.connection.out);
        }
    }

    /// Writes what waits; an error ends the session, unless it has ended.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.connection.poll_write(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(kind)) => self.state.end_for(kind),
        }
        Poll::Ready(())
    }

    /// When the broker has been silent for too long.
    fn silence_ends(&self) -> Option<Time> {
        self.heartbeat_ns.map(|ns| self.last_read.after(2 * ns))
    }

    /// The time of the next heartbeat or question, or of the next deadline.
    fn deadline(&self) -> Option<Time> {
        match self.state.phase {
            ChannelPhase::Open => {
                let beats = self.heartbeat_ns.map(|ns| self.last_sent.after(ns / 2));
                let asks = self.state.questions.deadline();
                beats
                    .into_iter()
                    .chain(self.silence_ends())
                    .chain([asks])
                    .filter(|at| *at < Time::NEVER)
                    .min()
            }
            ChannelPhase::Closing(since) => Some(since.after(self.close_ns)),
            ChannelPhase::Ended(_) => None,
        }
    }

    /// Handles deadlines that have passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(deadline) = self.deadline() {
            // A deadline that has passed is not set again: the timer would forget that it fired.
            if clock::now() < deadline {
                self.timer.set(deadline);
                if self.timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            match self.state.phase {
                ChannelPhase::Open if self.silence_ends() == Some(deadline) => {
                    self.state.end_for(FailureKind::NoPong);
                }
                ChannelPhase::Open if self.state.questions.deadline() == deadline => {
                    self.last_sent = clock::now();
                    self.state.questions.ask_due(self.last_sent, &mut self.connection.out.bytes);
                    let _ = self.write(cx);
                }
                ChannelPhase::Open => {
                    // What waits for the kernel is as good as a heartbeat.
                    if self.connection.out.waiting() == 0 {
                        encode::heartbeat(&mut self.connection.out.bytes);
                    }
                    self.last_sent = clock::now();
                    let _ = self.write(cx);
                }
                ChannelPhase::Closing(_) => self.state.end_for(FailureKind::NoClose),
                ChannelPhase::Ended(_) => {}
            }
        }
        Poll::Pending
    }
}

impl MessageStream for AmqpSession {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        loop {
            let _ = self.write(cx);
            if let ChannelPhase::Ended(end) = self.state.phase {
                return Poll::Ready(end);
            }
            match self.connection.poll_read(cx, buffer) {
                Poll::Pending => {
                    let _ = self.poll_deadline(cx);
                    if let ChannelPhase::Ended(end) = self.state.phase {
                        return Poll::Ready(end);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Ok((now, count))) => {
                    self.last_read = now;
                    self.take_bytes(now, &buffer[..count], receive);
                }
                Poll::Ready(Err(kind)) => self.state.end_for(kind),
            }
        }
    }

    /// Messages of AMQP have a routing key: they are commands.
    fn send(&mut self, _: Message<'_>) -> bool {
        false
    }

    fn command(&mut self, number: u64, command: BrokerCommand<'_>) -> Result<(), FailureKind> {
        let Self { state, connection, .. } = self;
        let out = &mut connection.out;
        if !state.is_open() {
            return Err(FailureKind::Closed);
        }
        match command {
            BrokerCommand::Publish(publish) => state.publish(number, &publish, out)?,
            BrokerCommand::Subscribe { source, options, subscription, .. } => {
                state.subscribe((number, subscription), source, options, out)?;
            }
            // No step sends them here: they are Kafka's.
            BrokerCommand::BeginTransaction { .. } | BrokerCommand::CommitTransaction => {
                return Err(FailureKind::Other);
            }
            BrokerCommand::Settle(settlement) => state.settle(&settlement, out),
        }
        self.last_sent = clock::now();
        Ok(())
    }

    fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.state.answers.pop_front()
    }

    fn is_held_back(&self) -> bool {
        self.state.is_held_back()
    }

    fn behind(&self, subscription: u32) -> Option<u64> {
        self.state.questions.behind(subscription)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        let written = self.write(cx);
        match self.state.phase {
            ChannelPhase::Ended(end) => Poll::Ready(Err(end)),
            _ => written.map(Ok),
        }
    }

    fn queued(&self) -> usize {
        self.connection.out.waiting()
    }

    /// The code of AMQP is always that of a regular end.
    fn close(&mut self, _: u16, reason: &str) {
        if self.state.is_open() {
            encode::close(&mut self.connection.out.bytes, 200, reason);
            self.last_sent = clock::now();
            self.state.phase = ChannelPhase::Closing(self.last_sent);
        }
    }

    fn take_traffic(&mut self) -> Traffic {
        self.connection.take_traffic()
    }
}
