//! What a response leaves to the stream that takes it over: its connection, the bytes read beyond
//! the head, and where the body ends.
//!
//! The readers of both HTTP versions and the fake target fill it in; `Wire::open_stream` takes it.
//! Invariant: it owns the connection, or holds one of HTTP/2: if no stream is opened, dropping it
//! closes the connection, or resets its stream.

use h2::RecvStream;

use crate::clock::Time;
use crate::stats::{AttemptPhase, FailureKind};
use crate::wire::fake_stream::FakeStream;
use crate::wire::http1::chunked::ChunkedDecoder;
use crate::wire::http1::framing_error::FramingError;
use crate::wire::http2::connection::HeldConnection;
use crate::wire::http2::grpc_call::OpenedCall;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::open_count::OpenStreamCount;

/// What a response leaves to a stream.
#[derive(Debug)]
pub(in crate::wire) struct TakenResponse {
    pub(in crate::wire) framing: StreamedFraming,
    pub(in crate::wire) early: EarlyBytes,
    /// `None` while the exchange runs.
    pub(in crate::wire) connection: Option<TakenConnection>,
    /// The body over HTTP/2, while the exchange runs.
    pub(in crate::wire) h2_body: Option<RecvStream>,
    /// The call of gRPC, while the exchange runs.
    pub(in crate::wire) h2_call: Option<Box<OpenedCall>>,
}

/// Bytes that were read beyond the head, and when.
#[derive(Debug)]
pub(in crate::wire) struct EarlyBytes {
    pub(in crate::wire) read: Time,
    pub(in crate::wire) bytes: Vec<u8>,
}

/// The connection of a stream.
#[derive(Debug)]
pub(in crate::wire) enum TakenConnection {
    Http1(StreamConnection, OpenStreamCount),
    Http2(HeldConnection, RecvStream),
    Grpc(HeldConnection, Box<OpenedCall>),
    Fake(FakeStream),
}

/// Where a streamed body ends.
#[derive(Debug)]
pub(in crate::wire) enum StreamedFraming {
    /// After as many bytes.
    Length(u64),
    Chunked(ChunkedDecoder),
    UntilClose,
}

impl EarlyBytes {
    /// Moves the first bytes into the start of `buffer`; returns how many.
    pub(in crate::wire) fn take(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes.drain(..count);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        count
    }
}

impl TakenResponse {
    /// Creates what a response leaves whose body ends so.
    pub(in crate::wire) fn new(framing: StreamedFraming) -> Self {
        let early = EarlyBytes { read: Time::NEVER, bytes: Vec::new() };
        Self { framing, early, connection: None, h2_body: None, h2_call: None }
    }

    /// Creates what the response leaves that begins a session, read at `read` with these bytes
    /// behind it.
    pub(in crate::wire) fn session(read: Time, bytes: Vec<u8>) -> Self {
        let mut taken = Self::new(StreamedFraming::UntilClose);
        taken.early = EarlyBytes { read, bytes };
        taken
    }
}

impl StreamedFraming {
    /// Reads up to the end of the next stretch of the body. Returns how many bytes were used, the
    /// data among them, and whether the body is complete.
    pub(in crate::wire) fn next<'b>(
        &mut self,
        bytes: &'b [u8],
    ) -> Result<(usize, &'b [u8], bool), FailureKind> {
        match self {
            Self::Length(left) => {
                let here = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= here as u64;
                Ok((here, &bytes[..here], *left == 0))
            }
            Self::Chunked(chunked) => chunked.next(bytes).map_err(|error| match error {
                FramingError::Response(AttemptPhase::Body, kind) => kind,
                _ => FailureKind::Malformed,
            }),
            Self::UntilClose => Ok((bytes.len(), bytes, false)),
        }
    }

    /// Whether the end of the connection completes the body.
    pub(in crate::wire) const fn ends_with_connection(&self) -> bool {
        matches!(self, Self::UntilClose | Self::Length(0))
    }
}
