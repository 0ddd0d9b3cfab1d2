//! SCRAM-SHA-256 (RFC 5802, RFC 7677): of PostgreSQL without a user's name, of Kafka with it.
//!
//! `sql_login` and `kafka_login` prove a password with it.
//! Invariant: the server is verified, too; the keys of one password and salt are derived once. That
//! costs some milliseconds, which no other user of the shard waits for a second time.
//!
//! By ring, which is there for TLS. The crate `postgres-protocol` derives the keys anew for each
//! connection, and a thousand connections would hold up a shard for seconds.

use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac, pbkdf2};

/// The most iterations that are accepted; PostgreSQL's default is 4,096.
const MAX_ITERATIONS: u32 = 200_000;

/// The header of a client that uses no binding to a channel, and its base64.
const NO_BINDING: (&str, &str) = ("n,,", "biws");

/// What is derived from a password.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::wire) struct ScramKeys {
    salt: Vec<u8>,
    iterations: NonZeroU32,
    salted_password: [u8; 32],
}

/// Without what can be logged in with.
impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScramKeys").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// One login.
#[derive(Debug)]
pub(in crate::wire) struct Scram {
    /// The first message without its header: name and nonce.
    first: String,
    nonce: String,
    /// What the server has to prove at the end.
    expected: Vec<u8>,
}

impl Scram {
    /// Begins a login with a nonce of printable characters without a comma; the server knows the
    /// user already.
    pub(in crate::wire) fn new(nonce: String) -> Self {
        Self::of_user("", nonce)
    }

    /// As [`Self::new`], of this user.
    pub(in crate::wire) fn of_user(user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { first: format!("n={user},r={nonce}"), nonce, expected: Vec::new() }
    }

    /// The first message of the client.
    pub(in crate::wire) fn first_message(&self) -> String {
        format!("{}{}", NO_BINDING.0, self.first)
    }

    /// Takes the first message of the server, and returns the final one of the client. `None` if
    /// the server's is invalid.
    pub(in crate::wire) fn final_message(
        &mut self,
        server: &[u8],
        password: &[u8],
        known: &mut Option<ScramKeys>,
    ) -> Option<String> {
        let server = std::str::from_utf8(server).ok()?;
        let mut parts = server.split(',');
        let nonce = parts.next()?.strip_prefix("r=")?;
        let salt = STANDARD.decode(parts.next()?.strip_prefix("s=")?).ok()?;
        let iterations: u32 = parts.next()?.strip_prefix("i=")?.parse().ok()?;
        let iterations = NonZeroU32::new(iterations).filter(|n| n.get() <= MAX_ITERATIONS)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return None;
        }
        let keys = match known.take() {
            Some(keys) if keys.salt == salt && keys.iterations == iterations => keys,
            _ => derive(password, salt, iterations),
        };
        let salted_password = keys.salted_password;
        *known = Some(keys);
        let client_key = mac(&salted_password, b"Client Key");
        let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
        let without_proof = format!("c={},r={nonce}", NO_BINDING.1);
        let signed = format!("{},{server},{without_proof}", self.first);
        let signature = mac(stored_key.as_ref(), signed.as_bytes());
        let pairs = client_key.as_ref().iter().zip(signature.as_ref());
        let proof: Vec<u8> = pairs.map(|(key, sign)| key ^ sign).collect();
        let server_key = mac(&salted_password, b"Server Key");
        self.expected = mac(server_key.as_ref(), signed.as_bytes()).as_ref().to_vec();
        Some(format!("{without_proof},p={}", STANDARD.encode(proof)))
    }

    /// Whether the final message of the server proves that it knows the password.
    pub(in crate::wire) fn is_proof(&self, server: &[u8]) -> bool {
        let verifier = server.strip_prefix(b"v=").map(|text| STANDARD.decode(text));
        let Some(Ok(verifier)) = verifier else { return false };
        !self.expected.is_empty() && verifier == self.expected
    }
}

fn derive(password: &[u8], salt: Vec<u8>, iterations: NonZeroU32) -> ScramKeys {
    let mut salted_password = [0; 32];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(algorithm, iterations, &salt, password, &mut salted_password);
    ScramKeys { salt, iterations, salted_password }
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER_FIRST: &[u8] =
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// A login as in the example of RFC 7677 §3, whose client sends the name `user`.
    fn example() -> Scram {
        Scram::of_user("user", "rOprNGfwEbeRWgbNEkqO".to_owned())
    }

    #[test]
    fn the_example_of_the_standard_is_proved_by_both_sides() {
        let (mut scram, mut keys) = (example(), None);
        assert_eq!(scram.first_message(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_final = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert!(!scram.is_proof(server_final), "nothing is proved before a password was sent");
        let last = scram.final_message(SERVER_FIRST, b"pencil", &mut keys);
        let wanted = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                      p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(last.as_deref(), Some(wanted));
        assert!(scram.is_proof(server_final));
        assert!(!scram.is_proof(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="));
        assert!(!scram.is_proof(b"e=other-error"));
        // The second login of the password uses what the first one derived.
        let derived = keys.clone();
        let mut second = example();
        assert_eq!(second.final_message(SERVER_FIRST, b"other", &mut keys), last);
        assert_eq!(keys, derived);
    }

    #[test]
    fn a_name_cannot_end_its_field() {
        assert_eq!(Scram::of_user("a=b,c", "x".into()).first_message(), "n,,n=a=3Db=2Cc,r=x");
        assert_eq!(Scram::new("x".into()).first_message(), "n,,n=,r=x");
    }

    #[test]
    fn first_messages_of_no_valid_server_are_refused() {
        for server in [
            &b""[..],
            b"r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000",
            b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==",
            b"\xff",
        ] {
            assert_eq!(example().final_message(server, b"pencil", &mut None), None, "{server:?}");
        }
    }
}
