//! Requests and responses of a login: SaslHandshake and SaslAuthenticate.
//!
//! `framed::kafka_login` exchanges them.
//! Invariant: a password is in the bytes of a request alone.

use super::api::{KafkaApi, KafkaFrames, put_request};
use super::fields::{KafkaFields, put_bytes, put_text};
use crate::stats::FailureKind;

/// The longest response of a login, bytes.
const MAX_RESPONSE: usize = 64 << 10;

/// Names the mechanism.
pub(in crate::wire) fn handshake(out: &mut Vec<u8>, mechanism: &str) {
    put_request(out, KafkaApi::SaslHandshake, 0, |out| put_text(out, mechanism));
}

/// Sends a message of the mechanism.
pub(in crate::wire) fn authenticate(out: &mut Vec<u8>, message: &[u8]) {
    put_request(out, KafkaApi::SaslAuthenticate, 0, |out| put_bytes(out, message));
}

/// Splits responses of a login.
#[derive(Debug)]
pub(in crate::wire) struct SaslFrames(KafkaFrames);

impl SaslFrames {
    pub(in crate::wire) const fn new() -> Self {
        Self(KafkaFrames::new(MAX_RESPONSE))
    }

    /// Takes bytes; calls `each` with the body of each response.
    ///
    /// # Errors
    /// `MessageTooLarge`, `BadReply`, and those of `each`.
    pub(in crate::wire) fn feed(
        &mut self,
        bytes: &[u8],
        each: &mut dyn FnMut(&[u8]) -> Result<(), FailureKind>,
    ) -> Result<(), FailureKind> {
        self.0.feed(bytes, &mut |_, body| each(body))
    }
}

/// The response to [`handshake`]: the code of an error, and the mechanisms of the broker.
pub(in crate::wire) fn offered(body: &[u8]) -> Result<(i16, Vec<String>), FailureKind> {
    let mut fields = KafkaFields(body);
    let code = fields.short()?;
    let count = fields.count(2)?;
    let names = (0..count).map(|_| fields.text().map(str::to_owned));
    Ok((code, names.collect::<Result<_, _>>()?))
}

/// The response to [`authenticate`]: the code of an error, its text, and the broker's message.
pub(in crate::wire) fn answer(body: &[u8]) -> Result<(i16, &str, &[u8]), FailureKind> {
    let mut fields = KafkaFields(body);
    Ok((fields.short()?, fields.text()?, fields.bytes()?))
}
