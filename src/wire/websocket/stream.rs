//! A WebSocket on its connection: reads, answers pings and closes, and keeps its deadlines.
//!
//! `Wire::open_stream` makes it; `engine::streams` polls it through `MessageStream`.
//! Invariant: each way it can end is a [`StreamEnd`] within a deadline; between two messages it
//! holds no buffer.

use std::task::{Context, Poll};

use crate::clock::{self, Time, Timer};
use crate::stats::FailureKind;
use crate::wire::link::message_connection::MessageConnection;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageStream, StreamEnd, StreamSettings, Traffic};
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::EarlyBytes;
use crate::wire::websocket::decoder::{FrameEvent, MessageDecoder};
use crate::wire::websocket::deflate::DeflateAgreement;
use crate::wire::websocket::encoder::FrameEncoder;
use crate::wire::websocket::frame::NO_CODE;

/// Stands for an end without a close.
const ABNORMAL: u16 = 1006;

/// How long the target may take to close the connection after the closing handshake, or after we
/// failed it, ns.
const LINGER_NS: u64 = 1_000_000_000;
/// Maximum bytes read meanwhile.
const MAX_DISCARDED: u64 = 1 << 20;

/// A WebSocket connection.
#[derive(Debug)]
pub(in crate::wire) struct WebSocketStream {
    connection: MessageConnection,
    decoder: MessageDecoder,
    encoder: FrameEncoder,
    phase: SocketPhase,
    limits: DeadlineLimits,
    timer: Timer,
    /// Why nothing can be written any more.
    write_failure: Option<FailureKind>,
}

/// How long the target may take for what, ns.
#[derive(Clone, Copy, Debug)]
struct DeadlineLimits {
    ping: Option<u64>,
    pong: u64,
    close: u64,
}

#[derive(Clone, Copy, Debug)]
enum SocketPhase {
    Open,
    /// Our ping waits for its pong.
    Pinged,
    /// Our close waits for the target's.
    Closing,
    /// The end is decided; the target closes the connection, or we do. Bytes read meanwhile.
    Ending(StreamEnd, u64),
}

impl WebSocketStream {
    pub(in crate::wire) fn new(
        (connection, count): (StreamConnection, OpenStreamCount),
        early: EarlyBytes,
        settings: &StreamSettings,
        key: [u8; 16],
        deflate: Option<DeflateAgreement>,
    ) -> Self {
        let ns = |duration: std::time::Duration| duration.as_nanos() as u64;
        let limits = DeadlineLimits {
            ping: settings.ping.map(ns),
            pong: ns(settings.pong),
            close: ns(settings.close),
        };
        let mut stream = Self {
            connection: MessageConnection::new((connection, count), early),
            decoder: MessageDecoder::new(settings.max_message, deflate),
            encoder: FrameEncoder::new(key, deflate),
            phase: SocketPhase::Open,
            limits,
            timer: Timer::new(),
            write_failure: None,
        };
        stream.expect_life(clock::now());
        stream
    }

    /// Sets the time of the next ping.
    #[inline]
    fn expect_life(&mut self, now: Time) {
        if let (Some(ping), SocketPhase::Open) = (self.limits.ping, self.phase) {
            self.timer.set(now.after(ping));
        }
    }

