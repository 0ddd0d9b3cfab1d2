//! WebSockets of the test server: echo, channels, several channels over one socket, and messages
//! at a set rate.
//!
//! `connection` reads the request and hands the socket over. Frames are read, checked and made by
//! tungstenite, which shares no code with `wire`.
//! Invariant: a WebSocket is counted as opened and as closed exactly once, by its close code.

mod app;
mod channel;
mod frames;
mod request;
mod session;
mod ticks;

use std::sync::Arc;

use super::shared::ServerShared;
use super::socket::ClientSocket;
use super::streams::counts::StreamClose;
use request::WebSocketKind;
use session::{ABNORMAL, WebSocketSession};

pub(super) use request::WebSocketRequest;

/// A WebSocket that is counted as open. Dropping it without a code counts it as 1006.
struct OpenWebSocket {
    shared: Arc<ServerShared>,
    code: u16,
}

impl Drop for OpenWebSocket {
    fn drop(&mut self) {
        self.shared.counts.streams.close(StreamClose::Code(self.code));
    }
}

/// Serves a WebSocket from its upgrade to its end.
pub(super) async fn serve(socket: ClientSocket, request: WebSocketRequest) {
    let shared = Arc::clone(&socket.local.shared);
    shared.counts.streams.open();
    let mut open = OpenWebSocket { shared, code: ABNORMAL };
    if request.is_silent {
        return ignore(socket).await;
    }
    let Ok(mut session) = WebSocketSession::start(socket).await else { return };
    open.code = match request.kind {
        WebSocketKind::Messages(settings) => channel::run(&mut session, settings).await,
        WebSocketKind::App(settings) => app::run(&mut session, settings).await,
        WebSocketKind::Ticks(settings) => ticks::run(&mut session, settings).await,
    };
    session.finish().await;
}

/// Reads and ignores all that comes: pings and closes get no answer.
async fn ignore(mut socket: ClientSocket) {
    // Its client has to get the response; an error means that it is gone.
    if socket.flush().await.is_ok() {
        socket.input = Vec::new();
        let _ = socket.discard().await;
    }
}
