//! The login of a connection to a broker of Kafka: SASL with PLAIN or SCRAM-SHA-256.
//!
//! `login` calls it on each new connection, and so does `cluster_connector`.
//! Invariant: a password is sent by PLAIN alone, and only to a broker that offers it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::task::Poll;

use crate::plan::kafka::KafkaLoginMethod;
use crate::plan::transport::Login;
use crate::stats::FailureKind;
use crate::wire::broker::kafka::sasl::{self, SaslFrames};
use crate::wire::connect::connection::OpenConnection;
use crate::wire::framed::login_reply::LoginReply;
use crate::wire::framed::scram::{Scram, ScramKeys};

/// What logs in to a broker.
pub(in crate::wire) struct KafkaLogin {
    user: String,
    password: String,
    method: KafkaLoginMethod,
    /// What was derived from the password.
    keys: RefCell<Option<ScramKeys>>,
}

/// Without user and password.
impl std::fmt::Debug for KafkaLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaLogin").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The message that the broker has to send next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AwaitedResponse {
    Handshake,
    /// The last one, or the only one.
    Accepted,
    /// The first message of SCRAM.
    Challenge,
}

/// One login.
struct KafkaDialogue<'a> {
    login: &'a KafkaLogin,
    awaited: AwaitedResponse,
    scram: Scram,
    round_trips: u32,
    out: Vec<u8>,
}

impl KafkaLogin {
    /// What logs in; `None` if the login has no user.
    pub(in crate::wire) fn new(login: &Login, method: KafkaLoginMethod) -> Option<Self> {
        let user = login.user.clone()?;
        let password = login.password.clone().unwrap_or_default();
        Some(Self { user, password, method, keys: RefCell::default() })
    }

    const fn mechanism(&self) -> &'static str {
        match self.method {
            KafkaLoginMethod::Plain => "PLAIN",
            KafkaLoginMethod::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// Logs in. Words of a refusal go into `words`.
    pub(in crate::wire) async fn exchange(
        &self,
        connection: &mut OpenConnection,
        words: &mut String,
    ) -> io::Result<LoginReply> {
        let mut dialogue = KafkaDialogue::new(self);
        let (mut sent, mut frames) = (0, SaslFrames::new());
        let mut buffer = vec![0; 4 << 10];
        poll_fn(|cx| {
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
                let mut reply = None;
                let fed = frames.feed(&buffer[..count], &mut |body| {
                    if reply.is_some() {
                        return Err(FailureKind::BadReply);
                    }
                    reply = dialogue.take(body, words)?;
                    Ok(())
                });
                match (fed, reply) {
                    (Err(kind), _) => return Poll::Ready(Ok(LoginReply::Broken(kind))),
                    (Ok(()), Some(reply)) => return Poll::Ready(Ok(reply)),
                    (Ok(()), None) => {}
                }
            }
        })
        .await
    }
}

impl<'a> KafkaDialogue<'a> {
    fn new(login: &'a KafkaLogin) -> Self {
        let mut out = Vec::new();
        sasl::handshake(&mut out, login.mechanism());
        let scram = Scram::of_user(&login.user, format!("{:032x}", rand::random::<u128>()));
        Self { login, awaited: AwaitedResponse::Handshake, scram, round_trips: 1, out }
    }

    /// Takes a response. Returns how the login ends, if it does.
    fn take(&mut self, body: &[u8], words: &mut String) -> Result<Option<LoginReply>, FailureKind> {
        if self.awaited == AwaitedResponse::Handshake {
            let (code, offered) = sasl::offered(body)?;
            if code != 0 {
                let (own, offered) = (self.login.mechanism(), offered.join(", "));
                *words = format!("the broker offers `{offered}`, not {own}");
                return Ok(Some(LoginReply::Refused));
            }
            self.begin();
            return Ok(None);
        }
        let (code, text, message) = sasl::answer(body)?;
        if code != 0 {
            text.clone_into(words);
            return Ok(Some(LoginReply::Refused));
        }
        if self.awaited == AwaitedResponse::Challenge {
            let password = self.login.password.as_bytes();
            let mut keys = self.login.keys.borrow_mut();
            let last = self.scram.final_message(message, password, &mut keys);
            let last = last.ok_or(FailureKind::BadReply)?;
            sasl::authenticate(&mut self.out, last.as_bytes());
            self.awaited = AwaitedResponse::Accepted;
            self.round_trips += 1;
            return Ok(None);
        }
        let proves = self.login.method == KafkaLoginMethod::ScramSha256;
        if proves && !self.scram.is_proof(message) {
            "the broker does not prove that it knows the password".clone_into(words);
            return Ok(Some(LoginReply::Refused));
        }
        Ok(Some(LoginReply::Accepted { round_trips: self.round_trips }))
    }

