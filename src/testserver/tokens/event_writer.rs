//! What all events of one token stream share, and their form on the wire.
//!
//! `dialect` and `responses` write with it.
//! Invariant: an event ends with an empty line.

use std::cell::Cell;

use serde_json::Value;

use super::parts::TokenParts;

/// The name of the tool that is called.
pub(super) const TOOL: &str = "say";

/// What is known at the end of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenUsage {
    pub prompt: u64,
    /// All tokens that were sent.
    pub completion: u64,
}

/// Writes the events of one stream.
pub(super) struct TokenEventWriter {
    pub id: String,
    pub model: String,
    pub created: u64,
    pub line_end: &'static str,
    pub parts: TokenParts,
    /// The number of the next event, in the API that numbers them.
    pub next_number: Cell<u64>,
}

impl TokenEventWriter {
    /// The id of the tool call.
    pub fn call_id(&self) -> String {
        format!("call-{}", self.id)
    }

    /// The number of an event that is written now.
    pub fn number(&self) -> u64 {
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        number
    }

    /// Appends an event with a name.
    pub fn named(&self, name: &str, data: &Value, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("event: {name}{}", self.line_end).as_bytes());
        self.line(&format!("data: {data}"), out);
    }

    /// Appends a line, and an empty one.
    pub fn line(&self, line: &str, out: &mut Vec<u8>) {
        for part in [line, self.line_end, self.line_end] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}
