//! A session of MQTT on its connection: publishes, subscribes, acknowledges, and keeps it alive.
//!
//! `opening` makes it; `engine::streams` polls it through `MessageStream`.
//! Invariant: each way it can end is a [`StreamEnd`] within a deadline; no more confirmed messages
//! are under way than the broker takes.

use std::task::{Context, Poll};

use super::encode;
use super::packet::{MqttPacket, PacketReader};
use super::session_state::{SessionPhase, SessionState};
use crate::clock::{self, Time, Timer};
use crate::plan::broker::MqttSettings;
use crate::stats::FailureKind;
use crate::wire::broker::command::{BrokerCommand, CommandAnswer};
use crate::wire::broker::out_queue::OutQueue;
use crate::wire::connect::fault;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamSettings, Traffic};
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::EarlyBytes;

/// A session of MQTT.
#[derive(Debug)]
pub(in crate::wire) struct MqttSession {
    connection: StreamConnection,
    /// CONNACK, and what came with it.
    early: EarlyBytes,
    packets: PacketReader,
    queue: OutQueue,
    state: SessionState,
    timer: Timer,
    close_ns: u64,
    traffic: Traffic,
    _count: OpenStreamCount,
}

impl MqttSession {
    pub(in crate::wire) fn new(
        (connection, count): (StreamConnection, OpenStreamCount),
        early: EarlyBytes,
        settings: &MqttSettings,
        stream: &StreamSettings,
    ) -> Self {
        Self {
            connection,
            early,
            packets: PacketReader::new(settings.max_packet),
            queue: OutQueue::default(),
            state: SessionState::new(settings),
            timer: Timer::new(),
            close_ns: stream.close.as_nanos() as u64,
            traffic: Traffic::default(),
            _count: count,
        }
    }

    /// Takes bytes that were read at `now`.
    fn take_bytes(&mut self, now: Time, bytes: &[u8], receive: &mut dyn FnMut(Time, Message<'_>)) {
        let Self { packets, state, queue, .. } = self;
        let mut each = |packet: MqttPacket<'_>| state.take(now, &packet, queue, receive);
        if let Err(kind) = packets.feed(bytes, &mut each) {
            self.state.fail(kind, &mut self.queue);
        }
    }

    /// Writes what waits; an error ends the session, unless it has ended.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { queue, connection, traffic, .. } = self;
        match queue.poll_write(cx, connection, &mut traffic.sent) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => {
                self.queue.clear();
                self.state.end_for(fault::kind_of(&error));
            }
        }
        Poll::Ready(())
    }

    /// The time of the next packet that keeps the session alive, or of the next deadline.
    fn deadline(&self) -> Option<Time> {
        let state = &self.state;
        let keep_alive = state.keep_alive_ns();
        match state.phase {
            SessionPhase::Open => keep_alive.map(|ns| state.last_sent.after(ns)),
            SessionPhase::Pinged(at) => keep_alive.map(|ns| at.after(ns)),
            SessionPhase::Closing => Some(state.last_sent.after(self.close_ns)),
            SessionPhase::Ended(_) => None,
        }
    }

    /// Handles deadlines that have passed.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(deadline) = self.deadline() {
            // A deadline that has passed is not set again: the timer would forget that it fired.
            let now = clock::now();
            if now < deadline {
                self.timer.set(deadline);
                if self.timer.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            match self.state.phase {
                SessionPhase::Open => {
                    encode::ping(&mut self.queue.bytes);
                    self.state.last_sent = now;
                    self.state.phase = SessionPhase::Pinged(now);
                    let _ = self.write(cx);
                }
                SessionPhase::Pinged(_) => self.state.end_for(FailureKind::NoPong),
                SessionPhase::Closing => {
                    let end = StreamEnd { is_ours: true, code: None, failure: None };
                    self.state.phase = SessionPhase::Ended(end);
                }
                SessionPhase::Ended(_) => {}
            }
        }
        Poll::Pending
    }
}

impl MessageStream for MqttSession {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        if !self.early.bytes.is_empty() {
            let early = std::mem::take(&mut self.early.bytes);
            self.take_bytes(self.early.read, &early, receive);
        }
        loop {
            let _ = self.write(cx);
            if let SessionPhase::Ended(end) = self.state.phase {
                return Poll::Ready(end);
            }
            match self.connection.poll_read(cx, buffer) {
                Poll::Pending => {
                    let _ = self.poll_deadline(cx);
                    if let SessionPhase::Ended(end) = self.state.phase {
                        return Poll::Ready(end);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => self.state.end_for(FailureKind::AbnormalClose),
                Poll::Ready(Ok(count)) => {
                    self.traffic.received += count as u64;
                    // Taken before parsing: parsing is our work, not the target's.
                    let now = clock::now();
                    self.take_bytes(now, &buffer[..count], receive);
                }
                Poll::Ready(Err(error)) => self.state.end_for(fault::kind_of(&error)),
            }
        }
    }

    /// Messages of MQTT have a topic: they are commands.
    fn send(&mut self, _: Message<'_>) -> bool {
        false
    }

    fn command(&mut self, number: u64, command: BrokerCommand<'_>) -> Result<(), FailureKind> {
        let Self { state, queue, .. } = self;
        if !state.is_open() {
            return Err(FailureKind::Closed);
        }
        match command {
            BrokerCommand::Publish(publish) => state.publish(number, &publish, queue)?,
            BrokerCommand::Subscribe { source, options, subscription, .. } => {
                state.subscribe(number, (source, options.qos), subscription, queue)?;
            }
            // Messages are acknowledged when they are read.
            BrokerCommand::Settle(_) => return Ok(()),
        }
        state.last_sent = clock::now();
        Ok(())
    }

    fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.state.answers.pop_front()
    }

    fn is_held_back(&self) -> bool {
        !self.state.has_room()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        let written = self.write(cx);
        match self.state.phase {
            SessionPhase::Ended(end) => Poll::Ready(Err(end)),
            _ => written.map(Ok),
        }
    }

    fn queued(&self) -> usize {
        self.queue.waiting()
    }

    fn close(&mut self, _: u16, _: &str) {
        if self.state.is_open() {
            encode::disconnect(&mut self.queue.bytes, self.state.settings.version, 0);
            self.state.last_sent = clock::now();
            self.state.phase = SessionPhase::Closing;
        }
    }

    fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }
}
