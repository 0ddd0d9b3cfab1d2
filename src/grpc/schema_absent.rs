//! Schemas of a binary without the feature `grpc`: there are none.
//!
//! Invariant: no value of these types exists.

use std::path::PathBuf;

use super::ReadFile;

/// Descriptors of services and messages.
#[derive(Clone, Debug)]
pub enum Schema {}

/// A type of messages.
#[derive(Clone, Debug)]
pub enum MessageType {}

/// Why there is no schema.
const ABSENT: &str = "this binary was built without gRPC: build with `--features grpc`";

impl Schema {
    /// Refuses.
    ///
    /// # Errors
    /// Always: what to do.
    pub fn compile(_: &[String], _: &[PathBuf], _: Box<ReadFile>) -> Result<Self, String> {
        Err(ABSENT.to_owned())
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always: what to do.
    pub fn decode(_: &[u8]) -> Result<Self, String> {
        Err(ABSENT.to_owned())
    }

    /// Refuses.
    ///
    /// # Errors
    /// Always: what to do.
    pub fn names_in(_: &[u8]) -> Result<(String, Vec<String>), String> {
        Err(ABSENT.to_owned())
    }

    /// None.
    pub fn known_file(_: &str) -> Option<Vec<u8>> {
        None
    }

    /// The names of all methods.
    pub fn method_names(&self) -> Vec<String> {
        match *self {}
    }

    /// The types of a method's messages.
    pub fn messages_of(&self, _: &str) -> Option<[MessageType; 2]> {
        match *self {}
    }

    /// Whether a method gets a stream, and whether it returns one.
    pub fn streams_of(&self, _: &str) -> [bool; 2] {
        match *self {}
    }

    /// Whether a method may be called twice.
    pub fn is_idempotent(&self, _: &str) -> bool {
        match *self {}
    }
}

impl MessageType {
    /// None.
    pub fn any() -> Option<Self> {
        None
    }

    /// Whether its JSON is not that of its fields.
    pub fn has_own_json(&self) -> bool {
        match *self {}
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match *self {}
    }

    /// The names of its fields.
    pub fn field_names(&self) -> Vec<String> {
        match *self {}
    }

    /// The field of this name.
    pub fn field(&self, _: &str) -> Option<Option<Self>> {
        match *self {}
    }

    /// Encodes a message.
    ///
    /// # Errors
    /// None: there is no such type.
    pub fn encode(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        match *self {}
    }

    /// The JSON of a message.
    ///
    /// # Errors
    /// None: there is no such type.
    pub fn to_json(&self, _: &[u8]) -> Result<Vec<u8>, String> {
        match *self {}
    }
}
