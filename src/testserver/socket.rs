//! The socket of a client, with what was read from it and not yet used.
//!
//! `connection` speaks HTTP/1.1 over it, streams take it over.
//! Invariant: a read appends at most one buffer of the thread; an idle socket holds no read buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::head::MAX_HEAD;
use super::reply::Response;
use super::shared::ServerShared;
use crate::clock::{self, Timer};

/// How long a closing connection still reads, so that a reset does not destroy its last response.
const LINGER: Duration = Duration::from_secs(1);

/// State that the connections of one thread share.
#[derive(Debug)]
pub(super) struct ThreadContext {
    pub shared: Arc<ServerShared>,
    /// The buffer that sockets are read into.
    read: RefCell<Box<[u8]>>,
    pub reply: RefCell<Response>,
}

impl ThreadContext {
    pub fn new(shared: Arc<ServerShared>) -> Self {
        let read = RefCell::new(vec![0; 16 << 10].into_boxed_slice());
        Self { shared, read, reply: RefCell::new(Response::new()) }
    }
}

/// The socket of a client.
pub(super) struct ClientSocket {
    pub stream: TcpStream,
    pub local: Rc<ThreadContext>,
    /// Read and not yet used.
    pub input: Vec<u8>,
    /// Rendered and not yet written.
    pub output: Vec<u8>,
}

impl ClientSocket {
    pub fn new(stream: TcpStream, local: Rc<ThreadContext>) -> Self {
        Self { stream, local, input: Vec::new(), output: Vec::new() }
    }

    /// The address of the client.
    pub fn address(&self) -> io::Result<IpAddr> {
        self.stream.peer_addr().map(|address| address.ip())
    }

    /// Reads once and appends to the input; 0 at the end.
    pub async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.local.read.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        // Not `try_read`: this one knows that a short read has emptied the socket, and saves a call
        // that would only return `WouldBlock`.
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Ready when the client has closed. What it sends meanwhile is kept for the next request, up
    /// to the limit of the input.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.input.len() <= MAX_HEAD {
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// Writes what has been rendered.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
            self.output.shrink_to(4 << 10);
        }
        Ok(())
    }

    /// Reads and discards until the client closes.
    pub async fn discard(&mut self) -> io::Result<()> {
        while self.read().await? > 0 {
            self.input.clear();
        }
        Ok(())
    }

    /// Closes for writing, and reads on for [`LINGER`].
    pub async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let timer = Timer::new();
        tokio::select! {
            done = self.discard() => done,
            () = timer.wait_until(clock::now() + LINGER) => Ok(()),
        }
    }
}
