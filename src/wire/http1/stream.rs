//! One request and its response on an HTTP/1.1 connection.
//!
//! `http1` calls it for connections without an emulated link, `linked_exchange` for the others.
//! Invariant: every way an exchange can end is an [`ExchangeEnd`]; nothing is allocated per
//! request.

use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use crate::clock::{self, Time};
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::fault;
use crate::wire::deadline::WaitEnded;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::link::stream_connection::StreamConnection;
use crate::wire::response_reader::ReadsResponse;
use crate::wire::taken::TakenConnection;

/// The size of the shard's read buffer.
const READ_BUFFER: usize = 64 << 10;

/// A shard's read buffer. Bytes are parsed or copied before the next task runs, so one buffer
/// serves all connections.
#[derive(Debug)]
pub(in crate::wire) struct ReadBuffer(RefCell<Box<[u8]>>);

impl ReadBuffer {
    pub(in crate::wire) fn new() -> Self {
        Self(RefCell::new(vec![0; READ_BUFFER].into_boxed_slice()))
    }

    /// Borrows the bytes; they must be returned before the next task runs.
    pub(in crate::wire) fn borrow(&self) -> RefMut<'_, Box<[u8]>> {
        self.0.borrow_mut()
    }
}

/// How an exchange ended.
pub(in crate::wire) enum ExchangeEnd {
    Responded(u16),
    /// Failed before any byte of a response, in a way that a stale connection would.
    NoResponse(AttemptOutcome),
    Failed(AttemptOutcome),
}

impl ExchangeEnd {
    /// Whether a TLS alert ended the exchange.
    fn is_tls_alert(&self) -> bool {
        let (Self::Failed(outcome) | Self::NoResponse(outcome)) = self else { return false };
        matches!(outcome, AttemptOutcome::Failed(_, kind) if fault::is_alert(*kind))
    }
}

/// A way to read a response with a reader of its protocol.
pub(in crate::wire) trait ResponseSource<R: ReadsResponse> {
    /// Reads until the response is complete or no more bytes are available.
    fn poll(
        &mut self,
        connection: &mut OpenConnection,
        cx: &mut Context<'_>,
        reader: &mut R,
        capture: &mut ResponseCapture,
        exchange: &mut Exchange,
    ) -> Poll<ExchangeEnd>;
}

impl<R: ReadsResponse> ResponseSource<R> for &ReadBuffer {
    fn poll(
        &mut self,
        connection: &mut OpenConnection,
        cx: &mut Context<'_>,
        reader: &mut R,
        capture: &mut ResponseCapture,
        exchange: &mut Exchange,
    ) -> Poll<ExchangeEnd> {
        let mut buffer = self.borrow();
        loop {
            match read_piece(connection, cx, &mut buffer, reader, capture, exchange) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(end)) => return Poll::Ready(end),
                Poll::Ready(None) => {}
            }
        }
    }
}

/// Writes the request and reads the response on the slot's connection.
///
/// Each waiting user's task holds this future: it is one closure, which keeps what it needs once.
pub(in crate::wire) fn converse<'a, R: ReadsResponse + 'a>(
    mut source: impl ResponseSource<R> + 'a,
    mut reader: R,
    context: &'a mut ExchangeContext<'_>,
) -> impl Future<Output = ExchangeEnd> {
    context.slot.carry();
    // One future for both: a target may respond before it has read all of a long request. After a
    // reset by the target nothing more can be written, but a response that it sent before may still
    // be read; the end of the input is near, too.
    let mut reset = None;
    poll_fn(move |cx| {
        let ExchangeContext { slot, outgoing, deadline, capture, exchange } = &mut *context;
        let Some(connection) = slot.connection.as_mut() else { return Poll::Ready(NOT_OPEN) };
        if !exchange.sent && reset.is_none() {
            match write(connection, cx, outgoing.bytes, exchange) {
                Some(error) if fault::is_reset(&error) => reset = Some(error),
                Some(error) => return finish(context, &reader, write_error(&reader, &error)),
                None => {}
            }
        }
        if reader.is_complete_when_sent() {
            return end_when_sent(cx, context, &reader, reset.as_ref());
        }
        let read = source.poll(connection, cx, &mut reader, capture, exchange);
        let end = match (deadline.poll(cx, read), &reset) {
            (Poll::Pending, _) => return Poll::Pending,
            // The target sent an alert with the reason before it reset the connection.
            (Poll::Ready(Ok(end)), Some(_)) if end.is_tls_alert() => end,
            (
                Poll::Ready(Ok(ExchangeEnd::Failed(_) | ExchangeEnd::NoResponse(_)) | Err(_)),
                Some(error),
            ) => write_error(&reader, error),
            (Poll::Ready(Ok(end)), _) => end,
            (Poll::Ready(Err(why)), None) => wait_ended(why, &reader, exchange.sent),
        };
        finish(context, &reader, end)
    })
}

