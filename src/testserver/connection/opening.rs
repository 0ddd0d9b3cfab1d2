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
use super::super::tokens::{self, TokenRequest};
use super::super::websocket::WebSocketRequest;
use super::{ConnectionEnd, ServerConnection};

impl ServerConnection {
    /// Responds to a request that opens a stream.
    pub(super) async fn open_stream(
        &mut self,
        route: Route,
        head: &RequestHead,
        pending: PendingRequest,
    ) -> io::Result<Option<ConnectionEnd>> {
        if route == Route::Events {
            self.stream_events(head, pending).await
        } else if route.has_tokens() {
            self.stream_tokens(route, head, pending).await
        } else {
            self.upgrade(route, head, pending).await
        }
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
