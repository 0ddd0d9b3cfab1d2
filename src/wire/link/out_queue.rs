//! Bytes of a session that wait for the kernel.
//!
//! Encoders append to it; `message_connection` and the links of Kafka write it.
//! Invariant: an empty queue holds no buffer.

use std::io;
use std::task::{Context, Poll, ready};

use crate::wire::link::stream_connection::StreamConnection;

/// Fewer bytes are not worth a move.
const MIN_DROPPED: usize = 64 << 10;

/// The queue.
#[derive(Debug, Default)]
pub(in crate::wire) struct OutQueue {
    /// What is to be written; encoders append to it.
    pub(in crate::wire) bytes: Vec<u8>,
    /// Of these, how many are with the kernel.
    written: usize,
}

impl OutQueue {
    /// Bytes that wait.
    pub(in crate::wire) fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Forgets what waits.
    pub(in crate::wire) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Drops what was written, once it is most of many bytes: a queue that is never empty would
    /// grow.
    fn drop_written(&mut self) {
        if self.written >= MIN_DROPPED && self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
    }

    /// Hands bytes to the kernel, and adds their number to `sent`; ready when none is left.
    pub(in crate::wire) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut StreamConnection,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.written < self.bytes.len() {
            let Poll::Ready(count) = connection.poll_write(cx, &self.bytes[self.written..])? else {
                self.drop_written();
                return Poll::Pending;
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_never_empty_does_not_grow() {
        let mut queue = OutQueue::default();
        for round in 0..100 {
            // Half of what waits goes to the kernel.
            queue.bytes.extend(std::iter::repeat_n(round, MIN_DROPPED));
            queue.written += queue.waiting() / 2;
            let waiting = queue.bytes[queue.written..].to_vec();
            queue.drop_written();
            assert_eq!(queue.bytes[queue.written..], waiting);
            assert!(queue.bytes.len() <= 3 * MIN_DROPPED, "{}", queue.bytes.len());
        }
    }
}
