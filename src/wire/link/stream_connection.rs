//! The connection of a stream, over its user's emulated link if there is one.
//!
//! `websocket`, `events` and `broker` read and write it.
//! Invariant: bytes reach either side no earlier than the link allows, in their order; without a
//! link nothing is buffered, with one no more than is on its way.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use crate::clock::{self, Time, Timer};
use crate::wire::broker::amqp::limits::AmqpLimits;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::link::emulated_link::EmulatedLink;

/// Maximum bytes on their way to the target; more wait at the sender.
const MAX_OUT: usize = 256 << 10;

/// The connection of a stream.
#[derive(Debug)]
pub(in crate::wire) struct StreamConnection {
    connection: OpenConnection,
    /// Boxed: few users have a link.
    link: Option<Box<LinkedTransfer>>,
}

/// What is on its way over a link.
#[derive(Debug)]
struct LinkedTransfer {
    link: Rc<EmulatedLink>,
    /// When the bytes read so far have passed the link's bandwidth.
    passed: Time,
    incoming: VecDeque<BytesOnWay>,
    /// The end of the connection, which follows what is on its way.
    end: Option<io::Result<usize>>,
    read_timer: Timer,
    outgoing: VecDeque<BytesOnWay>,
    /// Why nothing can be written any more.
    broken: Option<io::Error>,
    write_timer: Timer,
}

#[derive(Debug)]
struct BytesOnWay {
    arrives: Time,
    bytes: Vec<u8>,
    /// Bytes that have been handed on.
    done: usize,
}

impl StreamConnection {
    /// Takes a connection over for a stream of a user with this link.
    pub(in crate::wire) fn new(
        connection: OpenConnection,
        link: Option<&Rc<EmulatedLink>>,
    ) -> Self {
        let link = link.map(|link| Box::new(LinkedTransfer::new(Rc::clone(link))));
        Self { connection, link }
    }

    /// The link of its user, if it has one.
    pub(in crate::wire) fn link(&self) -> Option<Rc<EmulatedLink>> {
        self.link.as_ref().map(|transfer| Rc::clone(&transfer.link))
    }

    /// As [`OpenConnection::amqp_limits`].
    pub(in crate::wire) fn amqp_limits(&self) -> AmqpLimits {
        self.connection.amqp_limits()
    }

    /// As [`OpenConnection::bootstrap_place`].
    pub(in crate::wire) fn bootstrap_place(&self) -> usize {
        self.connection.bootstrap_place()
    }

    /// As [`OpenConnection::poll_read`].
    #[inline]
    pub(in crate::wire) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.link {
            None => self.connection.poll_read(cx, buffer),
            Some(link) => link.poll_read(cx, &mut self.connection, buffer),
        }
    }

    /// As [`OpenConnection::poll_write`].
    #[inline]
    pub(in crate::wire) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.link {
            None => self.connection.poll_write(cx, bytes),
            Some(link) => link.poll_write(cx, &mut self.connection, bytes),
        }
    }

    /// As [`OpenConnection::poll_flush`]; what is on its way over the link counts as flushed.
    pub(in crate::wire) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.link {
            None => self.connection.poll_flush(cx),
            Some(_) => Poll::Ready(Ok(())),
        }
    }
}

impl LinkedTransfer {
    fn new(link: Rc<EmulatedLink>) -> Self {
        Self {
            link,
            passed: Time(0),
            incoming: VecDeque::new(),
            end: None,
            read_timer: Timer::new(),
            outgoing: VecDeque::new(),
            broken: None,
            write_timer: Timer::new(),
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut OpenConnection,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.deliver(cx, connection);
        loop {
            let now = clock::now();
            if let Some(front) = self.incoming.front_mut()
                && front.arrives <= now
            {
                let left = &front.bytes[front.done..];
                let count = left.len().min(buffer.len());
                buffer[..count].copy_from_slice(&left[..count]);
                front.done += count;
                if front.done == front.bytes.len() {
                    self.incoming.pop_front();
                }
                return Poll::Ready(Ok(count));
            }
            if self.incoming.is_empty()
                && let Some(end) = self.end.take()
            {
                return Poll::Ready(end);
            }
            let arrives = self.incoming.front().map(|front| front.arrives);
            // Unread bytes fill the kernel's buffer, and then the target has to wait.
            let waits = self.end.is_some() || self.passed > now;
            if waits || self.poll_piece(cx, connection, buffer).is_pending() {
                let passed = Some(self.passed).filter(|passed| *passed > now);
                let Some(next) = arrives.into_iter().chain(passed).min() else {
                    return Poll::Pending;
                };
                self.read_timer.set(next);
                ready!(self.read_timer.poll(cx));
            }
        }
    }

    /// Reads a piece, which is on its way to the user from then on.
    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut OpenConnection,
        buffer: &mut [u8],
    ) -> Poll<()> {
        let length = buffer.len().min(self.link.piece());
        match ready!(connection.poll_read(cx, &mut buffer[..length])) {
            Ok(count) if count > 0 => {
                let is_first = self.incoming.is_empty();
                self.passed = self.link.through(clock::now(), count as u64, is_first);
                let arrives = self.passed.after(self.link.home_ns());
                let bytes = buffer[..count].to_vec();
                self.incoming.push_back(BytesOnWay { arrives, bytes, done: 0 });
            }
            end => self.end = Some(end),
        }
        Poll::Ready(())
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut OpenConnection,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.deliver(cx, connection);
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(error));
        }
        let on_way: usize = self.outgoing.iter().map(|part| part.bytes.len() - part.done).sum();
        if on_way >= MAX_OUT {
            return Poll::Pending;
        }
        let count = bytes.len().min(MAX_OUT);
        let arrives = self.link.out(clock::now(), count as u64);
        self.outgoing.push_back(BytesOnWay { arrives, bytes: bytes[..count].to_vec(), done: 0 });
        self.deliver(cx, connection);
        Poll::Ready(Ok(count))
    }

    /// Hands bytes that have arrived at the target to the kernel; wakes the task for the next ones.
    fn deliver(&mut self, cx: &mut Context<'_>, connection: &mut OpenConnection) {
        while let Some(front) = self.outgoing.front_mut() {
            if front.arrives > clock::now() {
                self.write_timer.set(front.arrives);
                if self.write_timer.poll(cx).is_pending() {
                    return;
                }
                continue;
            }
            match connection.poll_write(cx, &front.bytes[front.done..]) {
                Poll::Pending => return,
                Poll::Ready(Ok(count)) => front.done += count,
                Poll::Ready(Err(error)) => {
                    self.outgoing.clear();
                    self.broken = Some(error);
                    return;
                }
            }
            if front.done == front.bytes.len() {
                self.outgoing.pop_front();
                // What TLS has not handed over is handed over with the next bytes.
                let _ = connection.poll_flush(cx);
            }
        }
    }
}
