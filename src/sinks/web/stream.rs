//! A client's stream of frames, as Server-Sent Events.
//!
//! `server` responds to `GET /events` with one.
//! Invariant: a frame is made when the client has received the previous one, so a slow client gets
//! fewer frames, each of them the latest.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Bytes, HttpBody};
use http_body::Frame;
use tokio::sync::watch;

use super::hub::{ClientSlot, Hub};

/// How long a browser waits before it reconnects, ms.
const RETRY: &str = "retry: 2000\n\n";

/// The frames to send, and the waker of the stream.
type Next = Pin<Box<dyn Future<Output = Option<(Bytes, StreamClient)>> + Send>>;

/// The body of the response.
pub struct Frames {
    next: Option<Next>,
}

struct StreamClient {
    hub: Arc<Hub>,
    news: watch::Receiver<u64>,
    seen: u64,
    is_over: bool,
    /// Registration among the clients of the client.
    _seat: ClientSlot,
}

impl Frames {
    /// Creates the stream of one more client; `None` if there are too many.
    pub fn open(hub: &Arc<Hub>) -> Option<Self> {
        let (seat, mut news) = hub.sit()?;
        // The current report is new to this client.
        news.mark_changed();
        let client =
            StreamClient { hub: Arc::clone(hub), news, seen: 0, is_over: false, _seat: seat };
        let first = async move { Some((Bytes::from_static(RETRY.as_bytes()), client)) };
        Some(Self { next: Some(Box::pin(first)) })
    }
}

impl StreamClient {
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.is_over || self.news.changed().await.is_err() {
            return None;
        }
        let frame = self.hub.since(self.seen);
        (self.seen, self.is_over) = (frame.number, frame.is_over);
        // JSON has no line ends outside of strings, and escapes them within.
        let text = frame.value.map_or(":\n\n".to_owned(), |value| format!("data: {value}\n\n"));
        Some((text.into(), self))
    }
}

impl HttpBody for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        match next.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.next = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some((bytes, client))) => {
                self.next = Some(Box::pin(client.next()));
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }
}
