//! A connection to a target, read into the shard's one buffer.
//!
//! `open` makes it, `http1` and `http2` use it; a user or a pool keeps it between calls.
//! Invariant: an idle connection holds no buffer of ours.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio_rustls::client::TlsStream;

use crate::clock::Time;
use crate::plan::operation::Operation;
use crate::wire::broker::amqp::limits::AmqpLimits;
use crate::wire::framed::connection_session::ConnectionSession;
use crate::wire::framed::sql_session::{SessionChanges, SqlSession};
use crate::wire::websocket::byte_pipe::BytePipe;

/// An open connection.
#[derive(Debug)]
pub(in crate::wire) struct OpenConnection {
    io: Transport,
    /// When the last exchange on the connection ended; `NEVER` before the first.
    pub(in crate::wire) idle_since: Time,
    /// What its protocol knows of it. Boxed: connections of HTTP hold no room for it.
    pub(in crate::wire) session: Option<Box<ConnectionSession>>,
}

/// What carries its bytes.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
    /// A socket with one peer; each read is a datagram.
    Udp(UdpSocket),
}

impl OpenConnection {
    /// A connection that has carried nothing yet.
    pub(super) const fn new(io: Transport) -> Self {
        Self { io, idle_since: Time::NEVER, session: None }
    }

    /// What a connection to PostgreSQL knows; `None` before its first exchange.
    pub(in crate::wire) fn sql_session(&self) -> Option<&SqlSession> {
        match self.session.as_deref() {
            Some(ConnectionSession::Sql(session)) => Some(session),
            _ => None,
        }
    }

    /// Notes what an exchange changed of a connection to PostgreSQL.
    pub(in crate::wire) fn note_sql(&mut self, operation: &Operation, changes: SessionChanges) {
        let empty = || Box::new(ConnectionSession::Sql(SqlSession::default()));
        if let ConnectionSession::Sql(session) = &mut **self.session.get_or_insert_with(empty) {
            session.note(operation, changes);
        }
    }

    /// What a connection to a broker of AMQP agreed on.
    pub(in crate::wire) fn amqp_limits(&self) -> AmqpLimits {
        match self.session.as_deref() {
            Some(ConnectionSession::Amqp(limits)) => *limits,
            _ => AmqpLimits::default(),
        }
    }

    /// The number of the address that a connection to a cluster of Kafka was opened to: 0 for the
    /// one of the URL.
    pub(in crate::wire) fn bootstrap_place(&self) -> usize {
        match self.session.as_deref() {
            Some(ConnectionSession::Kafka(place)) => *place,
            _ => 0,
        }
    }

