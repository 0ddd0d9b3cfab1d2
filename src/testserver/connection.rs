//! One connection: requests in, responses out, in order.
//!
//! `server` accepts it and gives it a task; `shared` decides when and how to respond, `shop` fills
//! in the response.
//! Invariant: its failure affects no other connection, and its memory is bounded: input by a head
//! and one read, output by [`MAX_OUTPUT`] and one response, the kept body by `body::MAX_KEPT`. An
//! idle connection holds no read buffer.

mod opening;
mod rate;

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::body::RequestBodyReader;
use super::counts::RequestEnd;
use super::events;
use super::fault::InjectedFault;
use super::head::{self, HeadError, RequestHead, RouteMethod};
use super::reply::{AfterResponse, FILLER, MediaType};
use super::route::Route;
use super::shared::{PendingRequest, ServerShared};
use super::shop::{RoutedRequest, hash};
use super::socket::{ClientSocket, ThreadContext};
use super::streams::limits::ConnectionPermit;
use super::websocket::{self, WebSocketRequest};
use crate::clock::{self, Timer};
use crate::units::parse_duration;

/// Responses to pipelined requests are written together up to this size, bytes.
const MAX_OUTPUT: usize = 64 << 10;
/// A connection that speaks HTTP/1.1.
struct ServerConnection {
    socket: ClientSocket,
    body: Vec<u8>,
    /// Held while it may be, if there is a limit of connections.
    permit: Option<ConnectionPermit>,
}

/// Why a connection ends without an error.
enum ConnectionEnd {
    /// The client closed it, or it is to be closed at once.
    Closed,
    /// The client may still be sending.
    Linger,
    /// It becomes a WebSocket; the response is written with the first message.
    WebSocket(Box<WebSocketRequest>),
}

/// Counts a connection as open until it is dropped.
struct CountedConnection(Arc<ServerShared>);

impl CountedConnection {
    fn new(shared: &Arc<ServerShared>) -> Self {
        shared.counts.opened();
        Self(Arc::clone(shared))
    }
}

impl Drop for CountedConnection {
    fn drop(&mut self) {
        self.0.counts.closed();
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, local: Rc<ThreadContext>) {
    let _open = CountedConnection::new(&local.shared);
    let socket = ClientSocket::new(stream, local);
    let mut connection = ServerConnection { socket, body: Vec::new(), permit: None };
    // A broken connection concerns only its client.
    match connection.run().await {
        Ok(ConnectionEnd::Linger) => drop(connection.socket.linger().await),
        // In a box: other connections need not hold its state.
        Ok(ConnectionEnd::WebSocket(request)) => {
            Box::pin(websocket::serve(connection.socket, *request)).await;
            drop(connection.permit);
        }
        Ok(ConnectionEnd::Closed) | Err(_) => {}
    }
}

impl ServerConnection {
    async fn run(&mut self) -> io::Result<ConnectionEnd> {
        loop {
            let head = match head::parse(&self.socket.input) {
                Ok(Some(head)) => head,
                Ok(None) => {
                    self.socket.flush().await?;
                    if self.socket.read().await? == 0 {
                        return Ok(ConnectionEnd::Closed);
                    }
                    continue;
                }
                Err(refusal) => return self.refuse(refusal).await,
            };
            let route = self.route(&head);
            let length = match self.read_body(&head, route.kept_body()).await? {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(ConnectionEnd::Closed),
                Err(refusal) => return self.refuse(refusal).await,
            };
            if let Some(end) = self.exchange(&head, route, length).await? {
                return Ok(end);
            }
            self.socket.input.drain(..head.length);
            if self.socket.output.len() > MAX_OUTPUT {
                self.socket.flush().await?;
            }
            if self.socket.input.is_empty() {
                // A single long request must not keep a large buffer.
                self.socket.input.shrink_to(4 << 10);
                self.body.shrink_to(4 << 10);
            }
        }
    }

    /// The route of the request whose head is at the start of the input.
    fn route(&self, head: &RequestHead) -> Route {
        let target = &self.socket.input[head.target.clone()];
        let path = target.split(|b| *b == b'?').next().unwrap_or(target);
        std::str::from_utf8(path).map_or(Route::Missing, Route::of)
    }

