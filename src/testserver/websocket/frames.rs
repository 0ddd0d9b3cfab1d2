//! The bytes under a WebSocket: a socket that frames can be written to beside tungstenite.
//!
//! Messages for many connections are framed once; their bytes go straight to each socket, between
//! two frames of tungstenite, which keeps reading and answers pings and closes.
//! Invariant: a packet is written whole, and only where tungstenite's own frames begin and end.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::super::shared::ServerShared;
use super::super::streams::counts::StreamCount;
use super::super::streams::queue::{DeliveryQueue, Packet};
use super::super::streams::writer::PacketWriter;

/// Packets of ticks that may wait for one connection.
const MAX_LATE: usize = 1_024;

/// A socket, shared by the task of its connection and the ticks of its thread.
#[derive(Clone)]
pub(super) struct FrameSocket(Rc<RefCell<FrameSocketState>>);

struct FrameSocketState {
    stream: TcpStream,
    shared: Arc<ServerShared>,
    /// Packets to be written.
    packets: PacketWriter,
    /// Whether a frame of tungstenite may be half written.
    is_mid_frame: bool,
    /// The task of the connection.
    task: Option<Waker>,
}

impl FrameSocket {
    pub fn new(stream: TcpStream, shared: Arc<ServerShared>) -> Self {
        Self(Rc::new(RefCell::new(FrameSocketState {
            stream,
            shared,
            packets: PacketWriter::default(),
            is_mid_frame: false,
            task: None,
        })))
    }

    /// Remembers the task that writes what [`Self::send`] could not.
    pub fn set_task(&self, cx: &Context<'_>) {
        let task = &mut self.0.borrow_mut().task;
        match task {
            Some(task) => task.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Takes the packets of a queue, if all earlier ones are written; returns whether there were
    /// any. The task is woken by the next one otherwise.
    pub fn take_from(&self, queue: &DeliveryQueue, cx: &Context<'_>) -> bool {
        let mut state = self.0.borrow_mut();
        queue.poll_take(cx, &mut state.packets.packets)
    }

    /// Writes a packet now, or has the connection's task write it; counts it as overflowed if too
    /// many wait.
    pub fn send(&self, packet: &Packet) {
        let mut state = self.0.borrow_mut();
        let counts = &state.shared.counts.streams;
        let messages = u64::from(packet.messages);
        if state.packets.packets.len() >= MAX_LATE {
            counts.add(StreamCount::Overflowed, messages);
            return;
        }
        let mut written = 0;
        if state.packets.packets.is_empty() && !state.is_mid_frame {
            // An error shows when the connection's task reads.
            written = state.stream.try_write(&packet.bytes).unwrap_or(0);
            if written == packet.bytes.len() {
                counts.add(StreamCount::Sent, messages);
                return;
            }
        }
        state.packets.push(packet.clone(), written);
        if let Some(task) = &state.task {
            task.wake_by_ref();
        }
    }
}

impl FrameSocketState {
    /// Writes the packets; ready when there are none.
    fn poll_packets(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.packets.poll_write(&mut self.stream, &self.shared.counts.streams, cx)
    }
}

impl Drop for FrameSocketState {
    fn drop(&mut self) {
        self.shared.counts.streams.add(StreamCount::Cut, self.packets.messages());
    }
}

impl AsyncRead for FrameSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for FrameSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.0.borrow_mut();
        if !state.is_mid_frame {
            ready!(state.poll_packets(cx))?;
        }
        state.is_mid_frame = true;
        Pin::new(&mut state.stream).poll_write(cx, bytes)
    }

    /// Called when all frames of tungstenite are written.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.borrow_mut();
        state.is_mid_frame = false;
        state.poll_packets(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_shutdown(cx)
    }
}

/// Appends a message as one frame from a server.
pub(super) fn frame(kind: Data, payload: Bytes, out: &mut Vec<u8>) {
    let frame = Frame::message(payload, OpCode::Data(kind), true);
    // Writing into memory cannot fail.
    let _ = frame.format(out);
}
