//! One connection: requests in, responses out, in order.
//!
//! `server` accepts it and gives it a task; `shared` decides when and how to respond, `shop` fills
//! in the response.
//! Invariant: its failure affects no other connection, and its memory is bounded: input by a head
//! and one read, output by [`MAX_OUTPUT`] and one response, the kept body by `body::MAX_KEPT`. An
//! idle connection holds no read buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::body::RequestBodyReader;
use super::counts::RequestEnd;
use super::fault::InjectedFault;
use super::head::{self, HeadError, MAX_HEAD, RequestHead, RouteMethod};
use super::reply::{AfterResponse, FILLER, MediaType, Response};
use super::shared::{PendingRequest, ServerShared};
use super::shop::{Route, RoutedRequest, hash};
use crate::clock::{self, Timer};
use crate::units::parse_duration;

/// Responses to pipelined requests are written together up to this size, bytes.
const MAX_OUTPUT: usize = 64 << 10;
/// How long a closing connection still reads, so that a reset does not destroy its last response.
const LINGER: Duration = Duration::from_secs(1);

/// State that the connections of one thread share.
#[derive(Debug)]
pub(super) struct ThreadContext {
    pub shared: Arc<ServerShared>,
    /// The buffer that sockets are read into.
    read: RefCell<Box<[u8]>>,
    reply: RefCell<Response>,
}

impl ThreadContext {
    pub fn new(shared: Arc<ServerShared>) -> Self {
        let read = RefCell::new(vec![0; 16 << 10].into_boxed_slice());
        Self { shared, read, reply: RefCell::new(Response::new()) }
    }
}

/// A connection. Dropping it closes and counts it.
struct ServerConnection {
    stream: TcpStream,
    local: Rc<ThreadContext>,
    /// Read and not yet used.
    input: Vec<u8>,
    /// Rendered and not yet written.
    output: Vec<u8>,
    body: Vec<u8>,
}

/// Why a connection ends without an error.
enum ConnectionEnd {
    /// The client closed it, or it is to be closed at once.
    Closed,
    /// The client may still be sending.
    Linger,
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, local: Rc<ThreadContext>) {
    local.shared.counts.opened();
    let (input, output, body) = (Vec::new(), Vec::new(), Vec::new());
    let mut connection = ServerConnection { stream, local, input, output, body };
    // A broken connection concerns only its client.
    if let Ok(ConnectionEnd::Linger) = connection.run().await {
        let _ = connection.linger().await;
    }
}

impl ServerConnection {
    async fn run(&mut self) -> io::Result<ConnectionEnd> {
        loop {
            let head = match head::parse(&self.input) {
                Ok(Some(head)) => head,
                Ok(None) => {
                    self.flush().await?;
                    if self.read().await? == 0 {
                        return Ok(ConnectionEnd::Closed);
                    }
                    continue;
                }
                Err(refusal) => return self.refuse(refusal).await,
            };
            let length = match self.read_body(&head).await? {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(ConnectionEnd::Closed),
                Err(refusal) => return self.refuse(refusal).await,
            };
            if let Some(end) = self.exchange(&head, length).await? {
                return Ok(end);
            }
            self.input.drain(..head.length);
            if self.output.len() > MAX_OUTPUT {
                self.flush().await?;
            }
            if self.input.is_empty() {
                // A single long request must not keep a large buffer.
                self.input.shrink_to(4 << 10);
                self.body.shrink_to(4 << 10);
            }
        }
    }

