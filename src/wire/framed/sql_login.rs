//! The login of a connection to PostgreSQL: startup and authentication.
//!
//! `login` calls it on each new connection.
//! Invariant: a password is sent only in the way that the server asks for, and never twice.

use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use md5::{Digest, Md5};
use rand::distr::{Alphanumeric, SampleString};

use crate::plan::transport::Login;
use crate::stats::FailureKind;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::framed::login_reply::LoginReply;
use crate::wire::framed::scram::{Scram, ScramKeys};
use crate::wire::framed::sql_encode as encode;
use crate::wire::framed::sql_messages::{MessageSplitter, ServerMessage, error_text, split_text};

/// The user of a URL without one.
const DEFAULT_USER: &str = "postgres";

/// Version 3.0 of the protocol.
const VERSION: [u8; 4] = [0, 3, 0, 0];

/// The longest message of a login that is kept.
const MAX_KEPT: usize = 16 << 10;

/// The most bytes of a server before it accepts or refuses a login.
const MAX_RECEIVED: usize = 256 << 10;

/// Characters of a nonce.
const NONCE: usize = 24;

/// What logs in to a PostgreSQL server.
pub(in crate::wire) struct SqlLogin {
    startup: Vec<u8>,
    user: String,
    password: Option<String>,
    /// What the last login derived from the password.
    keys: RefCell<Option<ScramKeys>>,
}

/// Without the password.
impl std::fmt::Debug for SqlLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlLogin").field("user", &self.user).finish_non_exhaustive()
    }
}

impl SqlLogin {
    pub(in crate::wire) fn new(login: &Login) -> Self {
        let user = login.user.clone().unwrap_or_else(|| DEFAULT_USER.to_owned());
        let database = login.database.clone().unwrap_or_else(|| user.clone());
        let mut startup = vec![0; 4];
        startup.extend_from_slice(&VERSION);
        let settings = [
            ("user", user.as_str()),
            ("database", &database),
            ("application_name", "manada"),
            ("client_encoding", "UTF8"),
        ];
        for part in settings.into_iter().flat_map(|(name, value)| [name, value]) {
            // `scenario` refuses names with a zero byte.
            let _ = encode::text(&mut startup, part.as_bytes());
        }
        startup.push(0);
        // A login of a scenario is shorter than any limit.
        let _ = encode::end(&mut startup, 0);
        Self { startup, user, password: login.password.clone(), keys: RefCell::default() }
    }

