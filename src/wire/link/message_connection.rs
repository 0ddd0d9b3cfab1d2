//! The connection of a stream of messages: what waits for the kernel, and how much was moved.
//!
//! WebSockets and the sessions of brokers read and write it; what came with the response that
//! began the stream is read first.
//! Invariant: the time of a read is taken before anything is made of its bytes: parsing is our
//! work, not the target's.

use std::task::{Context, Poll};

use crate::clock::{self, Time};
use crate::stats::FailureKind;
use crate::wire::connect::fault;
use crate::wire::link::out_queue::OutQueue;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::Traffic;
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::EarlyBytes;

/// The connection.
#[derive(Debug)]
pub(in crate::wire) struct MessageConnection {
    connection: StreamConnection,
    early: EarlyBytes,
    /// What is to be written.
    pub(in crate::wire) out: OutQueue,
    traffic: Traffic,
    _count: OpenStreamCount,
}

impl MessageConnection {
    /// Takes over a connection, and what was read on it after the response.
    pub(in crate::wire) fn new(
        (connection, count): (StreamConnection, OpenStreamCount),
        early: EarlyBytes,
    ) -> Self {
        let (out, traffic) = (OutQueue::default(), Traffic::default());
        Self { connection, early, out, traffic, _count: count }
    }

    /// Reads once, into the start of `buffer`. Ready with the time of the read and the number of
    /// bytes, which is not 0; the end of the connection is the failure `AbnormalClose`.
    pub(in crate::wire) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<(Time, usize), FailureKind>> {
        if !self.early.bytes.is_empty() {
            return Poll::Ready(Ok((self.early.read, self.early.take(buffer))));
        }
        match self.connection.poll_read(cx, buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => Poll::Ready(Err(FailureKind::AbnormalClose)),
            Poll::Ready(Ok(count)) => {
                self.traffic.received += count as u64;
                Poll::Ready(Ok((clock::now(), count)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(fault::kind_of(&error))),
        }
    }

    /// Writes what waits; ready when nothing is left. After a failure nothing waits any more.
    pub(in crate::wire) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FailureKind>> {
        let written = self.out.poll_write(cx, &mut self.connection, &mut self.traffic.sent);
        written.map_err(|error| {
            self.out.clear();
            fault::kind_of(&error)
        })
    }

    /// The bytes that were moved since the last call.
    pub(in crate::wire) fn take_traffic(&mut self) -> Traffic {
        std::mem::take(&mut self.traffic)
    }
}