    /// Reads the body after the head; returns its length, `None` if the client closed.
    async fn read_body(
        &mut self,
        head: &RequestHead,
    ) -> io::Result<Result<Option<u64>, HeadError>> {
        self.body.clear();
        let mut body = match RequestBodyReader::new(head.framing) {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut continued = !head.expects;
        loop {
            let rest = &self.input[head.length..];
            match body.feed(rest, &mut self.body) {
                Ok(used) => drop(self.input.drain(head.length..head.length + used)),
                Err(refusal) => return Ok(Err(refusal)),
            }
            if body.is_done() {
                return Ok(Ok(Some(body.length)));
            }
            if !continued {
                self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                continued = true;
            }
            self.flush().await?;
            if self.read().await? == 0 {
                return Ok(Ok(None));
            }
        }
    }

    /// Responds to a complete request.
    async fn exchange(
        &mut self,
        head: &RequestHead,
        body_length: u64,
    ) -> io::Result<Option<ConnectionEnd>> {
        let bytes = &self.input[..head.length];
        let target = &bytes[head.target.clone()];
        let path = target.split(|b| *b == b'?').next().unwrap_or(target);
        let route = std::str::from_utf8(path).map_or(Route::Missing, Route::of);
        if route.is_control() {
            return self.control(route, head).await;
        }
        let pending = self.local.shared.arrive(route, head.intended, || {
            let line = bytes.split(|b| *b == b'\r').next().unwrap_or(bytes);
            hash(line.iter().chain(&self.body).copied())
        });
        if !self.wait(&pending).await? {
            pending.end(RequestEnd::Gone);
            return Ok(Some(ConnectionEnd::Closed));
        }
        match pending.fault {
            None => {}
            Some(InjectedFault::Status(status)) => {
                self.local.shared.counts.injected();
                self.local.reply.borrow_mut().fill_status(status);
                return self.send(head, Some(pending)).await;
            }
            Some(InjectedFault::Close) => {
                self.flush().await?;
                pending.end(RequestEnd::Close);
                return Ok(Some(ConnectionEnd::Closed));
            }
            Some(InjectedFault::Reset) => {
                self.flush().await?;
                self.stream.set_zero_linger()?;
                pending.end(RequestEnd::Reset);
                return Ok(Some(ConnectionEnd::Closed));
            }
            Some(InjectedFault::Hang) => {
                self.flush().await?;
                pending.end(RequestEnd::Hang);
                return self.discard().await.map(|()| Some(ConnectionEnd::Closed));
            }
        }
        let bytes = &self.input[..head.length];
        if route.allows(head.method, bytes) {
            let request = RoutedRequest { route, head, bytes, body: &self.body, body_length };
            request.respond(&mut self.local.reply.borrow_mut());
        } else {
            route.refuse(&mut self.local.reply.borrow_mut());
        }
        self.send(head, Some(pending)).await
    }

    /// Responds to a request about the server itself, at once.
    async fn control(
        &mut self,
        route: Route,
        head: &RequestHead,
    ) -> io::Result<Option<ConnectionEnd>> {
        let shared = Arc::clone(&self.local.shared);
        if route == Route::Arrivals
            && let Some(log) = &shared.log
        {
            // At most 5 s; a disk that is slower than that shows in the counts.
            for _ in 0..1_000 {
                log.nudge();
                clock::sleep_until(clock::now() + Duration::from_millis(5)).await;
                if log.is_written() {
                    break;
                }
            }
        }
        self.answer_control(route, head);
        self.send(head, None).await
    }

    fn answer_control(&self, route: Route, head: &RequestHead) {
        let shared = &self.local.shared;
        let bytes = &self.input[..head.length];
        let request = RoutedRequest { route, head, bytes, body: &[], body_length: 0 };
        let mut reply = self.local.reply.borrow_mut();
        if !route.allows(head.method, bytes) {
            route.refuse(&mut reply);
        } else if route == Route::Stall {
            let length = request.query("for").and_then(|length| parse_duration(length).ok());
            match length.map(|length| shared.stall_now(length)) {
                Some(true) => reply.fill_status(200),
                Some(false) => reply.fill_status(429),
                None => reply.fill_status(400),
            }
        } else if route == Route::Arrivals && shared.log.is_none() {
            reply.fill_status(404);
        } else {
            reply.reset(MediaType::Json);
            reply.text(&shared.stats());
        }
    }

    /// Writes the response, or leaves it for the next one in the pipeline.
    async fn send(
        &mut self,
        head: &RequestHead,
        pending: Option<PendingRequest>,
    ) -> io::Result<Option<ConnectionEnd>> {
        let after = match (head.keep_alive, head.old) {
            (false, _) => AfterResponse::Close,
            (true, true) => AfterResponse::KeepSaid,
            (true, false) => AfterResponse::Keep,
        };
        let mut filler = {
            let reply = self.local.reply.borrow();
            // Counted before the client can see it: its next request of /stats includes it.
            if let Some(pending) = pending {
                pending.end(RequestEnd::Status(reply.status));
            }
            reply.render(&mut self.output, after, head.method == RouteMethod::Head)
        };
        while filler > 0 {
            let piece = filler.min(FILLER.len());
            self.flush().await?;
            self.stream.write_all(&FILLER[..piece]).await?;
            filler -= piece;
        }
        if head.keep_alive {
            return Ok(None);
        }
        self.flush().await?;
        // Closing with unread bytes would send a reset, which may overtake the response.
        let rest = self.input.len() > head.length;
        Ok(Some(if rest { ConnectionEnd::Linger } else { ConnectionEnd::Closed }))
    }

    /// Responds to a request that could not be parsed, and ends.
    async fn refuse(&mut self, refusal: HeadError) -> io::Result<ConnectionEnd> {
        let pending = self.local.shared.arrive(Route::Malformed, None, || 0);
        self.local.reply.borrow_mut().fill_status(refusal.0);
        pending.end(RequestEnd::Status(refusal.0));
        self.local.reply.borrow().render(&mut self.output, AfterResponse::Close, false);
        self.flush().await?;
        Ok(ConnectionEnd::Linger)
    }

    /// Waits until the response is due; returns false if the client closed before.
    async fn wait(&mut self, pending: &PendingRequest) -> io::Result<bool> {
        // Checked again after each wait: a stall may have been added.
        while let Some(due) = pending.due() {
            self.flush().await?;
            let timer = Timer::new();
            timer.set(due);
            let here = poll_fn(|cx| {
                if timer.poll(cx).is_ready() {
                    return Poll::Ready(Ok(true));
                }
                // Pipelined requests are read meanwhile, up to the limit of the input.
                while self.input.len() <= MAX_HEAD {
                    match ready!(self.poll_read(cx)) {
                        Ok(0) => return Poll::Ready(Ok(false)),
                        Ok(_) => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Poll::Pending
            });
            match here.await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Reads once and appends to the input; 0 at the end.
    async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx)).await
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = self.local.read.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        // Not `try_read`: this one knows that a short read has emptied the socket, and saves a call
        // that would only return `WouldBlock`.
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.output.is_empty() {
            self.stream.write_all(&self.output).await?;
            self.output.clear();
            self.output.shrink_to(4 << 10);
        }
        Ok(())
    }

    /// Reads and discards until the client closes.
    async fn discard(&mut self) -> io::Result<()> {
        while self.read().await? > 0 {
            self.input.clear();
        }
        Ok(())
    }

    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let timer = Timer::new();
        tokio::select! {
            done = self.discard() => done,
            () = timer.wait_until(clock::now() + LINGER) => Ok(()),
        }
    }
}

impl Drop for ServerConnection {
    fn drop(&mut self) {
        self.local.shared.counts.closed();
    }
}
