//! What a connection says before its first request: credentials and database.
//!
//! `client` logs in on each new connection.
//! Invariant: the time it takes is part of opening the connection; a refusal keeps the server's
//! words, never the credentials.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::clock;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::fault;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::framed::login_reply::LoginReply;
use crate::wire::framed::login_request::{LoginRequest, RedisLogin};
use crate::wire::framed::redis::RedisReader;
use crate::wire::framed::websocket_login;
use crate::wire::http1::client::Http1;
use crate::wire::response_reader::ReadsResponse;

/// Logs in on a new connection. The time it takes goes into the capture, since an exchange is part
/// of every user's task.
pub(in crate::wire) async fn log_in(
    http1: &Http1,
    endpoint: &ServiceEndpoint,
    login: &LoginRequest,
    connection: &mut OpenConnection,
    context: &mut ExchangeContext<'_>,
) -> Result<(), AttemptOutcome> {
    let begun = clock::now();
    let mut words = String::new();
    let done = match login {
        LoginRequest::Redis(redis) => {
            context.deadline.wait(exchange(http1, redis, connection, &mut words)).await
        }
        LoginRequest::Sql(sql) => {
            context.deadline.wait(sql.exchange(|| http1.buffer(), connection, &mut words)).await
        }
        LoginRequest::WebSocket(handshake) => {
            let buffer = || http1.buffer();
            let done = websocket_login::exchange(handshake, buffer, connection, &mut words);
            context.deadline.wait(done).await
        }
        LoginRequest::Amqp(amqp) => {
            context.deadline.wait(amqp.exchange(|| http1.buffer(), connection, &mut words)).await
        }
        LoginRequest::Kafka(kafka) => {
            context.deadline.wait(kafka.exchange(connection, &mut words)).await
        }
    };
    let outcome = match done {
        Ok(Ok(LoginReply::Accepted { round_trips })) => {
            context.capture.rare().login_ns = Some(clock::now().since(begun));
            for _ in 0..round_trips {
                context.outgoing.extra_round_trip(AttemptPhase::Login, context.deadline).await?;
            }
            return Ok(());
        }
        Ok(Ok(LoginReply::Refused)) => {
            let outcome = AttemptOutcome::Failed(AttemptPhase::Login, FailureKind::LoginRefused);
            endpoint.remember_error(outcome, &io::Error::other(words))
        }
        Ok(Ok(LoginReply::Broken(kind))) => AttemptOutcome::Failed(AttemptPhase::Login, kind),
        Ok(Err(error)) => {
            let outcome = fault::outcome(AttemptPhase::Login, &error);
            endpoint.remember_error(outcome, &error)
        }
        Err(why) => why.outcome(AttemptPhase::Login),
    };
    if let Some(timings) = &mut context.exchange.connect {
        timings.open = false;
    }
    Err(outcome)
}

async fn exchange(
    http1: &Http1,
    login: &RedisLogin,
    connection: &mut OpenConnection,
    words: &mut String,
) -> io::Result<LoginReply> {
    let mut capture = ResponseCapture::default();
    let mut reader = RedisReader::new(
        &login.batch,
        CaptureRequest { max_body: MAX_REPLY, ..CaptureRequest::NOTHING },
    );
    let mut sent = 0;
    poll_fn(|cx| {
        while sent < login.bytes.len() {
            match connection.poll_write(cx, &login.bytes[sent..])? {
                Poll::Ready(count) => sent += count,
                Poll::Pending => return Poll::Pending,
            }
        }
        if connection.poll_flush(cx)?.is_pending() {
            return Poll::Pending;
        }
        let mut buffer = http1.buffer();
        loop {
            let count = match connection.poll_read(cx, &mut buffer)? {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(count) => count,
            };
            let reply = match reader.feed(&buffer[..count], &mut capture) {
                Ok(false) => continue,
                Ok(true) if reader.is_ok() => LoginReply::Accepted { round_trips: 1 },
                Ok(true) => {
                    *words = String::from_utf8_lossy(&capture.body).into_owned();
                    LoginReply::Refused
                }
                Err(AttemptOutcome::Failed(_, kind)) => LoginReply::Broken(kind),
                // Nothing of a reply is kept but an error.
                Err(_) => LoginReply::Broken(FailureKind::BadReply),
            };
            return Poll::Ready(Ok(reply));
        }
    })
    .await
}

/// Maximum bytes of all replies to a login.
const MAX_REPLY: u64 = 64 << 10;
