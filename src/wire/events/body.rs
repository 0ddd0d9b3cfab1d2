//! A body read as it comes, over HTTP/1.1 or HTTP/2.
//!
//! `stream` reads it.
//! Invariant: between two reads it holds no buffer; a body that is cut off is a failure.

use std::task::{Context, Poll, ready};

use h2::RecvStream;

use crate::clock::{self, Time};
use crate::stats::FailureKind;
use crate::wire::connect::fault;
use crate::wire::http2::connection::HeldConnection;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::message_stream::Traffic;
use crate::wire::open_count::OpenStreamCount;
use crate::wire::taken::{EarlyBytes, StreamedFraming};

/// A body that is being read.
#[derive(Debug)]
pub(in crate::wire) struct StreamedBody {
    source: BodySource,
    traffic: Traffic,
}

#[derive(Debug)]
enum BodySource {
    Http1 {
        connection: StreamConnection,
        framing: StreamedFraming,
        /// Bytes that came with the head.
        early: EarlyBytes,
        _count: OpenStreamCount,
    },
    Http2(HeldConnection, RecvStream),
}

/// Takes data of a body, with the time of its read.
type TakeData<'a> = &'a mut dyn FnMut(Time, &[u8]) -> Result<(), FailureKind>;

impl StreamedBody {
    pub(in crate::wire) fn http1(
        connection: StreamConnection,
        framing: StreamedFraming,
        early: EarlyBytes,
        count: OpenStreamCount,
    ) -> Self {
        let source = BodySource::Http1 { connection, framing, early, _count: count };
        Self { source, traffic: Traffic::default() }
    }

    pub(in crate::wire) fn http2(connection: HeldConnection, body: RecvStream) -> Self {
        Self { source: BodySource::Http2(connection, body), traffic: Traffic::default() }
    }

    /// Hands what has arrived to `take`; ready at the end of the body.
    ///
    /// # Errors
    /// If the body is cut off or malformed, or `take` refuses it.
    pub(in crate::wire) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        take: TakeData<'_>,
    ) -> Poll<Result<(), FailureKind>> {
        match &mut self.source {
            BodySource::Http1 { connection, framing, early, .. } => {
                if !early.bytes.is_empty() {
                    let bytes = std::mem::take(&mut early.bytes);
                    if unframe(framing, early.read, &bytes, take)? {
                        return Poll::Ready(Ok(()));
                    }
                }
                if matches!(framing, StreamedFraming::Length(0)) {
                    return Poll::Ready(Ok(()));
                }
                loop {
                    let read = ready!(connection.poll_read(cx, buffer));
                    let count = read.map_err(|error| fault::kind_of(&error))?;
                    if count == 0 {
                        let is_whole = framing.ends_with_connection();
                        return Poll::Ready(is_whole.then_some(()).ok_or(FailureKind::Closed));
                    }
                    self.traffic.received += count as u64;
                    // Taken before parsing: parsing is our work, not the target's.
                    if unframe(framing, clock::now(), &buffer[..count], take)? {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
            BodySource::Http2(connection, body) => loop {
                match ready!(body.poll_data(cx)) {
                    None => return Poll::Ready(Ok(())),
                    Some(Ok(piece)) => {
                        let now = clock::now();
                        let _ = body.flow_control().release_capacity(piece.len());
                        take(now, &piece)?;
                    }
                    Some(Err(error)) => return Poll::Ready(Err(connection.kind_of(&error))),
                }
            },
        }
    }

    /// Bytes handed to the kernel and read since the last call.
    pub(in crate::wire) fn take_traffic(&mut self) -> Traffic {
        if let BodySource::Http2(connection, _) = &self.source {
            let (sent, received) = connection.traffic.take();
            return Traffic { sent, received };
        }
        std::mem::take(&mut self.traffic)
    }
}

/// Hands the data in `bytes` to `take`; returns true at the end of the body.
fn unframe(
    framing: &mut StreamedFraming,
    now: Time,
    mut bytes: &[u8],
    take: TakeData<'_>,
) -> Result<bool, FailureKind> {
    loop {
        let (used, data, is_complete) = framing.next(bytes)?;
        if !data.is_empty() {
            take(now, data)?;
        }
        bytes = &bytes[used..];
        if is_complete || bytes.is_empty() {
            return Ok(is_complete);
        }
    }
}
