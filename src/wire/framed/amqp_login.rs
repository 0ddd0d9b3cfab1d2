//! The login of a connection to a broker of AMQP: versions, user, limits, virtual host, and the one
//! channel.
//!
//! `login` calls it on each new connection.
//! Invariant: a password is sent once, to a broker that speaks AMQP 0-9-1 and offers PLAIN.

use std::cell::RefMut;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::plan::transport::Login;
use crate::stats::FailureKind;
use crate::wire::broker::amqp::encode;
use crate::wire::broker::amqp::fault::AmqpFault;
use crate::wire::broker::amqp::frames::{AmqpFrame, AmqpFrames, HEARTBEAT, METHOD};
use crate::wire::broker::amqp::limits::{AmqpLimits, MAX_FRAME};
use crate::wire::broker::amqp::methods::ServerMethod;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::framed::connection_session::ConnectionSession;
use crate::wire::framed::login_reply::LoginReply;

/// User and password of a URL without them: those of a new broker.
const DEFAULT_USER: &str = "guest";

/// The virtual host of a URL without one.
const DEFAULT_HOST: &str = "/";

/// The most bytes of a broker before it accepts or refuses a login.
const MAX_RECEIVED: usize = 256 << 10;

/// The version that is spoken.
const VERSION: [u8; 2] = [0, 9];

/// What logs in to a broker.
pub(in crate::wire) struct AmqpLogin {
    start_ok: Vec<u8>,
    /// `None`: the name of the virtual host is too long.
    open: Option<Vec<u8>>,
}

/// Without user and password.
impl std::fmt::Debug for AmqpLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmqpLogin").finish_non_exhaustive()
    }
}

impl AmqpLogin {
    pub(in crate::wire) fn new(login: &Login) -> Self {
        let user = login.user.as_deref().unwrap_or(DEFAULT_USER);
        // A user without a password has an empty one; only the default user has its own.
        let default = if login.user.is_none() { DEFAULT_USER } else { "" };
        let password = login.password.as_deref().unwrap_or(default);
        let (mut start_ok, mut open) = (Vec::new(), Vec::new());
        // A login of a scenario is shorter than any limit.
        let _ = encode::start_ok(&mut start_ok, user, password);
        let host = login.database.as_deref().unwrap_or(DEFAULT_HOST);
        let is_open = encode::open(&mut open, host).is_ok();
        Self { start_ok, open: is_open.then_some(open) }
    }

    /// Logs in, over the shard's read buffer. Words of a refusal go into `words`.
    pub(in crate::wire) async fn exchange<'b>(
        &self,
        read_buffer: impl Fn() -> RefMut<'b, Box<[u8]>>,
        connection: &mut OpenConnection,
        words: &mut String,
    ) -> io::Result<LoginReply> {
        let mut dialogue = AmqpDialogue::new(self);
        let (mut sent, mut received, mut frames) = (0, 0, AmqpFrames::new(MAX_FRAME));
        poll_fn(|cx| {
            let mut buffer = read_buffer();
            loop {
                while sent < dialogue.out.len() {
                    match connection.poll_write(cx, &dialogue.out[sent..])? {
                        Poll::Ready(count) => sent += count,
                        Poll::Pending => return Poll::Pending,
                    }
                }
                if connection.poll_flush(cx)?.is_pending() {
                    return Poll::Pending;
                }
                let count = match connection.poll_read(cx, &mut buffer)? {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(0) => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    Poll::Ready(count) => count,
                };
                received += count;
                let bytes = &buffer[..count];
                if let Some(reply) = dialogue.feed(&mut frames, bytes, words) {
                    if matches!(reply, LoginReply::Accepted { .. }) {
                        let session = ConnectionSession::Amqp(dialogue.limits);
                        connection.session = Some(Box::new(session));
                    }
                    return Poll::Ready(Ok(reply));
                }
                if received > MAX_RECEIVED {
                    return Poll::Ready(Ok(LoginReply::Broken(FailureKind::BadReply)));
                }
            }
        })
        .await
    }
}

/// One login.
pub(in crate::wire) struct AmqpDialogue<'a> {
    login: &'a AmqpLogin,
    awaited: AwaitedMethod,
    round_trips: u32,
    /// What is to be sent, from the beginning on.
    pub(in crate::wire) out: Vec<u8>,
    /// What was agreed on.
    pub(in crate::wire) limits: AmqpLimits,
}

