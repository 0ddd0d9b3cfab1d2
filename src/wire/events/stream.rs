//! A stream of events, or of lines, out of the body of a response.
//!
//! `Wire::open_stream` makes it; `engine::streams` polls it through `MessageStream`.
//! Invariant: it brings messages only; its end is the body's end, ours, or a failure.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::clock::Time;
use crate::stats::FailureKind;
use crate::wire::events::body::StreamedBody;
use crate::wire::events::lines::LineParser;
use crate::wire::events::parser::EventParser;
use crate::wire::message_stream::{Message, MessageKind, MessageStream, StreamEnd, Traffic};

/// A response that brings events or lines.
#[derive(Debug)]
pub(in crate::wire) struct EventStream {
    body: StreamedBody,
    parser: StreamParser,
    is_closed: bool,
}

#[derive(Debug)]
enum StreamParser {
    Events(EventParser),
    Lines(LineParser),
}

impl EventStream {
    /// Creates a stream of server-sent events up to `max_message` bytes.
    pub(in crate::wire) fn events(body: StreamedBody, max_message: u64) -> Self {
        let parser = StreamParser::Events(EventParser::new(max_message));
        Self { body, parser, is_closed: false }
    }

    /// Creates a stream of lines up to `max_message` bytes.
    pub(in crate::wire) fn lines(body: StreamedBody, max_message: u64) -> Self {
        let parser = StreamParser::Lines(LineParser::new(max_message));
        Self { body, parser, is_closed: false }
    }
}

impl MessageStream for EventStream {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        receive: &mut dyn FnMut(Time, Message<'_>),
    ) -> Poll<StreamEnd> {
        let end = |is_ours, failure| StreamEnd { is_ours, code: None, failure };
        if self.is_closed {
            return Poll::Ready(end(true, None));
        }
        let parser = &mut self.parser;
        let polled = self.body.poll_data(cx, buffer, &mut |now, data| match parser {
            StreamParser::Events(events) => events.feed(data, &mut |event| {
                let message = Message {
                    delivery: None,
                    kind: MessageKind::Text,
                    payload: event.data,
                    event: event.event,
                    id: event.id,
                };
                receive(now, message);
            }),
            StreamParser::Lines(lines) => lines.feed(data, &mut |line| receive(now, of(line))),
        });
        let ended = match (polled, &mut self.parser) {
            (Poll::Pending, _) => return Poll::Pending,
            (Poll::Ready(Ok(())), StreamParser::Lines(lines)) => {
                let now = crate::clock::now();
                lines.end(&mut |line| receive(now, of(line)))
            }
            (Poll::Ready(ended), _) => ended,
        };
        let is_ours =
            matches!(ended, Err(FailureKind::EventTooLarge | FailureKind::NoRoomForMessage));
        Poll::Ready(end(is_ours, ended.err()))
    }

    fn send(&mut self, _: Message<'_>) -> bool {
        false
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        Poll::Ready(Ok(()))
    }

    fn close(&mut self, _: u16, _: &str) {
        self.is_closed = true;
    }

    fn take_traffic(&mut self) -> Traffic {
        self.body.take_traffic()
    }

    fn reconnect_delay(&self) -> Option<Duration> {
        match &self.parser {
            StreamParser::Events(events) => events.retry_ms().map(Duration::from_millis),
            StreamParser::Lines(_) => None,
        }
    }
}

/// The message of a line.
fn of(line: &[u8]) -> Message<'_> {
    let is_text = std::str::from_utf8(line).is_ok();
    let kind = if is_text { MessageKind::Text } else { MessageKind::Binary };
    Message::new(kind, line)
}
