//! Echo and channels: what a client sends goes back to it, or to all members of its channel.
//!
//! `mod` runs it for `/ws/echo` and `/ws/channel/{name}`.
//! Invariant: each received message is counted, and then limited, dropped or passed on.

use std::sync::Arc;

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use super::super::streams::counts::ServerStreamCount;
use super::super::streams::pipeline::MessagePipeline;
use super::super::streams::queue::Packet;
use super::super::streams::rate_limit::MessageRateLimit;
use super::frames::frame;
use super::request::MessageSettings;
use super::session::{SessionEvent, WebSocketSession};
use crate::clock::{self, Time};

/// The answer to a message beyond the limit of the rate.
pub(super) const RATE_LIMITED: &str = "{\"type\":\"error\",\"error\":\"rate_limited\"}";

/// Serves the WebSocket to its end; returns its close code.
pub(super) async fn run(session: &mut WebSocketSession, settings: MessageSettings) -> u16 {
    let shared = Arc::clone(&session.shared);
    let counts = &shared.counts.streams;
    let channel = settings
        .channel
        .as_ref()
        .map(|name| shared.topics.join(&format!("ws:{name}"), session.open_queue()));
    let mut limit = settings.rate.map(MessageRateLimit::new);
    let mut pipeline = MessagePipeline::new(settings.faults);
    let (mut left, mut deadline) = (settings.close_after.unwrap_or(u64::MAX), None);
    let code = loop {
        let due = deadline.or(pipeline.next_due());
        match session.next(due, !pipeline.is_full()).await {
            SessionEvent::Received(_) if left == 0 => {}
            SessionEvent::Received(message) => {
                let (now, number) = (clock::now(), counts.add(ServerStreamCount::Received, 1));
                left -= 1;
                if limit.as_mut().is_some_and(|limit| !limit.admit(now)) {
                    counts.add(ServerStreamCount::RateLimited, 1);
                    session.send(RATE_LIMITED.into());
                } else {
                    pipeline.accept((message, now), number, now, shared.seed, counts);
                }
            }
            SessionEvent::Due if deadline.is_some() => break settings.code,
            SessionEvent::Due => {}
            SessionEvent::Closed(code) => break code,
        }
        // Reading the clock is unnecessary for most messages.
        while pipeline.len() > 0
            && let Some((message, received)) = pipeline.take(clock::now())
        {
            match &channel {
                None => session.send(message),
                Some(own) => {
                    let except = (!settings.is_echoed).then_some(own.member);
                    shared.broadcast(&own.name, packet(message, received), except);
                }
            }
        }
        if left == 0 && pipeline.len() == 0 && deadline.is_none() {
            session.close(settings.code);
            deadline = Some(WebSocketSession::close_deadline());
        }
    };
    counts.add(ServerStreamCount::Cut, pipeline.len() as u64);
    code
}

/// Frames a message, for all members of a channel.
fn packet(message: Message, received: Time) -> Packet {
    let kind = if message.is_text() { Data::Text } else { Data::Binary };
    let payload = message.into_data();
    let mut bytes = Vec::with_capacity(payload.len() + 10);
    frame(kind, payload, &mut bytes);
    Packet::one(bytes).with_received(Some(received))
}
