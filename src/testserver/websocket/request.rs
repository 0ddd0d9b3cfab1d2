//! The request that opens a WebSocket, and the response to it (RFC 6455 §4.2).
//!
//! `connection` reads it from the head of a request.
//! Invariant: a request without the headers of the standard opens no WebSocket.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::super::head::RequestHead;
use super::super::query::{QueryError, QueryString, decoded};
use super::super::reply::Response;
use super::super::route::Route;
use super::super::streams::pipeline::MessageFaults;
use crate::units::Rate;

/// What the key is hashed with (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The subprotocols that the server speaks.
const SUBPROTOCOLS: [&str; 2] = ["chat.v1", "echo"];
/// The longest tick, bytes.
const MAX_TICK: usize = 64 << 10;

/// A valid request for a WebSocket.
#[derive(Debug)]
pub(in crate::testserver) struct WebSocketRequest {
    accept: String,
    subprotocol: Option<&'static str>,
    /// Whether nothing is ever answered.
    pub is_silent: bool,
    pub kind: WebSocketKind,
}

/// What the WebSocket does.
#[derive(Debug)]
pub(in crate::testserver) enum WebSocketKind {
    /// Passes received messages on, to itself or to a channel.
    Messages(MessageSettings),
    /// Speaks in several channels.
    App(AppSettings),
    /// Sends messages at a set rate.
    Ticks(TickSettings),
}

/// The settings of an echo or a channel.
#[derive(Debug)]
pub(in crate::testserver) struct MessageSettings {
    /// The channel; `None`: messages go back to their sender.
    pub channel: Option<String>,
    /// Whether the sender gets its own messages.
    pub is_echoed: bool,
    pub faults: MessageFaults,
    /// Messages per second that are accepted from this connection; `None`: any number.
    pub rate: Option<Rate>,
    /// After how many messages the server closes; `None`: never.
    pub close_after: Option<u64>,
    /// The code that it closes with.
    pub code: u16,
}

/// The settings of a socket with several channels.
#[derive(Debug)]
pub(in crate::testserver) struct AppSettings {
    /// The name that others see.
    pub user: String,
    /// Messages per second that are accepted from this connection; `None`: any number.
    pub rate: Option<Rate>,
}

/// The settings of messages at a set rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::testserver) struct TickSettings {
    /// Messages per second to each listener.
    pub rate: Rate,
    /// Length of a message, bytes; it is longer if its numbers need more.
    pub size: usize,
    /// Messages per write.
    pub batch: u32,
}

/// Why a request opens no WebSocket.
#[derive(Debug)]
pub(in crate::testserver) enum UpgradeRefusal {
    /// It is no request for a WebSocket: 426.
    NoUpgrade,
    /// It has another version of the protocol, or no valid key: 400.
    Invalid(&'static str),
    /// A setting in its query is wrong: 400.
    Query(QueryError),
}

impl From<QueryError> for UpgradeRefusal {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl UpgradeRefusal {
    /// Fills in the response.
    pub fn fill(&self, reply: &mut Response) {
        let text = match self {
            Self::NoUpgrade => {
                reply.fill_status(426);
                reply.header("upgrade", "websocket");
                return;
            }
            Self::Invalid(text) => text,
            Self::Query(QueryError(text)) => text.as_str(),
        };
        reply.fill_error(400, text);
    }
}

impl WebSocketRequest {
    /// Reads a request from the bytes of its head.
    pub fn read(route: Route, head: &RequestHead, bytes: &[u8]) -> Result<Self, UpgradeRefusal> {
        let (accept, subprotocol) = handshake(bytes)?;
        // httparse accepts only UTF-8.
        let target = std::str::from_utf8(&bytes[head.target.clone()]).unwrap_or("/");
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = QueryString(query);
        let kind = match route {
            Route::WsApp => WebSocketKind::App(AppSettings {
                user: query.text("user").unwrap_or_else(|| "guest".to_owned()),
                rate: query.rate("rate")?,
            }),
            Route::WsEvents => WebSocketKind::Ticks(TickSettings {
                rate: query.rate("rate")?.unwrap_or(Rate::per_s(10)),
                size: query.size("size", MAX_TICK)?.unwrap_or(64),
                batch: query.number("batch", 1, 1_000)?.unwrap_or(1) as u32,
            }),
            _ => {
                let name = path.strip_prefix("/ws/channel/").map(decoded);
                WebSocketKind::Messages(MessageSettings::read(name, query)?)
            }
        };
        let is_silent = query.flag("silent")?.unwrap_or(false);
        Ok(Self { accept, subprotocol, is_silent, kind })
    }

