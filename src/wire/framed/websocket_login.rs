//! The handshake of WebSocket on a connection whose protocol goes over it: MQTT.
//!
//! `login` calls it on each new connection, before any packet.
//! Invariant: a response that does not agree to the subprotocol ends the connection.

use std::cell::RefMut;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::ids::ServiceId;
use crate::stats::FailureKind;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::framed::connection_session::ConnectionSession;
use crate::wire::framed::login_reply::LoginReply;
use crate::wire::framed::login_request::WebSocketLogin;
use crate::wire::message_stream::StreamOffer;
use crate::wire::websocket::byte_pipe::BytePipe;
use crate::wire::websocket::handshake;

/// The longest head of a response.
const MAX_HEAD: usize = 64 << 10;

/// The longest part of a refusal that is shown.
const MAX_SHOWN: usize = 256;

/// Upgrades the connection, over the shard's read buffer. Words of a refusal go into `words`.
pub(in crate::wire) async fn exchange<'b>(
    login: &WebSocketLogin,
    read_buffer: impl Fn() -> RefMut<'b, Box<[u8]>>,
    connection: &mut OpenConnection,
    words: &mut String,
) -> io::Result<LoginReply> {
    let key = rand::random();
    let offer = StreamOffer {
        key,
        subprotocols: &login.subprotocols,
        deflate: false,
        grpc: None,
        service: ServiceId::new(0),
        user: 0,
    };
    let request = format!("{}{}\r\n", login.head, handshake::request_lines(&offer));
    let (mut sent, mut head) = (0, Vec::new());
    let end = poll_fn(|cx| {
        let mut buffer = read_buffer();
        loop {
            while sent < request.len() {
                match connection.poll_write(cx, &request.as_bytes()[sent..])? {
                    Poll::Ready(count) => sent += count,
                    Poll::Pending => return Poll::Pending,
                }
            }
            if connection.poll_flush(cx)?.is_pending() {
                return Poll::Pending;
            }
            match connection.poll_read(cx, &mut buffer)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => {
                    return Poll::Ready(Err::<_, io::Error>(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(count) => head.extend_from_slice(&buffer[..count]),
            }
            let end = memchr::memmem::find(&head, b"\r\n\r\n");
            if end.is_some() || head.len() > MAX_HEAD {
                return Poll::Ready(Ok(end));
            }
        }
    })
    .await?;
    let Some(end) = end else { return Ok(LoginReply::Broken(FailureKind::BadHandshake)) };
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(MAX_SHOWN)]).into_owned();
    let early = head.split_off(end + 4);
    let mut status = line.split(' ');
    if !status.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Ok(LoginReply::Broken(FailureKind::BadHandshake));
    }
    if status.next() != Some("101") {
        *words = format!("the broker answered the WebSocket handshake with `{line}`");
        return Ok(LoginReply::Refused);
    }
    let response = ResponseCapture { head, ..ResponseCapture::default() };
    let has_subprotocol = response.header("sec-websocket-protocol").is_some();
    let verified = handshake::verify(&response, &offer);
    match verified {
        Err(kind) => return Ok(LoginReply::Broken(kind)),
        Ok(_) if !has_subprotocol => {
            return Ok(LoginReply::Broken(FailureKind::BadSubprotocol));
        }
        Ok(_) => {}
    }
    let Ok(pipe) = BytePipe::new(key, &early) else {
        return Ok(LoginReply::Broken(FailureKind::BadFrame));
    };
    connection.session = Some(Box::new(ConnectionSession::WebSocket(pipe)));
    Ok(LoginReply::Accepted { round_trips: 1 })
}
