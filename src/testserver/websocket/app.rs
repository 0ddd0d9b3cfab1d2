//! Channels over one socket, in the manner of Pusher and Laravel Echo: `/ws/app`.
//!
//! `mod` runs it. A socket subscribes to channels by JSON messages, and speaks in them: `public.*`
//! for all, `private.*` with a token, `presence.*` with a token and a list of the users present.
//! Invariant: every message gets one answer, `said` or `error` among them; a subscriber hears what
//! is said between `subscribed` and `unsubscribed`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ring::hmac;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

use super::super::shared::ServerShared;
use super::super::streams::counts::ServerStreamCount;
use super::super::streams::queue::Packet;
use super::super::streams::rate_limit::MessageRateLimit;
use super::super::streams::topic::TopicMembership;
use super::frames::frame;
use super::request::AppSettings;
use super::session::{SessionEvent, WebSocketSession};
use crate::clock::{self, Time};

/// Channels that one socket may be in.
const MAX_CHANNELS: usize = 100;
/// The longest name of a channel, bytes.
const MAX_NAME: usize = 200;

/// A message of a client.
#[derive(Deserialize)]
struct AppCommand {
    r#type: String,
    #[serde(default)]
    channel: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    data: Value,
    /// Returned with the answer.
    #[serde(default)]
    r#ref: Value,
}

/// Why a command is refused: the member `error` of the answer.
type Refusal = &'static str;

/// A socket and the channels that it is in.
struct AppSocket<'s> {
    session: &'s mut WebSocketSession,
    shared: Arc<ServerShared>,
    user: String,
    channels: BTreeMap<String, TopicMembership>,
}

/// Serves the WebSocket to its end; returns its close code.
pub(super) async fn run(session: &mut WebSocketSession, settings: AppSettings) -> u16 {
    let shared = Arc::clone(&session.shared);
    let mut limit = settings.rate.map(MessageRateLimit::new);
    session.open_queue();
    let (user, channels) = (settings.user, BTreeMap::new());
    let mut socket = AppSocket { session, shared, user, channels };
    let code = loop {
        match socket.session.next(None, true).await {
            SessionEvent::Received(message) => {
                socket.shared.counts.streams.add(ServerStreamCount::Received, 1);
                let now = clock::now();
                if limit.as_mut().is_some_and(|limit| !limit.admit(now)) {
                    socket.shared.counts.streams.add(ServerStreamCount::RateLimited, 1);
                    socket.refuse("rate_limited", None);
                } else {
                    socket.handle(&message, now);
                }
            }
            SessionEvent::Due => {}
            SessionEvent::Closed(code) => break code,
        }
    };
    for (channel, membership) in std::mem::take(&mut socket.channels) {
        socket.leave(&channel, membership);
    }
    code
}

