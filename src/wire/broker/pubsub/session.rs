//! A session at a server with channels: publishes, subscribes, and hands messages on.
//!
//! `opening` makes it; `engine::streams` polls it through `MessageStream`.
//! Invariant: each way it can end is a [`StreamEnd`], within a deadline once we close it.

use std::task::{Context, Poll};

use super::command_queue::{ChannelSubscription, CommandQueue};
use super::dialect::PubSubDialect;
use crate::clock::{self, Time, Timer};
use crate::stats::FailureKind;
use crate::wire::broker::command::{BrokerCommand, CommandAnswer};
use crate::wire::link::message_connection::MessageConnection;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamSettings, Traffic};
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::EarlyBytes;

/// The session.
#[derive(Debug)]
pub(in crate::wire) struct PubSubSession<D> {
    dialect: D,
    connection: MessageConnection,
    commands: CommandQueue,
    phase: PubSubPhase,
    timer: Timer,
    close_ns: u64,
}

#[derive(Clone, Copy, Debug)]
enum PubSubPhase {
    Open,
    /// It ends when what is queued is with the kernel, or then.
    Closing(Time),
    Ended(StreamEnd),
}

impl<D: PubSubDialect> PubSubSession<D> {
    pub(in crate::wire) fn new(
        dialect: D,
        (connection, count): (StreamConnection, OpenStreamCount),
        early: EarlyBytes,
        settings: &StreamSettings,
    ) -> Self {
        Self {
            dialect,
            connection: MessageConnection::new((connection, count), early),
            commands: CommandQueue::default(),
            phase: PubSubPhase::Open,
            timer: Timer::new(),
            close_ns: settings.close.as_nanos() as u64,
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, PubSubPhase::Open)
    }

    /// Ends it, unless it has ended; after we began to close, the target's end is a regular one.
    fn end_for(&mut self, kind: FailureKind) {
        let failed = StreamEnd { is_ours: false, code: None, failure: Some(kind) };
        self.phase = match self.phase {
            PubSubPhase::Open => PubSubPhase::Ended(failed),
            PubSubPhase::Closing(_) => {
                PubSubPhase::Ended(StreamEnd { is_ours: true, code: None, failure: None })
            }
            ended @ PubSubPhase::Ended(_) => ended,
        };
    }

    /// Takes bytes that were read at `now`.
    fn take_bytes(&mut self, now: Time, bytes: &[u8], receive: &mut dyn FnMut(Time, Message<'_>)) {
        match self.dialect.feed(bytes, now, &mut self.commands, receive) {
            Ok(None) => {}
            Ok(Some(code)) => {
                let end = StreamEnd { is_ours: false, code: Some(code), failure: None };
                if self.is_open() {
                    self.phase = PubSubPhase::Ended(end);
                }
            }
            Err(kind) => self.end_for(kind),
        }
    }

    /// Writes what waits; an error ends the session, unless it has ended.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.connection.poll_write(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(kind)) => self.end_for(kind),
        }
        Poll::Ready(())
    }

    /// Ends a session that closes, once all is written or its time is over.
    fn poll_closing(&mut self, cx: &mut Context<'_>, written: Poll<()>) {
        let PubSubPhase::Closing(until) = self.phase else { return };
        let now = clock::now();
        if written.is_pending() && now < until {
            self.timer.set(until);
            if self.timer.poll(cx).is_pending() {
                return;
            }
        }
        self.phase = PubSubPhase::Ended(StreamEnd { is_ours: true, code: None, failure: None });
    }
}

impl<D: PubSubDialect> MessageStream for PubSubSession<D> {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        loop {
            let written = self.write(cx);
            self.poll_closing(cx, written);
            if let PubSubPhase::Ended(end) = self.phase {
                return Poll::Ready(end);
            }
            match self.connection.poll_read(cx, buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok((now, count))) => self.take_bytes(now, &buffer[..count], receive),
                Poll::Ready(Err(kind)) => self.end_for(kind),
            }
        }
    }

    /// Messages have a channel: they are commands.
    fn send(&mut self, _: Message<'_>) -> bool {
        false
    }

    fn command(&mut self, number: u64, command: BrokerCommand<'_>) -> Result<(), FailureKind> {
        if !self.is_open() {
            return Err(FailureKind::Closed);
        }
        let out = &mut self.connection.out.bytes;
        match command {
            BrokerCommand::Publish(message) => {
                self.dialect.publish(&message, out)?;
                self.commands.add(number, true);
            }
            BrokerCommand::Subscribe { source, subscription, .. } => {
                self.dialect.subscribe(source, out)?;
                self.commands.add(number, false);
                let subscription =
                    ChannelSubscription { number: subscription, source: source.into() };
                self.commands.subscriptions.push(subscription);
            }
            // No server with channels expects acknowledgements.
            // No step sends them here: they are Kafka's.
            BrokerCommand::BeginTransaction { .. } | BrokerCommand::CommitTransaction => {
                return Err(FailureKind::Other);
            }
            BrokerCommand::Settle(_) => {}
        }
        Ok(())
    }

    fn take_answer(&mut self) -> Option<CommandAnswer> {
        self.commands.answers.pop_front()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        let written = self.write(cx);
        match self.phase {
            PubSubPhase::Ended(end) => Poll::Ready(Err(end)),
            _ => written.map(Ok),
        }
    }

    fn queued(&self) -> usize {
        self.connection.out.waiting()
    }

    fn close(&mut self, _: u16, _: &str) {
        if self.is_open() {
            self.dialect.end(&mut self.connection.out.bytes);
            self.phase = PubSubPhase::Closing(clock::now().after(self.close_ns));
        }
    }

    fn take_traffic(&mut self) -> Traffic {
        self.connection.take_traffic()
    }
}