    /// Logs in, over the shard's read buffer. Words of a refusal go into `words`.
    pub(in crate::wire) async fn exchange<'b>(
        &self,
        read_buffer: impl Fn() -> RefMut<'b, Box<[u8]>>,
        connection: &mut OpenConnection,
        words: &mut String,
    ) -> io::Result<LoginReply> {
        let mut dialogue = Dialogue { login: self, scram: None, is_proved: false, round_trips: 1 };
        let mut out = self.startup.clone();
        let (mut sent, mut received, mut splitter) = (0, 0, MessageSplitter::default());
        poll_fn(|cx| {
            let mut buffer = read_buffer();
            loop {
                while sent < out.len() {
                    match connection.poll_write(cx, &out[sent..])? {
                        Poll::Ready(count) => sent += count,
                        Poll::Pending => return Poll::Pending,
                    }
                }
                if connection.poll_flush(cx)?.is_pending() {
                    return Poll::Pending;
                }
                let mut bytes = match connection.poll_read(cx, &mut buffer)? {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(0) => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    Poll::Ready(count) => &buffer[..count],
                };
                received += bytes.len();
                while !bytes.is_empty() {
                    let read = splitter.read(bytes, |_| MAX_KEPT);
                    let Ok((used, message)) = read else {
                        return Poll::Ready(Ok(LoginReply::Broken(FailureKind::BadReply)));
                    };
                    bytes = &bytes[used..];
                    let Some(message) = message else { continue };
                    if let Some(reply) = dialogue.take(message, &mut out, words) {
                        return Poll::Ready(Ok(reply));
                    }
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
struct Dialogue<'a> {
    login: &'a SqlLogin,
    scram: Option<Scram>,
    /// Whether the server has proved that it knows the password.
    is_proved: bool,
    round_trips: u32,
}

impl Dialogue<'_> {
    /// Takes a message; what it asks for goes into `out`. Returns how the login ends, if it does.
    fn take(
        &mut self,
        message: ServerMessage<'_>,
        out: &mut Vec<u8>,
        words: &mut String,
    ) -> Option<LoginReply> {
        match message.kind {
            b'R' => self.authenticate(message.payload, out, words),
            b'E' => {
                *words = error_text(message.payload);
                Some(LoginReply::Refused)
            }
            b'Z' => Some(LoginReply::Accepted { round_trips: self.round_trips }),
            // Parameters, the key for cancelling, notices, another minor version.
            b'S' | b'K' | b'N' | b'v' => None,
            _ => Some(LoginReply::Broken(FailureKind::BadReply)),
        }
    }

    fn authenticate(
        &mut self,
        payload: &[u8],
        out: &mut Vec<u8>,
        words: &mut String,
    ) -> Option<LoginReply> {
        const BROKEN: Option<LoginReply> = Some(LoginReply::Broken(FailureKind::BadReply));
        let Some((method, rest)) = payload.split_first_chunk() else { return BROKEN };
        let method = u32::from_be_bytes(*method);
        if method == 0 {
            // A server that was to prove itself, and did not, is none that knows the password.
            return if self.scram.is_some() && !self.is_proved { BROKEN } else { None };
        }
        let Some(password) = self.login.password.as_deref() else {
            "the server asks for a password, and the service has none".clone_into(words);
            return Some(LoginReply::Refused);
        };
        let answer = match (method, &mut self.scram) {
            (3, None) => with_zero(password.as_bytes()),
            (5, None) => match rest.first_chunk() {
                Some(salt) => with_zero(md5_of(&self.login.user, password, *salt).as_bytes()),
                None => return BROKEN,
            },
            (10, None) => {
                if !offers_scram(rest) {
                    "the server offers no SCRAM-SHA-256".clone_into(words);
                    return Some(LoginReply::Refused);
                }
                let scram = Scram::new(Alphanumeric.sample_string(&mut rand::rng(), NONCE));
                let first = scram.first_message();
                self.scram = Some(scram);
                let mut answer = with_zero(b"SCRAM-SHA-256");
                answer.extend_from_slice(&(first.len() as u32).to_be_bytes());
                answer.extend_from_slice(first.as_bytes());
                answer
            }
            (11, Some(scram)) => {
                let keys = &mut *self.login.keys.borrow_mut();
                match scram.final_message(rest, password.as_bytes(), keys) {
                    Some(last) => last.into_bytes(),
                    None => return BROKEN,
                }
            }
            (12, Some(scram)) => {
                self.is_proved = scram.is_proof(rest);
                return if self.is_proved { None } else { BROKEN };
            }
            (2 | 6 | 7 | 9, _) => {
                "the server asks for Kerberos, GSSAPI or SSPI; a password is supported"
                    .clone_into(words);
                return Some(LoginReply::Refused);
            }
            _ => return BROKEN,
        };
        self.round_trips += 1;
        let start = encode::begin(out, b'p');
        out.extend_from_slice(&answer);
        match encode::end(out, start) {
            Ok(()) => None,
            Err(_) => BROKEN,
        }
    }
}

fn with_zero(text: &[u8]) -> Vec<u8> {
    [text, &[0]].concat()
}

/// Whether a list of mechanisms has the one that is supported.
fn offers_scram(mut list: &[u8]) -> bool {
    while let Some((name, rest)) = split_text(list) {
        if name == b"SCRAM-SHA-256" {
            return true;
        }
        list = rest;
    }
    false
}

/// The reply to a server that asks for MD5: of the MD5 of password and user, and a salt.
fn md5_of(user: &str, password: &str, salt: [u8; 4]) -> String {
    let inner = Md5::new().chain_update(password).chain_update(user).finalize();
    let outer = Md5::new().chain_update(crate::hex::hex(&inner)).chain_update(salt).finalize();
    format!("md5{}", crate::hex::hex(&outer))
}