    /// Reads the body after the head, and keeps `kept` bytes of it; returns its length, `None` if
    /// the client closed.
    async fn read_body(
        &mut self,
        head: &RequestHead,
        kept: usize,
    ) -> io::Result<Result<Option<u64>, HeadError>> {
        self.body.clear();
        let mut body = match RequestBodyReader::new(head.framing, kept) {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let mut continued = !head.expects;
        loop {
            let rest = &self.socket.input[head.length..];
            match body.feed(rest, &mut self.body) {
                Ok(used) => drop(self.socket.input.drain(head.length..head.length + used)),
                Err(refusal) => return Ok(Err(refusal)),
            }
            if body.is_done() {
                return Ok(Ok(Some(body.length)));
            }
            if !continued {
                self.socket.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                continued = true;
            }
            self.socket.flush().await?;
            if self.socket.read().await? == 0 {
                return Ok(Ok(None));
            }
        }
    }

    /// Responds to a complete request.
    async fn exchange(
        &mut self,
        head: &RequestHead,
        route: Route,
        body_length: u64,
    ) -> io::Result<Option<ConnectionEnd>> {
        let bytes = &self.socket.input[..head.length];
        if route.is_control() {
            return self.control(route, head).await;
        }
        let pending = self.socket.local.shared.arrive(route, head.intended, || {
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
                self.socket.local.shared.counts.injected();
                self.socket.local.reply.borrow_mut().fill_status(status);
                return self.send(head, Some(pending)).await;
            }
            Some(InjectedFault::Close) => {
                self.socket.flush().await?;
                pending.end(RequestEnd::Close);
                return Ok(Some(ConnectionEnd::Closed));
            }
            Some(InjectedFault::Reset) => {
                self.socket.flush().await?;
                self.socket.stream.set_zero_linger()?;
                pending.end(RequestEnd::Reset);
                return Ok(Some(ConnectionEnd::Closed));
            }
            Some(InjectedFault::Hang) => {
                self.socket.flush().await?;
                pending.end(RequestEnd::Hang);
                return self.socket.discard().await.map(|()| Some(ConnectionEnd::Closed));
            }
        }
        if let Err(reached) = self.admit(route) {
            self.refuse_connection(reached);
            return self.send(head, Some(pending)).await;
        }
        let decision = self.limit_rate();
        if let Some(refused) = decision.filter(|decision| !decision.is_admitted) {
            self.refuse_rate(refused);
            return self.send(head, Some(pending)).await;
        }
        let bytes = &self.socket.input[..head.length];
        if route.opens_stream() && route.allows(head.method, bytes) {
            return self.open_stream(route, head, pending).await;
        }
        if route == Route::Publish && route.allows(head.method, bytes) {
            // httparse accepts only UTF-8.
            let target = std::str::from_utf8(&bytes[head.target.clone()]).unwrap_or("/");
            let socket = &self.socket;
            let mut reply = socket.local.reply.borrow_mut();
            let (shared, received) = (&socket.local.shared, pending.arrived());
            events::publish(shared, target, received, &self.body, body_length, &mut reply);
        } else if route.allows(head.method, bytes) {
            let request = RoutedRequest { route, head, bytes, body: &self.body, body_length };
            request.respond(&mut self.socket.local.reply.borrow_mut());
        } else {
            route.refuse(&mut self.socket.local.reply.borrow_mut());
        }
        if let Some(decision) = decision {
            self.tell_rate(decision);
        }
        self.send(head, Some(pending)).await
    }

    /// Responds to a request about the server itself, at once.
    async fn control(
        &mut self,
        route: Route,
        head: &RequestHead,
    ) -> io::Result<Option<ConnectionEnd>> {
        let shared = Arc::clone(&self.socket.local.shared);
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
        self.respond_control(route, head);
        self.send(head, None).await
    }

    fn respond_control(&self, route: Route, head: &RequestHead) {
        let shared = &self.socket.local.shared;
        let bytes = &self.socket.input[..head.length];
        let request = RoutedRequest { route, head, bytes, body: &[], body_length: 0 };
        let mut reply = self.socket.local.reply.borrow_mut();
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
            let reply = self.socket.local.reply.borrow();
            // Counted before the client can see it: its next request of /stats includes it.
            if let Some(pending) = pending {
                pending.end(RequestEnd::Status(reply.status));
            }
            reply.render(&mut self.socket.output, after, head.method == RouteMethod::Head)
        };
        while filler > 0 {
            let piece = filler.min(FILLER.len());
            self.socket.flush().await?;
            self.socket.stream.write_all(&FILLER[..piece]).await?;
            filler -= piece;
        }
        if head.keep_alive {
            return Ok(None);
        }
        self.socket.flush().await?;
        // Closing with unread bytes would send a reset, which may overtake the response.
        let rest = self.socket.input.len() > head.length;
        Ok(Some(if rest { ConnectionEnd::Linger } else { ConnectionEnd::Closed }))
    }

    /// Responds to a request that could not be parsed, and ends.
    async fn refuse(&mut self, refusal: HeadError) -> io::Result<ConnectionEnd> {
        let pending = self.socket.local.shared.arrive(Route::Malformed, None, || 0);
        self.socket.local.reply.borrow_mut().fill_status(refusal.0);
        pending.end(RequestEnd::Status(refusal.0));
        self.socket.local.reply.borrow().render(
            &mut self.socket.output,
            AfterResponse::Close,
            false,
        );
        self.socket.flush().await?;
        Ok(ConnectionEnd::Linger)
    }

    /// Waits until the response is due; returns false if the client closed before.
    async fn wait(&mut self, pending: &PendingRequest) -> io::Result<bool> {
        // Checked again after each wait: a stall may have been added.
        while let Some(due) = pending.due() {
            self.socket.flush().await?;
            let timer = Timer::new();
            timer.set(due);
            let here = poll_fn(|cx| {
                if timer.poll(cx).is_ready() {
                    return Poll::Ready(Ok(true));
                }
                // Pipelined requests are read meanwhile, up to the limit of the input.
                self.socket.poll_closed(cx).map(|end| end.map(|()| false))
            });
            match here.await {
                Ok(true) => {}
                Ok(false) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}
