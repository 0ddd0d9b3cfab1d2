//! Frames out of messages: the sending half of RFC 6455.
//!
//! `stream` hands it messages, and the queue of its connection.
//! Invariant: what a target can make us send (pongs) is bounded.

use crate::wire::link::out_queue::OutQueue;
use crate::wire::message_stream::{Message, MessageKind};
use crate::wire::websocket::deflate::{Compressor, DeflateAgreement};
use crate::wire::websocket::frame::{self, MAX_CONTROL, MaskKeys, NO_CODE, Opcode};

/// Pongs are queued while less than this waits, bytes: a target that does not read gets none.
const MAX_PONGS: usize = 16 << 10;

/// Encodes the frames of one stream.
#[derive(Debug)]
pub(super) struct FrameEncoder {
    keys: MaskKeys,
    /// Boxed: few streams are compressed.
    compressor: Option<Box<Compressor>>,
}

impl FrameEncoder {
    /// Creates an encoder whose masks come from the key of the handshake.
    pub(super) fn new(key: [u8; 16], deflate: Option<DeflateAgreement>) -> Self {
        let compressor = deflate.map(|agreement| Box::new(Compressor::new(agreement)));
        Self { keys: MaskKeys::new(key), compressor }
    }

    /// Queues a message.
    pub(super) fn push(&mut self, out: &mut OutQueue, message: &Message<'_>) {
        let opcode = match message.kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        };
        let compressor = self.compressor.as_mut().filter(|_| !message.payload.is_empty());
        let compressed = compressor.and_then(|compressor| compressor.compress(message.payload));
        let payload = compressed.as_deref().unwrap_or(message.payload);
        let key = self.keys.draw();
        frame::write(&mut out.bytes, opcode, compressed.is_some(), key, payload);
    }

    /// Queues a ping without a payload.
    pub(super) fn push_ping(&mut self, out: &mut OutQueue) {
        let key = self.keys.draw();
        frame::write(&mut out.bytes, Opcode::Ping, false, key, &[]);
    }

    /// Queues the answer to a ping.
    pub(super) fn push_pong(&mut self, out: &mut OutQueue, payload: &[u8]) {
        if out.waiting() < MAX_PONGS {
            let key = self.keys.draw();
            frame::write(&mut out.bytes, Opcode::Pong, false, key, payload);
        }
    }

    /// Queues a close; the reason is cut to what fits. No payload if `code` is 1005.
    pub(super) fn push_close(&mut self, out: &mut OutQueue, code: u16, reason: &str) {
        let mut payload = Vec::with_capacity(MAX_CONTROL);
        if code != NO_CODE {
            payload.extend_from_slice(&code.to_be_bytes());
            let cut = reason.floor_char_boundary(MAX_CONTROL - 2);
            payload.extend_from_slice(&reason.as_bytes()[..cut]);
        }
        let key = self.keys.draw();
        frame::write(&mut out.bytes, Opcode::Close, false, key, &payload);
    }
}
