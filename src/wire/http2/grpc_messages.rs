//! The messages of a response of gRPC: the only one, or a stream of them.
//!
//! `grpc_response` feeds it the data of the response.
//! Invariant: of a stream the last message is kept, if any is, and each is counted once, with the
//! time of the read that completed it.

use crate::clock::Time;
use crate::grpc::frame::{UnaryFrameError, UnaryReader};
use crate::grpc::{MessageFrameError, MessageReader};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind, GeneratorError};
use crate::wire::body::capture_request::CaptureRequest;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::http2::stream_error::StreamError;
use crate::wire::tokens::streamed::StreamedResponse;

/// Reads the messages of a response.
pub(super) enum ReplyMessages {
    /// One message.
    Single(UnaryReader),
    /// Any number of them.
    Stream(StreamedMessages),
}

/// Reads a stream of messages.
pub(super) struct StreamedMessages {
    reader: MessageReader,
    /// Whether the last message was compressed.
    is_compressed: bool,
    /// Whether any message was compressed.
    has_compressed: bool,
    /// Whether the next data begins a message.
    begins: bool,
}

const fn failed(kind: FailureKind) -> StreamError {
    StreamError::Local(AttemptOutcome::Failed(AttemptPhase::Body, kind))
}

fn keep(capture: &mut ResponseCapture, data: &[u8]) -> Result<(), StreamError> {
    let full = |_| StreamError::Local(AttemptOutcome::Own(GeneratorError::KeptBodies));
    if data.is_empty() { Ok(()) } else { capture.body.push(data).map_err(full) }
}

impl ReplyMessages {
    /// Creates the reader that a request asks for.
    pub(super) fn new(request: &CaptureRequest, capture: &mut ResponseCapture) -> Self {
        if request.observes.is_none() {
            return Self::Single(UnaryReader::new(request.max_body));
        }
        // In the capture from the first message on: a stream that is cut off has them, too.
        capture.rare().streamed = Some(StreamedResponse::new());
        Self::Stream(StreamedMessages {
            reader: MessageReader::new(request.max_body),
            is_compressed: false,
            has_compressed: false,
            begins: true,
        })
    }

    /// Takes data that the read at `now` brought.
    pub(super) fn feed(
        &mut self,
        now: Time,
        data: &[u8],
        request: &CaptureRequest,
        capture: &mut ResponseCapture,
    ) -> Result<(), StreamError> {
        match self {
            Self::Single(reader) => {
                let message = reader.feed(data).map_err(|error| match error {
                    UnaryFrameError::TooLarge => failed(FailureKind::BodyTooLarge),
                    UnaryFrameError::BadFlag | UnaryFrameError::Several => {
                        failed(FailureKind::BadReply)
                    }
                })?;
                if request.keep_body { keep(capture, message) } else { Ok(()) }
            }
            Self::Stream(messages) => messages.feed(now, data, request, capture),
        }
    }

    /// Whether the response may end as OK here.
    pub(super) const fn is_complete(&self) -> bool {
        match self {
            Self::Single(reader) => reader.is_complete(),
            Self::Stream(messages) => messages.reader.is_between_messages(),
        }
    }

    /// Whether some message was compressed.
    pub(super) const fn has_compressed(&self) -> bool {
        match self {
            Self::Single(reader) => reader.is_compressed(),
            Self::Stream(messages) => messages.has_compressed,
        }
    }

    /// Whether the message that was kept is compressed.
    pub(super) const fn is_kept_compressed(&self) -> bool {
        match self {
            Self::Single(reader) => reader.is_compressed(),
            Self::Stream(messages) => messages.is_compressed,
        }
    }
}

impl StreamedMessages {
    fn feed(
        &mut self,
        now: Time,
        mut data: &[u8],
        request: &CaptureRequest,
        capture: &mut ResponseCapture,
    ) -> Result<(), StreamError> {
        loop {
            let piece = self.reader.next(&mut data).map_err(|error| match error {
                MessageFrameError::TooLarge => failed(FailureKind::BodyTooLarge),
                MessageFrameError::BadFlag => failed(FailureKind::BadReply),
            })?;
            let Some(piece) = piece else { return Ok(()) };
            if request.keep_body {
                if self.begins {
                    capture.body.clear();
                }
                keep(capture, piece.data)?;
            }
            self.begins = piece.is_last;
            self.is_compressed = piece.is_compressed;
            self.has_compressed |= piece.is_compressed;
            if piece.is_last
                && let Some(seen) = &mut capture.rare().streamed
            {
                seen.events += 1;
                seen.add_content(now, false);
            }
        }
    }
}