/// Ends an exchange without a response as soon as its request is sent.
#[cold]
fn end_when_sent(
    cx: &mut Context<'_>,
    context: &mut ExchangeContext<'_>,
    reader: &impl ReadsResponse,
    reset: Option<&io::Error>,
) -> Poll<ExchangeEnd> {
    let exchange = &mut *context.exchange;
    let sent = if exchange.sent { Poll::Ready(()) } else { Poll::Pending };
    let end = match (context.deadline.poll(cx, sent), reset) {
        (_, Some(error)) => write_error(reader, error),
        (Poll::Pending, None) => return Poll::Pending,
        (Poll::Ready(Ok(())), None) => {
            exchange.done = clock::now();
            exchange.first_byte = exchange.done;
            ExchangeEnd::Responded(reader.status())
        }
        (Poll::Ready(Err(why)), None) => wait_ended(why, reader, false),
    };
    finish(context, reader, end)
}

/// The end of an exchange on a slot that has no connection.
const NOT_OPEN: ExchangeEnd =
    ExchangeEnd::Failed(AttemptOutcome::Failed(AttemptPhase::Send, FailureKind::Other));

/// Keeps the connection for the next exchange if it can be used again.
#[inline]
fn finish(
    context: &mut ExchangeContext<'_>,
    reader: &impl ReadsResponse,
    end: ExchangeEnd,
) -> Poll<ExchangeEnd> {
    let is_whole = matches!(end, ExchangeEnd::Responded(_)) && context.exchange.sent;
    match &mut context.slot.connection {
        Some(connection) if is_whole && reader.may_reuse() => {
            connection.idle_since = context.exchange.done;
        }
        _ => end_connection(context, is_whole && reader.is_taken_over()),
    }
    Poll::Ready(end)
}

/// Closes the connection, or leaves it to the stream that takes over the response.
#[cold]
fn end_connection(context: &mut ExchangeContext<'_>, is_taken_over: bool) {
    if is_taken_over
        && let Some(taken) = context.capture.taken_mut()
        && let Some((connection, count)) = context.slot.take()
    {
        let connection = StreamConnection::new(connection, context.outgoing.link);
        taken.connection = Some(TakenConnection::Http1(connection, count));
    } else {
        context.slot.close();
    }
}

/// Reads once; `Some` if that ended the response.
#[inline]
pub(in crate::wire) fn read_piece<R: ReadsResponse>(
    connection: &mut OpenConnection,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    reader: &mut R,
    capture: &mut ResponseCapture,
    exchange: &mut Exchange,
) -> Poll<Option<ExchangeEnd>> {
    let read = match connection.poll_read(cx, buffer) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(read) => read,
    };
    let bytes = match read {
        Ok(0) if reader.end() => {
            exchange.done = clock::now();
            return Poll::Ready(Some(ExchangeEnd::Responded(reader.status())));
        }
        Ok(0) => return Poll::Ready(Some(closed_early(reader, FailureKind::Closed))),
        Ok(count) => &buffer[..count],
        Err(error) => return Poll::Ready(Some(read_error(reader, &error))),
    };
    exchange.bytes_received += bytes.len() as u64;
    // Taken before parsing: parsing is our work, not the target's.
    let now = clock::now();
    reader.read_at(now);
    let fed = reader.feed(bytes, capture);
    if exchange.first_byte == Time::NEVER && reader.has_first_byte() {
        exchange.first_byte = now;
    }
    Poll::Ready(match fed {
        Ok(true) => {
            exchange.done = now;
            Some(ExchangeEnd::Responded(reader.status()))
        }
        Ok(false) => None,
        Err(outcome) => Some(ExchangeEnd::Failed(outcome)),
    })
}

/// Writes the rest of the request; `Some` if that failed.
fn write(
    connection: &mut OpenConnection,
    cx: &mut Context<'_>,
    bytes: &[u8],
    exchange: &mut Exchange,
) -> Option<io::Error> {
    loop {
        let left = &bytes[exchange.bytes_sent as usize..];
        if left.is_empty() {
            match connection.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => exchange.sent = true,
                Poll::Ready(Err(error)) => return Some(error),
            }
            return None;
        }
        match connection.poll_write(cx, left) {
            Poll::Pending => return None,
            Poll::Ready(Ok(count)) => exchange.bytes_sent += count as u64,
            Poll::Ready(Err(error)) => return Some(error),
        }
    }
}

fn write_error(reader: &impl ReadsResponse, error: &io::Error) -> ExchangeEnd {
    let outcome = fault::outcome(AttemptPhase::Send, error);
    if reader.has_begun() { ExchangeEnd::Failed(outcome) } else { ExchangeEnd::NoResponse(outcome) }
}

fn read_error(reader: &impl ReadsResponse, error: &io::Error) -> ExchangeEnd {
    let outcome = fault::outcome(reader.phase(), error);
    if reader.has_begun() { ExchangeEnd::Failed(outcome) } else { ExchangeEnd::NoResponse(outcome) }
}

fn closed_early(reader: &impl ReadsResponse, kind: FailureKind) -> ExchangeEnd {
    let outcome = AttemptOutcome::Failed(reader.phase(), kind);
    if reader.has_begun() { ExchangeEnd::Failed(outcome) } else { ExchangeEnd::NoResponse(outcome) }
}

fn wait_ended(why: WaitEnded, reader: &impl ReadsResponse, is_sent: bool) -> ExchangeEnd {
    let phase = if is_sent { reader.phase() } else { AttemptPhase::Send };
    ExchangeEnd::Failed(why.outcome(phase))
}
