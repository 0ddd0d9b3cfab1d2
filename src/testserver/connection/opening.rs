//! Requests that open a stream: their responses, and what takes over.
//!
//! `connection` calls it for each such request.
//! Invariant: a request is counted by its status before its stream begins.

use std::io;

use super::super::counts::RequestEnd;
use super::super::events::{self, EventRequest};
use super::super::head::RequestHead;
use super::super::query::QueryError;
use super::super::route::Route;
use super::super::shared::PendingRequest;
use super::super::streams::counts::StreamCount;
use super::super::streams::limits::LimitReached;
use super::super::tokens::{self, TokenRequest};
use super::super::websocket::WebSocketRequest;
use super::{ConnectionEnd, ServerConnection};

/// Seconds after which a refused client may try again.
const RETRY_AFTER: &str = "1";

impl ServerConnection {
    /// Acquires the permit of the connection, if this route needs one.
    pub(super) fn admit(&mut self, route: Route) -> Result<(), LimitReached> {
        let limiter = &self.socket.local.shared.limiter;
        let is_limited = route.opens_stream() || limiter.limits.for_requests;
        if !is_limited || !limiter.has_limit() || self.permit.is_some() {
            return Ok(());
        }
        // A socket without an address is closed; its permit would be returned at once.
        let Ok(address) = self.socket.address() else { return Ok(()) };
        self.permit = Some(limiter.admit(address)?);
        Ok(())
    }

    /// Fills in the response of a connection without a permit, and counts it.
    pub(super) fn refuse_connection(&self, reached: LimitReached) {
        let (count, text) = match reached {
            LimitReached::Address => {
                (StreamCount::RefusedAddress, "too many connections from this address")
            }
            LimitReached::Total => (StreamCount::RefusedTotal, "too many connections"),
        };
        self.socket.local.shared.counts.streams.add(count, 1);
        let mut reply = self.socket.local.reply.borrow_mut();
        reply.fill_error(reached.status(), text);
        reply.header("retry-after", RETRY_AFTER);
    }

    /// Returns the permit of a stream that has ended, unless requests need it, too.
    fn release(&mut self) {
        if !self.socket.local.shared.limiter.limits.for_requests {
            self.permit = None;
        }
    }

    /// Responds to a request that opens a stream.
    pub(super) async fn open_stream(
        &mut self,
        route: Route,
        head: &RequestHead,
        pending: PendingRequest,
    ) -> io::Result<Option<ConnectionEnd>> {
        let end = if route == Route::Events {
            self.stream_events(head, pending).await?
        } else if route.has_tokens() {
            self.stream_tokens(route, head, pending).await?
        } else {
            self.upgrade(route, head, pending).await?
        };
        if !matches!(end, Some(ConnectionEnd::WebSocket(_))) {
            self.release();
        }
        Ok(end)
    }

    /// Responds to a request that opens a WebSocket.
    async fn upgrade(
        &mut self,
        route: Route,
        head: &RequestHead,
        pending: PendingRequest,
    ) -> io::Result<Option<ConnectionEnd>> {
        let bytes = &self.socket.input[..head.length];
        let accepted = WebSocketRequest::read(route, head, bytes);
        match accepted {
            Ok(request) => {
                pending.end(RequestEnd::Status(101));
                request.render(&mut self.socket.output);
                self.socket.input.drain(..head.length);
                Ok(Some(ConnectionEnd::WebSocket(Box::new(request))))
            }
            Err(refusal) => {
                refusal.fill(&mut self.socket.local.reply.borrow_mut());
                self.send(head, Some(pending)).await
            }
        }
    }

    /// Responds to a request that opens an event stream.
    async fn stream_events(
        &mut self,
        head: &RequestHead,
        pending: PendingRequest,
    ) -> io::Result<Option<ConnectionEnd>> {
        match EventRequest::read(head, &self.socket.input[..head.length]) {
            Ok(request) => {
                pending.end(RequestEnd::Status(200));
                let is_kept = Box::pin(events::serve(&mut self.socket, request)).await?;
                Ok((!is_kept || !head.keep_alive).then_some(ConnectionEnd::Closed))
            }
            Err(QueryError(text)) => {
                self.socket.local.reply.borrow_mut().fill_error(400, &text);
                self.send(head, Some(pending)).await
            }
        }
    }

    /// Responds to a request for tokens.
    async fn stream_tokens(
        &mut self,
        route: Route,
        head: &RequestHead,
        pending: PendingRequest,
    ) -> io::Result<Option<ConnectionEnd>> {
        let bytes = &self.socket.input[..head.length];
        let laws = &self.socket.local.shared.token_laws;
        match TokenRequest::read(route, head, bytes, &self.body, laws) {
            Ok(request) => {
                pending.end(RequestEnd::Status(200));
                let stream = tokens::serve(&mut self.socket, request, head.old);
                let is_kept = Box::pin(stream).await?;
                Ok((!is_kept || !head.keep_alive).then_some(ConnectionEnd::Closed))
            }
            Err(refusal) => {
                refusal.fill(&mut self.socket.local.reply.borrow_mut());
                self.send(head, Some(pending)).await
            }
        }
    }
}
