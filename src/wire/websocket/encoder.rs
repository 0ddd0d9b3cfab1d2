//! Frames out of messages: the sending half of RFC 6455.
//!
//! `stream` queues with it and hands the bytes to the kernel.
//! Invariant: what a target can make us send (pongs) is bounded; a queue that is empty holds no
//! buffer.

use std::io;
use std::task::{Context, Poll, ready};

use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::{Message, MessageKind};
use crate::wire::websocket::deflate::{Compressor, DeflateAgreement};
use crate::wire::websocket::frame::{self, MAX_CONTROL, MaskKeys, NO_CODE, Opcode};

/// Pongs are queued while less than this waits, bytes: a target that does not read gets none.
const MAX_PONGS: usize = 16 << 10;

/// The queue of one stream's frames.
#[derive(Debug)]
pub(super) struct FrameQueue {
    keys: MaskKeys,
    /// Boxed: few streams are compressed.
    compressor: Option<Box<Compressor>>,
    /// Frames, of which `written` bytes are with the kernel.
    frames: Vec<u8>,
    written: usize,
}

impl FrameQueue {
    /// Creates a queue whose masks come from the key of the handshake.
    pub(super) fn new(key: [u8; 16], deflate: Option<DeflateAgreement>) -> Self {
        let compressor = deflate.map(|agreement| Box::new(Compressor::new(agreement)));
        Self { keys: MaskKeys::new(key), compressor, frames: Vec::new(), written: 0 }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, message: &Message<'_>) {
        let opcode = match message.kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        };
        let compressor = self.compressor.as_mut().filter(|_| !message.payload.is_empty());
        let compressed = compressor.and_then(|compressor| compressor.compress(message.payload));
        let payload = compressed.as_deref().unwrap_or(message.payload);
        let key = self.keys.draw();
        frame::write(&mut self.frames, opcode, compressed.is_some(), key, payload);
    }

    /// Queues a ping without a payload.
    pub(super) fn push_ping(&mut self) {
        let key = self.keys.draw();
        frame::write(&mut self.frames, Opcode::Ping, false, key, &[]);
    }

    /// Queues the answer to a ping.
    pub(super) fn push_pong(&mut self, payload: &[u8]) {
        if self.waiting() < MAX_PONGS {
            let key = self.keys.draw();
            frame::write(&mut self.frames, Opcode::Pong, false, key, payload);
        }
    }

    /// Queues a close; the reason is cut to what fits. No payload if `code` is 1005.
    pub(super) fn push_close(&mut self, code: u16, reason: &str) {
        let mut payload = Vec::with_capacity(MAX_CONTROL);
        if code != NO_CODE {
            payload.extend_from_slice(&code.to_be_bytes());
            let cut = reason.floor_char_boundary(MAX_CONTROL - 2);
            payload.extend_from_slice(&reason.as_bytes()[..cut]);
        }
        let key = self.keys.draw();
        frame::write(&mut self.frames, Opcode::Close, false, key, &payload);
    }

    /// Bytes that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.frames.len() - self.written
    }

    /// Drops what waits.
    pub(super) fn clear(&mut self) {
        (self.frames, self.written) = (Vec::new(), 0);
    }

    /// Hands what waits to the kernel and adds the bytes to `sent`; ready when nothing waits.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut StreamConnection,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        if self.frames.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.frames.len() {
            let count = ready!(connection.poll_write(cx, &self.frames[self.written..]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            *sent += count as u64;
        }
        ready!(connection.poll_flush(cx))?;
        self.clear();
        Poll::Ready(Ok(()))
    }
}
