//! What was observed of a response that came in pieces.
//!
//! `observer` fills it in, `engine` reads it after the exchange.
//! Invariant: each piece of content is counted once, and has one time: that of its read.

use crate::clock::Time;
use crate::stats::FailureKind;

/// Maximum gaps that are kept of a response.
pub const MAX_GAPS: usize = 64 << 10;

/// What a response in pieces consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamedFormat {
    /// Server-sent events; each is content.
    Events,
    /// Lines; each is content.
    Lines,
    /// Events of OpenAI's chat completions, completions and responses.
    OpenAi,
    /// Events of Anthropic's messages.
    Anthropic,
    /// Messages of gRPC; each is content. The reader of the response counts them itself.
    Messages,
}

/// What was observed of a response in pieces.
#[derive(Clone, Debug)]
pub struct StreamedResponse {
    /// The read that brought the first content: text, reasoning or arguments of a tool call;
    /// `NEVER` without content.
    pub first: Time,
    /// The read that brought the first text of the answer itself; `NEVER` without one.
    pub first_text: Time,
    /// The read that brought the last content; `NEVER` without content.
    pub last: Time,
    /// Times between two pieces of content, ns; zero if one read brought both. At most
    /// [`MAX_GAPS`].
    pub gaps: Vec<u64>,
    /// Events, lines or messages, comments left out.
    pub events: u64,
    /// Events with content.
    pub content_chunks: u64,
    /// Tokens of the answer, by its own usage report; `None` without one.
    pub tokens: Option<u64>,
    /// Tokens of the prompt, by the same report.
    pub prompt_tokens: Option<u64>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// The text of an error inside the response.
    pub error: Option<String>,
    /// Whether the end mark came; of events and lines without one, whether the body was whole.
    pub is_complete: bool,
    /// Why the pieces could not be read.
    pub unreadable: Option<FailureKind>,
}

impl StreamedResponse {
    /// Creates an observation of nothing.
    pub(in crate::wire) const fn new() -> Self {
        Self {
            first: Time::NEVER,
            first_text: Time::NEVER,
            last: Time::NEVER,
            gaps: Vec::new(),
            events: 0,
            content_chunks: 0,
            tokens: None,
            prompt_tokens: None,
            finish: None,
            error: None,
            is_complete: false,
            unreadable: None,
        }
    }

    /// Why the response is a failure although its status is none: `ErrorInStream`,
    /// `IncompleteStream`, `EventTooLarge`, `EncodedStream` or `NoRoomForMessage`.
    pub fn failure(&self) -> Option<FailureKind> {
        if let Some(kind) = self.unreadable {
            Some(kind)
        } else if self.error.is_some() {
            Some(FailureKind::ErrorInStream)
        } else {
            (!self.is_complete).then_some(FailureKind::IncompleteStream)
        }
    }

    /// Counts a piece of content that the read at `now` brought.
    pub(in crate::wire) fn add_content(&mut self, now: Time, is_text: bool) {
        if self.content_chunks == 0 {
            self.first = now;
        } else if self.gaps.len() < MAX_GAPS {
            self.gaps.push(now.since(self.last));
        }
        if is_text && self.first_text == Time::NEVER {
            self.first_text = now;
        }
        self.content_chunks += 1;
        self.last = now;
    }
}