/// The method that the broker has to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AwaitedMethod {
    Start,
    Tune,
    OpenOk,
    ChannelOpenOk,
}

impl<'a> AmqpDialogue<'a> {
    pub(in crate::wire) fn new(login: &'a AmqpLogin) -> Self {
        let out = encode::PROTOCOL_HEADER.to_vec();
        let limits = AmqpLimits::default();
        Self { login, awaited: AwaitedMethod::Start, round_trips: 1, out, limits }
    }

    /// Takes bytes; what they ask for goes into `out`. Returns how the login ends, if it does.
    pub(in crate::wire) fn feed(
        &mut self,
        frames: &mut AmqpFrames,
        bytes: &[u8],
        words: &mut String,
    ) -> Option<LoginReply> {
        let mut reply = None;
        let fed = frames.feed(bytes, &mut |frame| {
            match &reply {
                None => reply = self.take(frame, words),
                // A broker closes the connection after a refusal.
                Some(LoginReply::Accepted { .. }) if frame.kind != HEARTBEAT => {
                    return Err(AmqpFault::Unexpected);
                }
                Some(_) => {}
            }
            Ok(())
        });
        let is_broken = match &reply {
            Some(LoginReply::Accepted { .. }) => fed.is_err() || !frames.is_empty(),
            None => fed.is_err(),
            Some(_) => false,
        };
        if is_broken { Some(LoginReply::Broken(FailureKind::BadReply)) } else { reply }
    }

    fn take(&mut self, frame: AmqpFrame<'_>, words: &mut String) -> Option<LoginReply> {
        const BROKEN: Option<LoginReply> = Some(LoginReply::Broken(FailureKind::BadReply));
        if frame.kind == HEARTBEAT {
            return None;
        }
        let method = match frame.kind {
            METHOD => ServerMethod::read(frame.payload),
            _ => return BROKEN,
        };
        match (self.awaited, method) {
            (AwaitedMethod::Start, Ok(ServerMethod::Start { version: VERSION, mechanisms })) => {
                if !mechanisms.split(|byte| *byte == b' ').any(|name| name == b"PLAIN") {
                    let offered = String::from_utf8_lossy(mechanisms);
                    *words = format!("the broker offers `{offered}`; PLAIN is supported");
                    return Some(LoginReply::Refused);
                }
                self.out.extend_from_slice(&self.login.start_ok);
                self.awaited = AwaitedMethod::Tune;
            }
            (AwaitedMethod::Tune, Ok(ServerMethod::Secure)) => {
                "the broker asks for more than user and password".clone_into(words);
                return Some(LoginReply::Refused);
            }
            (AwaitedMethod::Tune, Ok(ServerMethod::Tune { channel_max, frame_max, heartbeat })) => {
                let Some(open) = &self.login.open else {
                    "the name of the virtual host is longer than 255 bytes".clone_into(words);
                    return Some(LoginReply::Refused);
                };
                self.limits = AmqpLimits::agreed(channel_max, frame_max, heartbeat);
                encode::tune_ok(&mut self.out, &self.limits);
                self.out.extend_from_slice(open);
                self.awaited = AwaitedMethod::OpenOk;
            }
            (AwaitedMethod::OpenOk, Ok(ServerMethod::OpenOk)) => {
                encode::channel_open(&mut self.out, encode::CHANNEL);
                self.awaited = AwaitedMethod::ChannelOpenOk;
            }
            (AwaitedMethod::ChannelOpenOk, Ok(ServerMethod::ChannelOpenOk)) => {
                return Some(LoginReply::Accepted { round_trips: self.round_trips });
            }
            (_, Ok(ServerMethod::ConnectionClose(reason) | ServerMethod::ChannelClose(reason))) => {
                let text = String::from_utf8_lossy(reason.text);
                *words = format!("{} {text}", reason.code);
                return Some(LoginReply::Refused);
            }
            (_, Ok(ServerMethod::Blocked | ServerMethod::Unblocked)) => return None,
            _ => return BROKEN,
        }
        self.round_trips += 1;
        None
    }
}
