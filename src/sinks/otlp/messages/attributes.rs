//! Attributes, and what they describe: resources and scopes.
//!
//! Source: `common/v1/common.proto`, `resource/v1/resource.proto`.
//! Invariant: an attribute has a value.

use prost::{Message, Oneof};

/// An attribute: name and value.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeMessage {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AttributeValue>,
}

/// A value of an attribute, or the body of a log record.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeValue {
    /// The value itself.
    #[prost(oneof = "AttributeText", tags = "1, 2, 3, 4")]
    pub is: Option<AttributeText>,
}

/// The kinds of values.
#[derive(Clone, PartialEq, Oneof)]
pub enum AttributeText {
    /// A text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Int(i64),
    /// Any other number.
    #[prost(double, tag = "4")]
    Double(f64),
}

impl AttributeMessage {
    /// An attribute with this value.
    pub fn new(name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }
}

impl From<AttributeText> for AttributeValue {
    fn from(value: AttributeText) -> Self {
        Self { is: Some(value) }
    }
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        AttributeText::Text(text.to_owned()).into()
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        AttributeText::Text(text).into()
    }
}

impl From<bool> for AttributeValue {
    fn from(is: bool) -> Self {
        AttributeText::Bool(is).into()
    }
}

impl From<i64> for AttributeValue {
    fn from(number: i64) -> Self {
        AttributeText::Int(number).into()
    }
}

impl From<f64> for AttributeValue {
    fn from(number: f64) -> Self {
        AttributeText::Double(number).into()
    }
}

/// What telemetry is of: a run in a process on a machine.
#[derive(Clone, PartialEq, Message)]
pub(in crate::sinks::otlp) struct ResourceMessage {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::sinks::otlp) attributes: Vec<AttributeMessage>,
}

/// The library that made telemetry: Manada itself.
#[derive(Clone, PartialEq, Eq, Message)]
pub(in crate::sinks::otlp) struct ScopeMessage {
    #[prost(string, tag = "1")]
    pub(in crate::sinks::otlp) name: String,
    #[prost(string, tag = "2")]
    pub(in crate::sinks::otlp) version: String,
}

impl ScopeMessage {
    /// Manada.
    pub(in crate::sinks::otlp) fn own() -> Self {
        Self { name: "manada".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
    }
}
