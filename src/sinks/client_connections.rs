//! Connections of clients of a sink, each with a limit on how long it may block the server.
//!
//! The servers of the dashboard and of metrics accept them from here; a task on the same thread
//! supervises all of them.
//! Invariant: a connection to which nothing could be written for [`MAX_SILENCE`] is closed, whether
//! its client sends a request too slowly or reads a response too slowly.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender};

use crate::clock::{self, Time};

/// Maximum time without a write to a client.
pub const MAX_SILENCE: Duration = Duration::from_secs(15);

/// Maximum connections; further ones are closed.
pub const MAX_CONNECTIONS: usize = 64;

/// The wait after a failed accept, and between two checks of idle connections.
pub const PAUSE: Duration = Duration::from_secs(1);

/// A connection.
#[derive(Debug)]
pub struct ClientConnection {
    stream: TcpStream,
    life: Arc<ConnectionLifetime>,
}

/// The state of a connection that its supervisor sees.
#[derive(Debug, Default)]
pub struct ConnectionLifetime {
    /// Time of the last write, ns.
    since: AtomicU64,
    is_over: AtomicBool,
    /// The tasks that wait to read and to write.
    waiting: Mutex<[Option<Waker>; 2]>,
}

/// Accepted connections, for the server.
#[derive(Debug)]
pub struct ClientListener {
    /// Receives accepted connections.
    pub accepted: Receiver<ClientConnection>,
    /// The local address.
    pub place: SocketAddr,
}

impl axum::serve::Listener for ClientListener {
    type Io = ClientConnection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (ClientConnection, SocketAddr) {
        match self.accepted.recv().await {
            Some(line) => (line, self.place),
            // No connection is accepted any more, because the server is stopping.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.place)
    }
}

/// Accepts connections, and closes those that block the server.
pub async fn attend(listener: TcpListener, accepted: Sender<ClientConnection>, tick: impl Fn()) {
    let mut lives: Vec<Weak<ConnectionLifetime>> = Vec::new();
    let alarm = clock::Timer::new();
    let mut next_look = clock::now() + PAUSE;
    loop {
        tokio::select! {
            taken = listener.accept() => match taken {
                Ok((stream, _)) => {
                    lives.retain(|life| life.strong_count() > 0);
                    if lives.len() < MAX_CONNECTIONS {
                        let line = ClientConnection::new(stream);
                        lives.push(Arc::downgrade(&line.life));
                        if accepted.send(line).await.is_err() {
                            return;
                        }
                    }
                }
                // No descriptor is free: wait instead of spinning until some are closed.
                Err(_) => clock::sleep_until(clock::now() + PAUSE).await,
            },
            () = alarm.wait_until(next_look) => {
                next_look = clock::now() + PAUSE;
                tick();
                let now = clock::now();
                lives.iter().filter_map(Weak::upgrade).for_each(|life| life.look(now));
            }
        }
    }
}

impl ClientConnection {
    fn new(stream: TcpStream) -> Self {
        let life = Arc::new(ConnectionLifetime::default());
        life.since.store(clock::now().0, Relaxed);
        Self { stream, life }
    }

    /// Registers the waker, or returns that the connection is over.
    fn waits(&self, side: usize, cx: &Context<'_>) -> io::Result<()> {
        let mut waiting = self.life.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting[side] = Some(cx.waker().clone());
        drop(waiting);
        if self.life.is_over.load(Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl ConnectionLifetime {
    fn look(&self, now: Time) {
        let silent = now.since(Time(self.since.load(Relaxed)));
        if Duration::from_nanos(silent) < MAX_SILENCE {
            return;
        }
        self.is_over.store(true, Relaxed);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }
}

impl AsyncRead for ClientConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.waits(0, cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ClientConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits(1, cx)?;
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(1..)) = written {
            self.life.since.store(clock::now().0, Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_reads_nothing_is_gone() {
        let life = ConnectionLifetime::default();
        for (at_s, is_over) in [(14, false), (16, true)] {
            life.look(Time(at_s * 1_000_000_000));
            assert_eq!(life.is_over.load(Relaxed), is_over, "{at_s}");
        }
        let life = ConnectionLifetime {
            since: AtomicU64::new(10_000_000_000),
            ..ConnectionLifetime::default()
        };
        life.look(Time(16_000_000_000));
        assert!(!life.is_over.load(Relaxed), "it took something in ten seconds later");
    }
}
