//! An HTTP/2 connection that counts its bytes, frames included.
//!
//! `http2` gives it to h2, and takes the counts after each exchange.
//! Invariant: each byte is counted once: at the exchange or stream on the connection that takes the
//! counts next.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::clock::{self, Time};
use crate::stats::FailureKind;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::fault;

/// Bytes that went over a connection, frames included.
#[derive(Debug, Default)]
pub(in crate::wire) struct ConnectionTraffic {
    pub(in crate::wire) sent: Cell<u64>,
    pub(in crate::wire) received: Cell<u64>,
    /// When bytes were last read.
    pub(in crate::wire) last_read: Cell<Time>,
    /// Counts at the last `take`.
    last_taken: Cell<(u64, u64)>,
    /// What [`Self::sent`] is at least once the kernel has all data that h2 has.
    handed: Cell<u64>,
    /// Wake what waits for bytes to be handed to the kernel.
    writing: RefCell<Vec<Waker>>,
    /// The first TLS failure, or a ping without an answer.
    pub(in crate::wire) fault: Cell<Option<FailureKind>>,
    /// Calls and streams that are open, and when the first of them began.
    calls: Cell<(usize, Time)>,
}

/// Counts a call or a stream as open until it is dropped.
#[derive(Debug)]
pub(in crate::wire) struct CallInFlight(Rc<ConnectionTraffic>);

/// A connection that counts its bytes.
pub(in crate::wire) struct CountedIo {
    pub(in crate::wire) connection: OpenConnection,
    pub(in crate::wire) traffic: Rc<ConnectionTraffic>,
    /// Why writing failed. What the target sent before can still be read, as on HTTP/1.1; h2 would
    /// end all streams at once.
    pub(in crate::wire) broken: Option<io::Error>,
}

impl ConnectionTraffic {
    /// Takes the bytes sent and received since the last call.
    pub(in crate::wire) fn take(&self) -> (u64, u64) {
        let now = (self.sent.get(), self.received.get());
        let last_taken = self.last_taken.replace(now);
        (now.0 - last_taken.0, now.1 - last_taken.1)
    }

    /// Calls and streams that are open.
    pub(super) fn calls(&self) -> usize {
        self.calls.get().0
    }

    /// Since when a call or a stream has been open; `None` if none is.
    pub(super) fn busy_since(&self) -> Option<Time> {
        let (calls, since) = self.calls.get();
        (calls > 0).then_some(since)
    }

    /// Notes that h2 has got as many bytes of data. Returns what [`Self::sent`] is at least once
    /// the kernel has them.
    pub(super) fn hand_over(&self, count: usize) -> u64 {
        let handed = self.handed.get().max(self.sent.get()) + count as u64;
        self.handed.set(handed);
        handed
    }

    /// Ready once more than `count` bytes have been handed to the kernel.
    pub(in crate::wire) fn poll_sent(&self, cx: &Context<'_>, count: u64) -> Poll<()> {
        if self.sent.get() > count {
            return Poll::Ready(());
        }
        let mut writing = self.writing.borrow_mut();
        if !writing.iter().any(|known| known.will_wake(cx.waker())) {
            writing.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn note_sent(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
        for waker in self.writing.take() {
            waker.wake();
        }
    }

    /// Keeps the first TLS failure: later errors only report that the connection has ended.
    fn note_fault<T>(&self, poll: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = poll
            && let Some(kind) = fault::of_tls(error)
        {
            self.fault.set(self.fault.get().or(Some(kind)));
        }
    }
}

impl CallInFlight {
    pub(in crate::wire) fn begin(traffic: &Rc<ConnectionTraffic>, at: Time) -> Self {
        let (calls, since) = traffic.calls.get();
        traffic.calls.set((calls + 1, if calls == 0 { at } else { since }));
        Self(Rc::clone(traffic))
    }
}

impl Drop for CallInFlight {
    fn drop(&mut self) {
        let (calls, since) = self.0.calls.get();
        self.0.calls.set((calls - 1, since));
    }
}

impl AsyncRead for CountedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let poll = self.connection.poll_fill(cx, buffer);
        self.traffic.note_fault(&poll);
        let read = (buffer.filled().len() - before) as u64;
        self.traffic.received.set(self.traffic.received.get() + read);
        if read > 0 {
            self.traffic.last_read.set(clock::now());
        }
        // At the end of input, the first failure is the one that ended the connection.
        match self.broken.take() {
            Some(error) if read == 0 && poll.is_ready() => Poll::Ready(Err(error)),
            broken => {
                self.broken = broken;
                poll
            }
        }
    }
}

impl AsyncWrite for CountedIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(bytes.len()));
        }
        match self.connection.poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                self.traffic.note_sent(count);
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) if fault::is_reset(&error) => {
                self.broken = Some(error);
                Poll::Ready(Ok(bytes.len()))
            }
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.connection.poll_flush(cx) {
            Poll::Ready(Err(error)) if fault::is_reset(&error) => {
                self.broken = Some(error);
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Dropping the connection closes it.
        Poll::Ready(Ok(()))
    }
}
