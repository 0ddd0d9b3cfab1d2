//! Methods, and what a service of gRPC is configured with.
//!
//! `scenario` looks methods up in a schema; a call holds one.
//! Invariant: a method that a call holds is unary.

use std::sync::Arc;

use super::frame;
use super::schema::{MessageType, Schema};

/// What a service of gRPC is configured with.
#[derive(Clone, Debug)]
pub struct GrpcSettings {
    /// The methods that steps can call; `None` if a mistake in them has been reported.
    pub schema: Option<Arc<Schema>>,
    /// Whether requests are compressed, and responses may be.
    pub compress: bool,
}

/// A method of a service.
#[derive(Clone, Debug)]
pub struct GrpcMethod {
    /// Its name with package and service, such as `shop.v1.Cart/Add`.
    pub name: String,
    /// What is sent.
    pub input: MessageType,
    /// What is received.
    pub output: MessageType,
    /// Whether it may be called twice without harm, as its option `idempotency_level` says.
    pub is_idempotent: bool,
    /// Whether it sends or receives a stream of messages.
    pub streams: bool,
}

impl GrpcMethod {
    /// The method of this name, such as `shop.v1.Cart/Add`; `None` if the schema has none.
    pub fn find(schema: &Schema, name: &str) -> Option<Self> {
        let [input, output] = schema.messages_of(name)?;
        Some(Self {
            name: name.to_owned(),
            input,
            output,
            is_idempotent: schema.is_idempotent(name),
            streams: schema.has_streams(name),
        })
    }

    /// Appends the frame of a request that is given as JSON.
    ///
    /// # Errors
    /// Why the JSON is no message of this method.
    pub fn write_request(
        &self,
        json: &[u8],
        is_compressed: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let message = self.input.encode(json)?;
        frame::write(&message, is_compressed, out);
        Ok(())
    }

    /// The JSON of a request's frame, for people; `None` if it is none.
    pub fn request_as_json(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (prefix, message) = bytes.split_at_checked(frame::PREFIX)?;
        let unpacked;
        let message = if prefix[0] == 1 {
            unpacked = frame::gunzip(message, u64::from(u32::MAX)).ok()?;
            &unpacked
        } else {
            message
        };
        self.input.to_json(message).ok()
    }
}
