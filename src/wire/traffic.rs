//! A connection of HTTP/2 whose bytes are counted, frames and all.
//!
//! `http2` gives it to h2, and asks after each exchange what went over it.
//! Invariant: each byte is told to one exchange.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;

/// What went over a connection, frames and all.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) sent: Cell<u64>,
    pub(super) received: Cell<u64>,
    /// What of it exchanges have been told.
    told: Cell<(u64, u64)>,
}

/// A connection whose bytes are counted.
pub(super) struct Counted {
    pub(super) connection: Connection,
    pub(super) traffic: Rc<Traffic>,
}

impl Traffic {
    /// What went over since the last look.
    pub(super) fn take(&self) -> (u64, u64) {
        let now = (self.sent.get(), self.received.get());
        let told = self.told.replace(now);
        (now.0 - told.0, now.1 - told.1)
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = self.connection.poll_fill(cx, buffer);
        let read = (buffer.filled().len() - before) as u64;
        self.traffic.received.set(self.traffic.received.get() + read);
        poll
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = self.connection.poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = poll {
            self.traffic.sent.set(self.traffic.sent.get() + count as u64);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Dropping the connection closes it.
        Poll::Ready(Ok(()))
    }
}