    /// Reads available bytes into `buffer`, or registers for more. Zero bytes mean the end.
    #[inline]
    pub(in crate::wire) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        self.poll_fill(cx, &mut read).map_ok(|()| read.filled().len())
    }

    /// As `poll_read`, into a buffer that counts its bytes.
    #[inline]
    pub(in crate::wire) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.session.is_some() && self.pipe().is_some() {
            return self.poll_fill_from_pipe(cx, read);
        }
        self.poll_fill_raw(cx, read)
    }

    #[inline]
    fn poll_fill_raw(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_read(cx, read),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, read),
            Transport::Unix(unix) => Pin::new(unix).poll_read(cx, read),
            Transport::Udp(udp) => match udp.poll_recv(cx, read) {
                // What an earlier datagram met is reported by no event: that nothing listens there.
                Poll::Pending => match udp.take_error()? {
                    Some(error) => Poll::Ready(Err(error)),
                    None => Poll::Pending,
                },
                ready @ Poll::Ready(_) => ready,
            },
        }
    }

    /// Returns the protocol that ALPN negotiated, if any.
    pub(in crate::wire) fn negotiated_protocol(&self) -> Option<&[u8]> {
        match &self.io {
            Transport::Tls(tls) => tls.get_ref().1.alpn_protocol(),
            Transport::Tcp(_) | Transport::Unix(_) | Transport::Udp(_) => None,
        }
    }

    /// Hands bytes to the kernel; returns how many it took.
    #[inline]
    pub(in crate::wire) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.session.is_some() && self.pipe().is_some() {
            return self.poll_write_to_pipe(cx, bytes);
        }
        self.poll_write_raw(cx, bytes)
    }

    #[inline]
    fn poll_write_raw(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
            Transport::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
            Transport::Udp(udp) => udp.poll_send(cx, bytes),
        }
    }

    /// Flushes what TLS has buffered; does nothing for plain TCP.
    pub(in crate::wire) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.is_some() {
            ready!(self.poll_drain_pipe(cx))?;
        }
        match &mut self.io {
            Transport::Tcp(_) | Transport::Unix(_) | Transport::Udp(_) => Poll::Ready(Ok(())),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    /// The frames of WebSocket that carry its bytes; `None` if they go as they are.
    fn pipe(&mut self) -> Option<&mut BytePipe> {
        match self.session.as_deref_mut() {
            Some(ConnectionSession::WebSocket(pipe)) => Some(pipe),
            _ => None,
        }
    }

    #[cold]
    fn poll_fill_from_pipe(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.pipe().is_none_or(|pipe| pipe.take(read) || pipe.is_closed()) {
                return Poll::Ready(Ok(()));
            }
            // The bytes of frames pass through the caller's buffer.
            let before = read.filled().len();
            ready!(self.poll_fill_raw(cx, read))?;
            let frames = &read.filled()[before..];
            let is_end = frames.is_empty();
            let Some(ConnectionSession::WebSocket(pipe)) = self.session.as_deref_mut() else {
                return Poll::Ready(Ok(()));
            };
            let fed = pipe.feed(frames);
            read.set_filled(before);
            fed?;
            if is_end {
                return Poll::Ready(Ok(()));
            }
            // A ping is answered now; what the kernel does not take goes with the next write.
            let _ = self.poll_drain_pipe(cx)?;
        }
    }

    /// Takes all bytes as one frame, unless an earlier one still waits for the kernel.
    #[cold]
    fn poll_write_to_pipe(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain_pipe(cx))?;
        if let Some(pipe) = self.pipe() {
            pipe.frame(bytes);
        }
        // The flush, which follows, waits for the rest.
        let _ = self.poll_drain_pipe(cx)?;
        Poll::Ready(Ok(bytes.len()))
    }

    /// Hands frames to the kernel.
    #[cold]
    fn poll_drain_pipe(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(frames) = self.pipe().and_then(BytePipe::begin_write) else {
            return Poll::Ready(Ok(()));
        };
        let mut written = 0;
        let done = loop {
            if written == frames.len() {
                break Poll::Ready(Ok(()));
            }
            match self.poll_write_raw(cx, &frames[written..]) {
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if let Some(pipe) = self.pipe() {
            pipe.end_write(frames, written);
        }
        done
    }

    /// Whether an idle connection can carry another request: it has neither ended nor received
    /// bytes that belong to no request. Costs no system call unless the kernel has reported
    /// something.
    #[inline]
    pub(in crate::wire) fn is_fresh(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> bool {
        match &mut self.io {
            Transport::Tcp(tcp) => tcp.poll_read_ready(cx).is_pending() || would_block(tcp, buffer),
            Transport::Unix(unix) => {
                let mut read = ReadBuf::new(buffer);
                Pin::new(unix).poll_read(cx, &mut read).is_pending()
            }
            Transport::Udp(udp) => discard(udp, buffer),
            // TLS may have session tickets to read; only its end or application data matter.
            Transport::Tls(tls) => {
                let mut read = ReadBuf::new(buffer);
                Pin::new(tls.as_mut()).poll_read(cx, &mut read).is_pending()
            }
        }
    }
}

/// Discards datagrams that belong to no request any more. Returns whether the socket can be used.
fn discard(udp: &UdpSocket, buffer: &mut [u8]) -> bool {
    for _ in 0..MAX_STALE {
        match udp.try_recv(buffer) {
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
    false
}

/// Maximum datagrams that are discarded before a socket is replaced.
const MAX_STALE: usize = 64;

fn would_block(tcp: &TcpStream, buffer: &mut [u8]) -> bool {
    matches!(tcp.try_read(buffer), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