impl AppSocket<'_> {
    /// Carries out a message of the client, received at this time.
    fn handle(&mut self, message: &Message, received: Time) {
        let command = message.to_text().ok().and_then(|text| serde_json::from_str(text).ok());
        let Some(command): Option<AppCommand> = command else {
            return self.refuse("invalid_message", None);
        };
        let done = match command.r#type.as_str() {
            "subscribe" => self.subscribe(&command),
            "unsubscribe" => self.unsubscribe(&command),
            "say" => self.say(&command, received),
            "here" => self.here(&command),
            "ping" => {
                self.answer(json!({ "type": "pong", "ref": command.r#ref }));
                Ok(())
            }
            _ => Err("unknown_type"),
        };
        if let Err(error) = done {
            self.refuse(error, Some(&command));
        }
    }

    fn subscribe(&mut self, command: &AppCommand) -> Result<(), Refusal> {
        let channel = command.channel.as_str();
        let is_open = channel.starts_with("public.");
        let is_known = is_open || ["private.", "presence."].iter().any(|p| channel.starts_with(p));
        if !is_known || channel.len() > MAX_NAME {
            return Err("unknown_channel");
        }
        let signed = format!("{}:{channel}", self.user);
        if !is_open && !is_signed(&self.shared.channel_secret, &signed, &command.token) {
            return Err("unauthorized");
        }
        let is_new = !self.channels.contains_key(channel);
        if is_new && self.channels.len() >= MAX_CHANNELS {
            return Err("too_many_channels");
        }
        self.answer(json!({ "type": "subscribed", "channel": channel, "ref": command.r#ref }));
        if !is_new {
            return Ok(());
        }
        let queue = self.session.open_queue();
        let topic = topic_name(channel);
        let membership = if channel.starts_with("presence.") {
            let mut membership = None;
            let users = self.shared.presence.join(channel, &self.user, |is_first| {
                // Before it is in the topic itself: others hear of it, it reads the list.
                if is_first {
                    self.announce("join", channel, &topic);
                }
                membership = Some(self.shared.topics.join(&topic, queue));
            });
            self.answer(json!({ "type": "here", "channel": channel, "members": users }));
            membership
        } else {
            Some(self.shared.topics.join(&topic, queue))
        };
        self.channels.extend(membership.map(|membership| (channel.to_owned(), membership)));
        Ok(())
    }

    fn unsubscribe(&mut self, command: &AppCommand) -> Result<(), Refusal> {
        let channel = command.channel.as_str();
        let membership = self.channels.remove(channel).ok_or("not_subscribed")?;
        self.leave(channel, membership);
        self.answer(json!({ "type": "unsubscribed", "channel": channel, "ref": command.r#ref }));
        Ok(())
    }

    fn say(&self, command: &AppCommand, received: Time) -> Result<(), Refusal> {
        let membership = self.channels.get(&command.channel).ok_or("not_subscribed")?;
        let said = json!({
            "type": "said", "channel": command.channel, "user": self.user,
            "data": command.data, "ref": command.r#ref,
        });
        let packet = packet(said).with_received(Some(received));
        self.shared.broadcast(&membership.name, packet, None);
        Ok(())
    }

    fn here(&mut self, command: &AppCommand) -> Result<(), Refusal> {
        let channel = command.channel.as_str();
        if !channel.starts_with("presence.") || !self.channels.contains_key(channel) {
            return Err("not_subscribed");
        }
        let users = self.shared.presence.users(channel);
        self.answer(json!({
            "type": "here", "channel": channel, "members": users, "ref": command.r#ref,
        }));
        Ok(())
    }

    /// Leaves a channel, and tells the others.
    fn leave(&self, channel: &str, membership: TopicMembership) {
        let topic = membership.name.clone();
        if !channel.starts_with("presence.") {
            return;
        }
        self.shared.presence.leave(channel, &self.user, |is_last| {
            drop(membership);
            if is_last {
                self.announce("leave", channel, &topic);
            }
        });
    }

    /// Answers with an error.
    fn refuse(&mut self, error: Refusal, command: Option<&AppCommand>) {
        let mut answer = json!({ "type": "error", "error": error });
        if let Some(command) = command {
            answer["channel"] = command.channel.as_str().into();
            answer["ref"] = command.r#ref.clone();
        }
        self.answer(answer);
    }

    /// Sends a message to this socket. Members that are null are left out.
    fn answer(&mut self, answer: Value) {
        self.session.send(without_nulls(answer).to_string().into());
    }

    /// Tells the members of a topic of this instance that a user joined or left.
    fn announce(&self, kind: &str, channel: &str, topic: &str) {
        let change = json!({ "type": kind, "channel": channel, "user": self.user });
        self.shared.broadcast_here(topic, &packet(change), None);
    }
}

/// Frames a message, for all members of a topic.
fn packet(message: Value) -> Packet {
    let mut bytes = Vec::new();
    frame(Data::Text, without_nulls(message).to_string().into(), &mut bytes);
    Packet::one(bytes)
}

fn without_nulls(mut message: Value) -> Value {
    if let Some(members) = message.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    message
}

/// The name of the topic of a channel.
fn topic_name(channel: &str) -> String {
    format!("app:{channel}")
}

/// Whether `token` is the HMAC-SHA256 of `text`, as hex.
fn is_signed(secret: &str, text: &str, token: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let pairs = token.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap_or(""));
    let bytes: Option<Vec<u8>> = pairs.map(|hex| u8::from_str_radix(hex, 16).ok()).collect();
    bytes.is_some_and(|bytes| hmac::verify(&key, text.as_bytes(), &bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hex_of_hmac_sha256() {
        // printf 'ana:private.a' | openssl dgst -sha256 -hmac manada
        let token = "25b9af694395d40a02f279188de34e0a56ad57c6d098fc5a37e910358a93d702";
        assert!(is_signed("manada", "ana:private.a", token));
        assert!(is_signed("manada", "ana:private.a", &token.to_uppercase()));
        for (secret, text, token) in [
            ("other", "ana:private.a", token),
            ("manada", "ben:private.a", token),
            ("manada", "ana:private.a", &token[1..]),
            ("manada", "ana:private.a", &token[2..]),
            ("manada", "ana:private.a", "é"),
            ("manada", "ana:private.a", ""),
        ] {
            assert!(!is_signed(secret, text, token), "{secret} {text} {token}");
        }
    }
}