    /// Appends the response 101 to `out`.
    pub fn render(&self, out: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _ = write!(
            out,
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
             sec-websocket-accept: {}\r\n",
            self.accept
        );
        if let Some(subprotocol) = self.subprotocol {
            let _ = write!(out, "sec-websocket-protocol: {subprotocol}\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

impl MessageSettings {
    fn read(channel: Option<String>, query: QueryString<'_>) -> Result<Self, QueryError> {
        let faults = MessageFaults {
            delay: query.distribution("delay")?,
            drop: query.share("drop")?,
            duplicate: query.share("duplicate")?,
            reorder: query.share("reorder")?,
        };
        Ok(Self {
            is_echoed: query.flag("echo")?.unwrap_or(true),
            channel,
            faults,
            rate: query.rate("rate")?,
            close_after: query.number("close_after", 1, u64::MAX)?,
            code: query.number("code", 1_000, 4_999)?.unwrap_or(1_000) as u16,
        })
    }
}

/// Checks the headers; returns the value of `sec-websocket-accept`, and the subprotocol.
fn handshake(bytes: &[u8]) -> Result<(String, Option<&'static str>), UpgradeRefusal> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    // It was parsed before, by the same rules.
    let _ = request.parse(bytes);
    let values = |name: &'static str| {
        let named = request.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name));
        named.filter_map(|header| std::str::from_utf8(header.value).ok())
    };
    let has = |name, token: &str| {
        values(name)
            .flat_map(|value| value.split(','))
            .any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(UpgradeRefusal::NoUpgrade);
    }
    if !has("sec-websocket-version", "13") {
        return Err(UpgradeRefusal::Invalid("expected sec-websocket-version: 13"));
    }
    let key = values("sec-websocket-key").next().unwrap_or("").trim();
    if STANDARD.decode(key).map(|key| key.len()) != Ok(16) {
        return Err(UpgradeRefusal::Invalid("expected a sec-websocket-key of 16 bytes in base64"));
    }
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID].concat());
    let mut offered = values("sec-websocket-protocol").flat_map(|value| value.split(','));
    let subprotocol = offered.find_map(|offer| {
        SUBPROTOCOLS.iter().copied().find(|subprotocol| *subprotocol == offer.trim())
    });
    Ok((STANDARD.encode(hash), subprotocol))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::head;
    use super::*;

    fn read(route: Route, target: &str, headers: &str) -> Result<WebSocketRequest, UpgradeRefusal> {
        let text = format!("GET {target} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
        let head = head::parse(text.as_bytes()).unwrap().unwrap();
        WebSocketRequest::read(route, &head, text.as_bytes())
    }

    /// The example of RFC 6455 §1.3.
    const HEADERS: &str = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: other, echo, chat.v1\r\n";

    #[test]
    fn response_is_that_of_the_standard() {
        let request = read(Route::WsEcho, "/ws/echo", HEADERS).unwrap();
        let mut out = Vec::new();
        request.render(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{out}"
        );
        assert!(out.contains("\r\nsec-websocket-protocol: echo\r\n"), "{out}");
        assert!(out.starts_with("HTTP/1.1 101 ") && out.ends_with("\r\n\r\n"), "{out}");
    }

    #[test]
    fn settings_come_from_path_and_query() {
        let target = "/ws/channel/a%20b?echo=false&delay=5ms&drop=1%&close_after=3&code=4001";
        let request = read(Route::WsChannel, target, HEADERS).unwrap();
        let WebSocketKind::Messages(settings) = request.kind else { panic!("{request:?}") };
        assert_eq!(settings.channel.as_deref(), Some("a b"));
        assert_eq!((settings.is_echoed, settings.faults.drop), (false, 0.01));
        assert_eq!(settings.faults.delay.unwrap().mean(), Duration::from_millis(5));
        assert_eq!((settings.close_after, settings.code), (Some(3), 4_001));
        let request = read(Route::WsEvents, "/ws/events?rate=100/s&size=32&batch=8", HEADERS);
        let WebSocketKind::Ticks(settings) = request.unwrap().kind else { panic!() };
        assert_eq!(settings, TickSettings { rate: Rate::per_s(100), size: 32, batch: 8 });
    }

    #[test]
    fn other_requests_are_refused() {
        let mut reply = Response::new();
        for (target, headers, status, part) in [
            ("/ws/echo", String::new(), 426, "Upgrade Required"),
            ("/ws/echo", HEADERS.replace("websocket\r", "h2c\r"), 426, ""),
            ("/ws/echo", HEADERS.replace("13", "8"), 400, "sec-websocket-version"),
            ("/ws/echo", HEADERS.replace("dGhl", ""), 400, "sec-websocket-key"),
            ("/ws/echo?drop=2", HEADERS.to_owned(), 400, "`drop`: expected at most 100%"),
            ("/ws/echo?code=99", HEADERS.to_owned(), 400, "`code`"),
            ("/ws/echo?delay=empirical:/etc/passwd,1", HEADERS.to_owned(), 400, "without a file"),
        ] {
            read(Route::WsEcho, target, &headers).unwrap_err().fill(&mut reply);
            assert_eq!(reply.status, status, "{target} {headers}");
            assert!(String::from_utf8_lossy(&reply.body).contains(part), "{target} {headers}");
        }
    }
}
