//! Packets on their way into a socket.
//!
//! WebSockets and event streams write with it.
//! Invariant: packets are written whole and in order; each counts as sent when its last byte is
//! handed to the kernel, and the time since the receipt of its message is taken then.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::counts::{ServerStreamCount, ServerStreamCounts};
use super::queue::Packet;
use crate::clock;

/// Packets that one call writes.
const PER_WRITE: usize = 32;

/// The packets to be written to one socket.
#[derive(Debug, Default)]
pub(in crate::testserver) struct PacketWriter {
    /// Packets, the next one first.
    pub packets: VecDeque<Packet>,
    /// Bytes of the first one that are written already.
    written: usize,
}

impl PacketWriter {
    /// Adds a packet of which `written` bytes are written already, which only the first one may be.
    pub fn push(&mut self, packet: Packet, written: usize) {
        if self.packets.is_empty() {
            self.written = written;
        }
        self.packets.push_back(packet);
    }

    /// How many messages wait.
    pub fn messages(&self) -> u64 {
        self.packets.iter().map(|packet| u64::from(packet.messages)).sum()
    }

    /// Writes the packets; ready when there are none.
    pub fn poll_write(
        &mut self,
        stream: &mut TcpStream,
        counts: &ServerStreamCounts,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.packets.is_empty() {
            let mut slices = [IoSlice::new(&[]); PER_WRITE];
            let mut used = 0;
            for (slice, packet) in slices.iter_mut().zip(&self.packets) {
                let skipped = if used == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&packet.bytes[skipped..]);
                used += 1;
            }
            let stream = Pin::new(&mut *stream);
            let mut written = ready!(stream.poll_write_vectored(cx, &slices[..used]))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            written += self.written;
            let (mut sent, mut now) = (0, None);
            while let Some(first) = self.packets.front()
                && first.bytes.len() <= written
            {
                written -= first.bytes.len();
                sent += u64::from(first.messages);
                if let Some(received) = first.received {
                    counts.fan_out.record(*now.get_or_insert_with(clock::now) - received);
                }
                self.packets.pop_front();
            }
            self.written = written;
            counts.add(ServerStreamCount::Sent, sent);
        }
        if self.packets.capacity() > 64 {
            // An idle connection must not keep the memory of a burst.
            self.packets = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }
}
