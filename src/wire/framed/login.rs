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
use crate::wire::framed::login_request::LoginRequest;
use crate::wire::framed::redis::RedisReader;
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
    let mut capture = ResponseCapture::default();
    let done = context.deadline.wait(exchange(http1, login, connection, &mut capture)).await;
    let outcome = match done {
        Ok(Ok(Reply::Accepted)) => {
            context.capture.rare().login_ns = Some(clock::now().since(begun));
            return context.outgoing.extra_round_trip(AttemptPhase::Login, context.deadline).await;
        }
        Ok(Ok(Reply::Refused)) => {
            let outcome = AttemptOutcome::Failed(AttemptPhase::Login, FailureKind::LoginRefused);
            let words = String::from_utf8_lossy(&capture.body).into_owned();
            endpoint.remember_error(outcome, &io::Error::other(words))
        }
        Ok(Ok(Reply::Broken(outcome))) => outcome,
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

/// How a server replied.
enum Reply {
    Accepted,
    Refused,
    Broken(AttemptOutcome),
}

async fn exchange(
    http1: &Http1,
    login: &LoginRequest,
    connection: &mut OpenConnection,
    capture: &mut ResponseCapture,
) -> io::Result<Reply> {
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
            match reader.feed(&buffer[..count], capture) {
                Ok(false) => {}
                Ok(true) if reader.is_ok() => return Poll::Ready(Ok(Reply::Accepted)),
                Ok(true) => return Poll::Ready(Ok(Reply::Refused)),
                Err(AttemptOutcome::Failed(_, kind)) => {
                    let outcome = AttemptOutcome::Failed(AttemptPhase::Login, kind);
                    return Poll::Ready(Ok(Reply::Broken(outcome)));
                }
                Err(outcome) => return Poll::Ready(Ok(Reply::Broken(outcome))),
            }
        }
    })
    .await
}

/// Maximum bytes of all replies to a login.
const MAX_REPLY: u64 = 64 << 10;