    /// Sends the first message of the mechanism.
    fn begin(&mut self) {
        self.round_trips += 1;
        match self.login.method {
            KafkaLoginMethod::Plain => {
                let message = format!("\0{}\0{}", self.login.user, self.login.password);
                sasl::authenticate(&mut self.out, message.as_bytes());
                self.awaited = AwaitedResponse::Accepted;
            }
            KafkaLoginMethod::ScramSha256 => {
                sasl::authenticate(&mut self.out, self.scram.first_message().as_bytes());
                self.awaited = AwaitedResponse::Challenge;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(method: KafkaLoginMethod) -> KafkaLogin {
        let (user, password) = (Some("ana".to_owned()), Some("unlikely-4714".to_owned()));
        KafkaLogin::new(&Login { user, password, ..Login::default() }, method).unwrap()
    }

    /// A response to the handshake.
    fn offers(code: i16, mechanism: &str) -> Vec<u8> {
        let length = (mechanism.len() as i16).to_be_bytes();
        [&code.to_be_bytes()[..], &1_i32.to_be_bytes(), &length, mechanism.as_bytes()].concat()
    }

    /// A response to a message of the mechanism.
    fn answers(code: i16, text: &str, message: &[u8]) -> Vec<u8> {
        let (length, size) = ((text.len() as i16).to_be_bytes(), message.len() as i32);
        [&code.to_be_bytes()[..], &length, text.as_bytes(), &size.to_be_bytes(), message].concat()
    }

    /// How a login ends with these responses, its words, and what it has sent.
    fn end(method: KafkaLoginMethod, responses: &[Vec<u8>]) -> (String, String, Vec<u8>) {
        let login = login(method);
        let (mut dialogue, mut words) = (KafkaDialogue::new(&login), String::new());
        let mut end = "waits".to_owned();
        for response in responses {
            end = match dialogue.take(response, &mut words) {
                Ok(None) => "waits".to_owned(),
                Ok(Some(LoginReply::Accepted { round_trips })) => format!("accepted {round_trips}"),
                Ok(Some(LoginReply::Refused)) => "refused".to_owned(),
                Ok(Some(LoginReply::Broken(kind))) | Err(kind) => kind.name().to_owned(),
            };
        }
        assert!(!format!("{login:?}{words}").contains("4714"));
        (end, words, dialogue.out)
    }

    #[test]
    fn a_password_is_sent_once_the_broker_offers_it() {
        let plain = KafkaLoginMethod::Plain;
        let (ended, _, out) = end(plain, &[]);
        assert_eq!(ended, "waits");
        assert!(out.ends_with(b"\0\x05PLAIN") && !out.ends_with(b"4714"));
        let (ended, _, out) = end(plain, &[offers(0, "PLAIN"), answers(0, "", b"")]);
        assert_eq!(ended, "accepted 2");
        assert!(out.ends_with(b"\0\0\0\x12\0ana\0unlikely-4714"));
        let (ended, words, out) = end(plain, &[offers(33, "GSSAPI")]);
        assert_eq!((&*ended, &*words), ("refused", "the broker offers `GSSAPI`, not PLAIN"));
        assert!(!out.ends_with(b"4714"));
        let (ended, words, _) = end(plain, &[offers(0, "PLAIN"), answers(58, "no such user", b"")]);
        assert_eq!((&*ended, &*words), ("refused", "no such user"));
        assert_eq!(end(plain, &[vec![0]]).0, "bad_reply");
    }

    #[test]
    fn a_broker_has_to_prove_that_it_knows_the_password() {
        let scram = KafkaLoginMethod::ScramSha256;
        let begun = [offers(0, "SCRAM-SHA-256")];
        let (ended, _, out) = end(scram, &begun);
        assert_eq!(ended, "waits");
        let first = String::from_utf8_lossy(&out).into_owned();
        assert!(first.contains("n,,n=ana,r="), "{first:?}");
        // A nonce that does not begin with the client's.
        let other = answers(0, "", b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(end(scram, &[begun[0].clone(), other]).0, "bad_reply");
    }
}
