//! The queue of messages for one connection: filled by any thread, emptied by the connection.
//!
//! Topics fill it, the task of a connection takes from it.
//! Invariant: at most [`MAX_BYTES`] and [`MAX_PACKETS`] wait; what comes beyond them is not queued,
//! so one slow reader delays no other.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;

use crate::clock::Time;

/// Bytes that may wait for one connection, if the last packet found less.
const MAX_BYTES: usize = 1 << 20;
/// Packets that may wait for one connection.
const MAX_PACKETS: usize = 4_096;

/// Bytes ready to be written, and how many messages they are. A clone shares the bytes.
#[derive(Clone, Debug)]
pub(in crate::testserver) struct Packet {
    pub bytes: Bytes,
    pub messages: u32,
    /// When the message was received from a client; `None` if it is of the server itself, or is
    /// written again.
    pub received: Option<Time>,
}

impl Packet {
    /// Creates a packet of one message.
    pub fn one(bytes: impl Into<Bytes>) -> Self {
        Self::of(bytes, 1)
    }

    /// Creates a packet of some messages, which may be none: a comment, for instance.
    pub fn of(bytes: impl Into<Bytes>, messages: u32) -> Self {
        Self { bytes: bytes.into(), messages, received: None }
    }

    /// Returns the packet with the time when its message was received.
    #[must_use]
    pub fn with_received(self, received: Option<Time>) -> Self {
        Self { received, ..self }
    }
}

/// The queue of a connection.
#[derive(Debug, Default)]
pub(in crate::testserver) struct DeliveryQueue(Mutex<QueuedPackets>);

#[derive(Debug, Default)]
struct QueuedPackets {
    packets: VecDeque<Packet>,
    bytes: usize,
    waker: Option<Waker>,
}

impl DeliveryQueue {
    /// Adds a packet and wakes the connection; returns false if the queue is full.
    pub fn push(&self, packet: Packet) -> bool {
        let mut queued = self.lock();
        if queued.bytes >= MAX_BYTES || queued.packets.len() >= MAX_PACKETS {
            return false;
        }
        queued.bytes += packet.bytes.len();
        queued.packets.push_back(packet);
        let waker = queued.waker.take();
        drop(queued);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Moves all packets to `taken`; if there are none, the task is woken by the next one.
    pub fn poll_take(&self, cx: &Context<'_>, taken: &mut VecDeque<Packet>) -> bool {
        let mut queued = self.lock();
        if queued.packets.is_empty() {
            match &mut queued.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return false;
        }
        queued.bytes = 0;
        taken.extend(queued.packets.drain(..));
        // An idle connection must not keep the memory of a burst.
        if queued.packets.capacity() > 64 {
            queued.packets = VecDeque::new();
        }
        true
    }

    /// Removes all packets; returns how many messages they were.
    pub fn clear(&self) -> u64 {
        let mut queued = self.lock();
        queued.bytes = 0;
        queued.packets.drain(..).map(|packet| u64::from(packet.messages)).sum()
    }

    fn lock(&self) -> MutexGuard<'_, QueuedPackets> {
        // Nothing panics while holding the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn full_queue_takes_no_more_until_it_is_emptied() {
        let queue = DeliveryQueue::default();
        for _ in 0..MAX_PACKETS {
            assert!(queue.push(Packet::one("a")));
        }
        assert!(!queue.push(Packet::one("a")));
        let mut taken = VecDeque::new();
        let cx = Context::from_waker(Waker::noop());
        assert!(queue.poll_take(&cx, &mut taken));
        assert_eq!(taken.len(), MAX_PACKETS);
        assert!(!queue.poll_take(&cx, &mut taken));
        assert!(queue.push(Packet::one(vec![b'x'; MAX_BYTES])));
        assert!(!queue.push(Packet::one("a")), "its bytes are full");
        assert_eq!(queue.clear(), 1);
        assert!(queue.push(Packet::one("a")));
    }
}
