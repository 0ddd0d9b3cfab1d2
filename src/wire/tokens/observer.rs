//! Watches the body of a response as it comes.
//!
//! The readers of both HTTP versions feed it; `ResponseCapture` hands out what it observed.
//! Invariant: it changes nothing of the response, and what it cannot read does not end it.

use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::events::lines::LineParser;
use crate::wire::events::parser::EventParser;
use crate::wire::tokens::pieces::{self, EventPiece};
use crate::wire::tokens::streamed::{StreamedFormat, StreamedResponse};

/// Maximum bytes of an event or a line.
const MAX_EVENT: u64 = 1 << 20;

/// An observer of one response.
#[derive(Debug)]
pub struct TokenObserver {
    format: StreamedFormat,
    parser: BodyParser,
    seen: StreamedResponse,
    /// The time of the last read.
    read: Time,
}

#[derive(Debug)]
enum BodyParser {
    Events(EventParser),
    Lines(LineParser),
}

impl TokenObserver {
    /// Creates an observer of a response; `is_encoded`: its body has a content coding, and cannot
    /// be read as it comes.
    pub fn new(format: StreamedFormat, is_encoded: bool) -> Self {
        let parser = match format {
            StreamedFormat::Lines => BodyParser::Lines(LineParser::new(MAX_EVENT)),
            _ => BodyParser::Events(EventParser::new(MAX_EVENT)),
        };
        let mut seen = StreamedResponse::new();
        seen.unreadable = is_encoded.then_some(FailureKind::EncodedStream);
        Self { format, parser, seen, read: Time::NEVER }
    }

    /// Takes data of the body that the read at `now` brought.
    pub fn feed(&mut self, now: Time, data: &[u8]) {
        self.read = now;
        if self.seen.unreadable.is_some() {
            return;
        }
        let (seen, format) = (&mut self.seen, self.format);
        let fed = match &mut self.parser {
            BodyParser::Events(events) => events.feed(data, &mut |event| {
                seen.take(now, piece(format, event.event, event.data));
            }),
            BodyParser::Lines(lines) => lines.feed(data, &mut |line| {
                seen.take(now, piece(format, None, line));
            }),
        };
        self.seen.unreadable = fed.err();
    }

    /// Ends the observation; `is_whole`: the body is complete.
    pub fn end(mut self, is_whole: bool) -> StreamedResponse {
        if let BodyParser::Lines(lines) = &mut self.parser
            && is_whole
            && self.seen.unreadable.is_none()
        {
            let (seen, now, format) = (&mut self.seen, self.read, self.format);
            let ended = lines.end(&mut |line| seen.take(now, piece(format, None, line)));
            self.seen.unreadable = ended.err();
        }
        if matches!(self.format, StreamedFormat::Events | StreamedFormat::Lines) {
            self.seen.is_complete = is_whole;
        }
        self.seen
    }
}

/// Returns what an event or a line is.
fn piece(format: StreamedFormat, event: Option<&str>, data: &[u8]) -> EventPiece {
    match format {
        StreamedFormat::OpenAi => pieces::openai(event, data),
        StreamedFormat::Anthropic => pieces::anthropic(event, data),
        StreamedFormat::Events | StreamedFormat::Lines | StreamedFormat::Messages => {
            EventPiece { content: Some(true), ..EventPiece::default() }
        }
    }
}

impl StreamedResponse {
    /// Adds an event that the read at `now` brought.
    fn take(&mut self, now: Time, piece: EventPiece) {
        self.events += 1;
        if let Some(is_text) = piece.content {
            self.add_content(now, is_text);
        }
        self.tokens = piece.tokens.or(self.tokens);
        self.prompt_tokens = piece.prompt_tokens.or(self.prompt_tokens);
        self.finish = piece.finish.or_else(|| self.finish.take());
        self.error = self.error.take().or(piece.error);
        self.is_complete |= piece.is_end;
    }
}
