//! The bytes of another protocol within binary messages of WebSocket: MQTT (5.0, §6.0).
//!
//! `connect::connection` reads and writes through it, once `framed::websocket_login` has upgraded
//! the connection.
//! Invariant: a packet may span messages, and a message hold several packets: only the order of the
//! bytes counts. What a target can make us keep is bounded.

use std::io;

use tokio::io::ReadBuf;

use super::decoder::{FrameEvent, MessageDecoder};
use super::frame::{self, MaskKeys, Opcode};
use crate::stats::FailureKind;
use crate::wire::message_stream::MessageKind;

/// The longest message accepted, bytes.
const MAX_MESSAGE: u64 = 16 << 20;

/// Pongs are queued while less than this waits, bytes.
const MAX_PONGS: usize = 16 << 10;

/// The close code of messages that a protocol does not allow: text.
const UNSUPPORTED: u16 = 1003;

/// The close code of a regular end.
const NORMAL: u16 = 1000;

/// The messages of a connection.
#[derive(Debug)]
pub(in crate::wire) struct BytePipe {
    decoder: MessageDecoder,
    keys: MaskKeys,
    /// Bytes of messages, of which `taken` were handed on.
    incoming: Vec<u8>,
    taken: usize,
    /// Frames that wait for the kernel.
    outgoing: Vec<u8>,
    is_closed: bool,
}

impl BytePipe {
    /// The pipe of a connection that was upgraded with this key; `early` came with the response.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub(in crate::wire) fn new(key: [u8; 16], early: &[u8]) -> io::Result<Self> {
        let mut pipe = Self {
            decoder: MessageDecoder::new(MAX_MESSAGE, None),
            keys: MaskKeys::new(key),
            incoming: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            is_closed: false,
        };
        pipe.feed(early)?;
        Ok(pipe)
    }

    /// Takes bytes of frames.
    ///
    /// # Errors
    /// `InvalidData` with the kind as its text, if they are no frames, or a message is text.
    pub(in crate::wire) fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { decoder, keys, incoming, outgoing, is_closed, .. } = self;
        let mut is_text = false;
        let close = |outgoing: &mut Vec<u8>, keys: &mut MaskKeys, code: u16| {
            frame::write(outgoing, Opcode::Close, false, keys.draw(), &code.to_be_bytes());
        };
        let fed = decoder.feed(bytes, &mut |event| match event {
            FrameEvent::Message(MessageKind::Binary, payload) => {
                incoming.extend_from_slice(payload);
            }
            FrameEvent::Message(MessageKind::Text, _) => is_text = true,
            FrameEvent::Ping(payload) if outgoing.len() < MAX_PONGS => {
                frame::write(outgoing, Opcode::Pong, false, keys.draw(), payload);
            }
            FrameEvent::Ping(_) | FrameEvent::Pong => {}
            FrameEvent::Close(_) => {
                close(outgoing, keys, NORMAL);
                *is_closed = true;
            }
        });
        if is_text {
            close(outgoing, keys, UNSUPPORTED);
        }
        let fed = if is_text { Err(FailureKind::BadFrame) } else { fed };
        fed.map_err(|kind| io::Error::new(io::ErrorKind::InvalidData, BadPipe(kind)))
    }

    /// Moves bytes of messages into `read`; `false` if there are none.
    pub(in crate::wire) fn take(&mut self, read: &mut ReadBuf<'_>) -> bool {
        let left = &self.incoming[self.taken..];
        let here = left.len().min(read.remaining());
        if here == 0 {
            return false;
        }
        read.put_slice(&left[..here]);
        self.taken += here;
        if self.taken == self.incoming.len() {
            (self.incoming, self.taken) = (Vec::new(), 0);
        }
        true
    }

    /// Whether the target has closed it.
    pub(in crate::wire) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Queues bytes as a message.
    pub(in crate::wire) fn frame(&mut self, bytes: &[u8]) {
        frame::write(&mut self.outgoing, Opcode::Binary, false, self.keys.draw(), bytes);
    }

    /// Takes the frames that wait, until [`Self::end_write`]; `None` if none wait.
    pub(in crate::wire) fn begin_write(&mut self) -> Option<Vec<u8>> {
        (!self.outgoing.is_empty()).then(|| std::mem::take(&mut self.outgoing))
    }

    /// Takes frames back of which the kernel has taken a number of bytes.
    pub(in crate::wire) fn end_write(&mut self, mut frames: Vec<u8>, written: usize) {
        frames.drain(..written);
        self.outgoing = frames;
    }
}

/// What is wrong with the bytes of a pipe.
#[derive(Debug)]
pub(in crate::wire) struct BadPipe(pub(in crate::wire) FailureKind);

impl std::fmt::Display for BadPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for BadPipe {}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of a server.
    fn of_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
        [&[opcode, payload.len() as u8][..], payload].concat()
    }

    fn taken(pipe: &mut BytePipe, size: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut bytes = vec![0; size];
            let mut read = ReadBuf::new(&mut bytes);
            if !pipe.take(&mut read) {
                return all;
            }
            all.extend_from_slice(read.filled());
        }
    }

    #[test]
    fn packets_span_messages_and_messages_hold_packets() {
        let frames = [
            of_server(0x82, b"\x20\x03\x00"),
            of_server(0x89, b"?"),
            // A message in two frames.
            of_server(0x02, b"\x00\x00"),
            of_server(0x80, b"\xd0\x00\xd0\x00"),
        ]
        .concat();
        for size in 1..=frames.len() {
            let mut pipe = BytePipe::new([7; 16], b"").unwrap();
            let mut all = Vec::new();
            for piece in frames.chunks(size) {
                pipe.feed(piece).unwrap();
                all.extend(taken(&mut pipe, 2));
            }
            assert_eq!(all, b"\x20\x03\x00\x00\x00\xd0\x00\xd0\x00", "{size}");
            // The ping was answered, masked.
            let pong = pipe.begin_write().unwrap();
            assert_eq!((&pong[..2], pong.len(), pong[6] ^ pong[2]), (&[0x8a, 0x81][..], 7, b'?'));
        }
    }

    #[test]
    fn text_is_refused_and_a_close_is_answered() {
        let mut pipe = BytePipe::new([7; 16], b"").unwrap();
        assert!(pipe.feed(&of_server(0x81, b"a")).is_err());
        assert_eq!(pipe.begin_write().unwrap()[0], 0x88);
        let mut pipe = BytePipe::new([7; 16], &of_server(0x88, b"\x03\xe8")).unwrap();
        assert!(pipe.is_closed());
        let close = pipe.begin_write().unwrap();
        assert_eq!((close[0], close.len()), (0x88, 8));
        pipe.end_write(close, 3);
        assert_eq!(pipe.begin_write().map(|left| left.len()), Some(5));
        assert!(BytePipe::new([7; 16], &[0xff, 0xff]).is_err());
    }
}