    /// Takes bytes that were read at `now`.
    fn take_bytes(&mut self, now: Time, bytes: &[u8], receive: &mut dyn FnMut(Time, Message<'_>)) {
        if let SocketPhase::Ending(_, discarded) = &mut self.phase {
            *discarded += bytes.len() as u64;
            return;
        }
        let Self { decoder, encoder, connection, phase, .. } = self;
        let out = &mut connection.out;
        let fed = decoder.feed(bytes, &mut |event| match event {
            FrameEvent::Message(kind, payload) => {
                receive(now, Message::new(kind, payload));
            }
            FrameEvent::Ping(payload) => {
                if matches!(phase, SocketPhase::Open | SocketPhase::Pinged) {
                    encoder.push_pong(out, payload);
                }
            }
            FrameEvent::Pong => {
                if matches!(phase, SocketPhase::Pinged) {
                    *phase = SocketPhase::Open;
                }
            }
            FrameEvent::Close(code) => {
                let is_ours = matches!(phase, SocketPhase::Closing);
                let code = code.unwrap_or(NO_CODE);
                if !is_ours {
                    encoder.push_close(out, code, "");
                }
                *phase =
                    SocketPhase::Ending(StreamEnd { is_ours, code: Some(code), failure: None }, 0);
            }
        });
        if let Err(kind) = fed {
            self.fail(kind);
        }
        match self.phase {
            SocketPhase::Ending(..) => self.timer.set(now.after(LINGER_NS.min(self.limits.close))),
            _ => self.expect_life(now),
        }
    }

    /// Ends the stream because the target broke a rule or a limit.
    #[cold]
    fn fail(&mut self, kind: FailureKind) {
        let code = match kind {
            FailureKind::InvalidUtf8 | FailureKind::BadCompression => 1007,
            FailureKind::TooManyFragments => 1008,
            FailureKind::MessageTooLarge | FailureKind::NoRoomForMessage => 1009,
            _ => 1002,
        };
        if !matches!(self.phase, SocketPhase::Closing) {
            self.encoder.push_close(&mut self.connection.out, code, kind.name());
        }
        let end = StreamEnd { is_ours: true, code: Some(code), failure: Some(kind) };
        self.phase = SocketPhase::Ending(end, 0);
    }

    /// The end of a connection that ends now, for `failure`.
    fn end_without_close(&self, failure: FailureKind) -> StreamEnd {
        match self.phase {
            SocketPhase::Ending(end, _) => end,
            phase => StreamEnd {
                is_ours: !matches!(phase, SocketPhase::Open | SocketPhase::Pinged)
                    || failure == FailureKind::NoPong,
                code: Some(ABNORMAL),
                failure: Some(failure),
            },
        }
    }

    /// Writes what waits. What a target sent before it stopped to read can still be read, so an
    /// error here ends only the writing.
    fn write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.connection.poll_write(cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(kind)) => self.write_failure = Some(kind),
        }
        Poll::Ready(())
    }

    /// Handles a deadline that has passed; ready if it ends the stream.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<StreamEnd> {
        if self.limits.ping.is_none() && matches!(self.phase, SocketPhase::Open) {
            return Poll::Pending;
        }
        while self.timer.poll(cx).is_ready() {
            match self.phase {
                SocketPhase::Open => {
                    self.encoder.push_ping(&mut self.connection.out);
                    self.phase = SocketPhase::Pinged;
                    self.timer.set(clock::now().after(self.limits.pong));
                    let _ = self.write(cx);
                }
                SocketPhase::Pinged => {
                    return Poll::Ready(self.end_without_close(FailureKind::NoPong));
                }
                SocketPhase::Closing => {
                    return Poll::Ready(self.end_without_close(FailureKind::NoClose));
                }
                SocketPhase::Ending(end, _) => return Poll::Ready(end),
            }
        }
        Poll::Pending
    }
}

impl MessageStream for WebSocketStream {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        loop {
            let _ = self.write(cx);
            if let SocketPhase::Ending(end, MAX_DISCARDED..) = self.phase {
                return Poll::Ready(end);
            }
            match self.connection.poll_read(cx, buffer) {
                Poll::Pending => return self.poll_deadline(cx),
                Poll::Ready(Ok((now, count))) => self.take_bytes(now, &buffer[..count], receive),
                Poll::Ready(Err(kind)) => return Poll::Ready(self.end_without_close(kind)),
            }
        }
    }

    fn send(&mut self, message: Message<'_>) -> bool {
        let is_open = matches!(self.phase, SocketPhase::Open | SocketPhase::Pinged)
            && self.write_failure.is_none();
        if is_open {
            self.encoder.push(&mut self.connection.out, &message);
        }
        is_open
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        let written = self.write(cx);
        match self.write_failure {
            Some(kind) => Poll::Ready(Err(self.end_without_close(kind))),
            None => written.map(Ok),
        }
    }

    fn queued(&self) -> usize {
        self.connection.out.waiting()
    }

    fn close(&mut self, code: u16, reason: &str) {
        if !matches!(self.phase, SocketPhase::Open | SocketPhase::Pinged) {
            return;
        }
        self.encoder.push_close(&mut self.connection.out, code, reason);
        self.phase = SocketPhase::Closing;
        self.timer.set(clock::now().after(self.limits.close));
    }

    fn take_traffic(&mut self) -> Traffic {
        self.connection.take_traffic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_stream_is_small() {
        let size = size_of::<WebSocketStream>();
        assert!(size <= 400, "{size} bytes");
    }
}
