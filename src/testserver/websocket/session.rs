//! One WebSocket: messages in, messages out, pings and closes by the standard.
//!
//! `channel` and `ticks` wait for its next event, and send.
//! Invariant: input is read only while output is not blocked, so that a client that sends without
//! reading fills no memory here; every end has a close code.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::{Sink, Stream};
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::super::shared::ServerShared;
use super::super::socket::ClientSocket;
use super::super::streams::counts::StreamCount;
use super::super::streams::queue::DeliveryQueue;
use super::frames::FrameSocket;
use crate::clock::{self, Time, Timer};

/// The longest message that is received, bytes.
const MAX_MESSAGE: usize = 16 << 20;
/// How long the client may take to answer a close, and to read what it was sent before.
const CLOSING: Duration = Duration::from_secs(2);
/// The close code of a connection that ended without a close frame.
pub(super) const ABNORMAL: u16 = 1006;
/// The close code of a close frame without one.
const NO_CODE: u16 = 1005;

/// What a session waits for.
#[derive(Debug)]
pub(super) enum SessionEvent {
    /// A text or binary message.
    Received(Message),
    /// The time has come.
    Due,
    /// It is closed, with this code.
    Closed(u16),
}

/// A WebSocket.
pub(super) struct WebSocketSession {
    websocket: WebSocketStream<FrameSocket>,
    pub socket: FrameSocket,
    pub shared: Arc<ServerShared>,
    /// What others send to this connection.
    queue: Option<Arc<DeliveryQueue>>,
    /// Of a session that has waited for a time.
    timer: Option<Timer>,
    /// The code of the first close frame.
    code: Option<u16>,
    /// Whether the client may still be sending when the session ends.
    lingers: bool,
}

impl WebSocketSession {
    /// Starts after the response, which is written first.
    pub async fn start(mut socket: ClientSocket) -> io::Result<Self> {
        socket.flush().await?;
        let shared = Arc::clone(&socket.local.shared);
        let frames = FrameSocket::new(socket.stream, Arc::clone(&shared));
        // Small buffers, since ten thousand connections are held. Output goes out when it has this
        // size, or when there is no more input.
        let config = WebSocketConfig::default()
            .read_buffer_size(2 << 10)
            .write_buffer_size(4 << 10)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let websocket = WebSocketStream::from_partially_read(
            frames.clone(),
            socket.input,
            Role::Server,
            Some(config),
        );
        let websocket = websocket.await;
        let (queue, timer, code) = (None, None, None);
        Ok(Self { websocket, socket: frames, shared, queue, timer, code, lingers: false })
    }

    /// Creates the queue that others fill for this connection.
    pub fn open_queue(&mut self) -> Arc<DeliveryQueue> {
        Arc::clone(self.queue.get_or_insert_default())
    }

    /// Sends a message; it is on its way by the time the next event is waited for.
    pub fn send(&mut self, message: Message) {
        // An error is one of the connection: it shows as its end.
        if Pin::new(&mut self.websocket).start_send(message).is_ok() {
            self.shared.counts.streams.add(StreamCount::Sent, 1);
        }
    }

    /// Begins to close; the next event is `Closed`, once the client has answered.
    pub fn close(&mut self, code: u16) {
        self.code.get_or_insert(code);
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = Pin::new(&mut self.websocket).start_send(Message::Close(Some(frame)));
    }

    /// Waits for the next event; `Due` at `due`, messages only if `reads`.
    pub async fn next(&mut self, due: Option<Time>, reads: bool) -> SessionEvent {
        if let Some(due) = due {
            if due <= clock::now() {
                return SessionEvent::Due;
            }
            self.timer.get_or_insert_default().set(due);
        }
        let event = poll_fn(|cx| self.poll(cx, due.is_some(), reads)).await;
        if due.is_some()
            && let Some(timer) = &self.timer
        {
            timer.clear();
        }
        event
    }

    fn poll(&mut self, cx: &mut Context<'_>, timed: bool, reads: bool) -> Poll<SessionEvent> {
        self.socket.set_task(cx);
        if reads && let Poll::Ready(event) = self.poll_input(cx) {
            return Poll::Ready(event);
        }
        loop {
            match Pin::new(&mut self.websocket).poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(self.closed()),
                Poll::Pending => break,
            }
            // Everything is written: between two frames.
            if !self.queue.as_ref().is_some_and(|queue| self.socket.take_from(queue, cx)) {
                break;
            }
        }
        match &self.timer {
            Some(timer) if timed && timer.poll(cx).is_ready() => Poll::Ready(SessionEvent::Due),
            _ => Poll::Pending,
        }
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<SessionEvent> {
        loop {
            match Pin::new(&mut self.websocket).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(self.closed()),
                Poll::Pending => return Poll::Pending,
            }
            match Pin::new(&mut self.websocket).poll_next(cx) {
                Poll::Ready(Some(Ok(Message::Close(frame)))) => {
                    let code = frame.map_or(NO_CODE, |frame| frame.code.into());
                    self.code.get_or_insert(code);
                }
                Poll::Ready(Some(Ok(message @ (Message::Text(_) | Message::Binary(_))))) => {
                    return Poll::Ready(SessionEvent::Received(message));
                }
                // Pings are answered already.
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.fail(&error)),
                Poll::Ready(None) => return Poll::Ready(self.closed()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn closed(&self) -> SessionEvent {
        SessionEvent::Closed(self.code.unwrap_or(ABNORMAL))
    }

    /// Closes with the code of an error (RFC 6455 §7.4.1).
    fn fail(&mut self, error: &Error) -> SessionEvent {
        let code = match error {
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => {
                return self.closed();
            }
            Error::Utf8(_) => 1007,
            Error::Capacity(_) => 1009,
            _ => 1002,
        };
        self.lingers = true;
        self.close(code);
        self.closed()
    }

    /// Writes what is left, and ends.
    pub async fn finish(mut self) {
        let timer = Timer::new();
        let shut = async {
            poll_fn(|cx| Pin::new(&mut self.websocket).poll_flush(cx)).await?;
            self.socket.shutdown().await?;
            let mut ignored = [0; 1_024];
            while self.lingers
                && tokio::io::AsyncReadExt::read(&mut self.socket, &mut ignored).await? > 0
            {
            }
            Ok::<(), Error>(())
        };
        tokio::select! {
            // A client that is gone gets no more.
            _ = shut => {}
            () = timer.wait_until(clock::now() + CLOSING) => {}
        }
    }

    /// When a close that begins now has taken too long.
    pub fn close_deadline() -> Time {
        clock::now() + CLOSING
    }
}

impl Drop for WebSocketSession {
    fn drop(&mut self) {
        if let Some(queue) = &self.queue {
            self.shared.counts.streams.add(StreamCount::Cut, queue.clear());
        }
    }
}
