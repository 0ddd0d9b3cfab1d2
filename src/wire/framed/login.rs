//! What a connection says before its first request: credentials and database.
//!
//! `client` logs in on each new connection.
//! Invariant: the time it takes is part of opening the connection; a refusal keeps the server's
//! words, never the credentials.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::clock;
use crate::plan::operation::{BatchForm, RedisBatch, RedisCommand};
use crate::plan::transport::Login;
use crate::protocol::Protocol;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::template::Template;
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::fault;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::framed::encode;
use crate::wire::framed::login_reply::LoginReply;
use crate::wire::framed::redis::RedisReader;
use crate::wire::framed::sql_login::SqlLogin;
use crate::wire::http1::client::Http1;
use crate::wire::response_reader::ReadsResponse;

/// What logs in to a server.
#[derive(Debug)]
pub(in crate::wire) enum LoginRequest {
    Redis(RedisLogin),
    Sql(SqlLogin),
}

impl LoginRequest {
    /// What logs in to a server of this protocol; `None` if it needs nothing.
    pub(in crate::wire) fn new(protocol: Protocol, login: Option<&Login>) -> Option<Self> {
        match protocol {
            // A server of PostgreSQL waits for a startup before anything else.
            Protocol::Postgres => {
                let login = login.cloned().unwrap_or_default();
                Some(Self::Sql(SqlLogin::new(&login)))
            }
            _ => login.and_then(RedisLogin::new).map(Self::Redis),
        }
    }
}

/// The commands that log in to a Redis server, and their bytes.
#[derive(Debug)]
pub(in crate::wire) struct RedisLogin {
    bytes: Vec<u8>,
    batch: RedisBatch,
}

impl RedisLogin {
    /// The commands for a login; `None` if it needs none.
    fn new(login: &Login) -> Option<Self> {
        let mut commands: Vec<Vec<&str>> = Vec::new();
        match (login.user.as_deref(), login.password.as_deref()) {
            (None, Some(password)) => commands.push(vec!["AUTH", password]),
            (Some(user), password) => commands.push(vec!["AUTH", user, password.unwrap_or("")]),
            (None, None) => {}
        }
        if let Some(database) = login.database.as_deref() {
            commands.push(vec!["SELECT", database]);
        }
        let mut bytes = Vec::new();
        for words in &commands {
            encode::redis_command(&mut bytes, words.len());
            words.iter().for_each(|word| encode::redis_word(&mut bytes, word.as_bytes()));
        }
        let words = |words: Vec<&str>| words.into_iter().map(Template::literal).collect();
        let commands: Vec<_> =
            commands.into_iter().map(|command| RedisCommand { words: words(command) }).collect();
        let batch = RedisBatch { commands, form: BatchForm::Pipeline };
        (!bytes.is_empty()).then_some(Self { bytes, batch })
    }
}

/// Logs in on a new connection. The time it takes goes into the capture: an exchange, of which
/// every user has one, has no room for it.
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
            context.deadline.wait(sql.exchange(http1, connection, &mut words)).await
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
