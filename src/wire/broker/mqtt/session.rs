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
use crate::wire::link::message_connection::MessageConnection;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamSettings, Traffic};
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::EarlyBytes;

/// A session of MQTT.
#[derive(Debug)]
pub(in crate::wire) struct MqttSession {
    connection: MessageConnection,
    packets: PacketReader,
    state: SessionState,
    timer: Timer,
    close_ns: u64,
}

impl MqttSession {
    pub(in crate::wire) fn new(
        (connection, count): (StreamConnection, OpenStreamCount),
        early: EarlyBytes,
        settings: &MqttSettings,
        stream: &StreamSettings,
    ) -> Self {
        Self {
            connection: MessageConnection::new((connection, count), early),
            packets: PacketReader::new(settings.max_packet),
            state: SessionState::new(settings),
            timer: Timer::new(),
            close_ns: stream.close.as_nanos() as u64,
        }
    }

    /// Takes bytes that were read at `now`.
    fn take_bytes(&mut self, now: Time, bytes: &[u8], receive: &mut dyn FnMut(Time, Message<'_>)) {
        let Self { packets, state, connection, .. } = self;
        let out = &mut connection.out;
        let mut each = |packet: MqttPacket<'_>| state.take(now, &packet, out, receive);
        if let Err(kind) = packets.feed(bytes, &mut each) {
            self.state.fail(kind, &mut self.connection.out);
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
                    encode::ping(&mut self.connection.out.bytes);
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
                Poll::Ready(Ok((now, count))) => self.take_bytes(now, &buffer[..count], receive),
                Poll::Ready(Err(kind)) => self.state.end_for(kind),
            }
        }
    }

    /// Messages of MQTT have a topic: they are commands.
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
                state.subscribe(number, (source, options.qos), subscription, out)?;
            }
            // Messages are acknowledged when they are read.
            // No step sends them here: they are Kafka's.
            BrokerCommand::BeginTransaction { .. } | BrokerCommand::CommitTransaction => {
                return Err(FailureKind::Other);
            }
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
        self.connection.out.waiting()
    }

    fn close(&mut self, _: u16, _: &str) {
        if self.state.is_open() {
            encode::disconnect(&mut self.connection.out.bytes, self.state.settings.version, 0);
            self.state.last_sent = clock::now();
            self.state.phase = SessionPhase::Closing;
        }
    }

    fn take_traffic(&mut self) -> Traffic {
        self.connection.take_traffic()
    }
}
