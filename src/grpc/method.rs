//! Methods, and what a service of gRPC is configured with.
//!
//! `scenario` looks methods up in a schema; a call holds one.
//! Invariant: a method has the types of its own messages.

use std::sync::Arc;

use super::frame;
use super::health;
use super::schema::{MessageType, Schema};

/// What a service of gRPC is configured with.
#[derive(Clone, Debug)]
pub struct GrpcSettings {
    /// The methods that steps can call; `None` if a mistake in them has been reported.
    pub schema: Option<Arc<Schema>>,
    /// Whether requests are compressed, and responses may be.
    pub compress: bool,
    /// The longest message of a stream that is accepted, bytes.
    pub max_message: u64,
    /// Whether the server is to be asked for the methods, and was not.
    pub lacks_reflection: bool,
}

impl GrpcSettings {
    /// The default of `max_message`, which is that of grpc-go and grpc-core.
    pub const MAX_MESSAGE: u64 = 4 << 20;
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
    /// Whether the client sends a stream of messages, else one.
    pub is_client_streaming: bool,
    /// Whether the server sends a stream of messages, else one.
    pub is_server_streaming: bool,
}

/// A call of a method.
#[derive(Clone, Debug)]
pub struct GrpcCall {
    /// The method.
    pub method: GrpcMethod,
    /// Whether what it sends is compressed.
    pub is_compressed: bool,
}

impl GrpcMethod {
    /// The method of this name, such as `shop.v1.Cart/Add`; `None` if the schema has none.
    pub fn find(schema: &Schema, name: &str) -> Option<Self> {
        let [input, output] = schema.messages_of(name)?;
        let [is_client_streaming, is_server_streaming] = schema.streams_of(name);
        Some(Self {
            name: name.to_owned(),
            input,
            output,
            is_idempotent: schema.is_idempotent(name),
            is_client_streaming,
            is_server_streaming,
        })
    }

    /// The method of this name of a service that has the schema; of the health service without one.
    pub fn known(schema: Option<&Schema>, name: &str) -> Option<Self> {
        let own = schema.and_then(|schema| Self::find(schema, name));
        own.or_else(|| Self::find(health::schema_of(name)?, name))
    }

    /// A method of a server that has not been asked for its methods: of any messages.
    pub fn unknown(
        name: &str,
        [is_client_streaming, is_server_streaming]: [bool; 2],
    ) -> Option<Self> {
        let any = MessageType::any()?;
        Some(Self {
            name: name.to_owned(),
            input: any.clone(),
            output: any,
            is_idempotent: false,
            is_client_streaming,
            is_server_streaming,
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
