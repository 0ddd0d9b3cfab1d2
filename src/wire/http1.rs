//! HTTP/1.1 of our own: one write per request, the answer read into the shard's one buffer.
//!
//! `engine::attempt` calls it with rendered bytes; it answers with an Exchange.
//! Invariant: every way an exchange can end is an Outcome; no lock, no channel, and on a kept
//! connection no allocation per request.
//!
//! Why our own: hyper costs 1.1 to 1.3 times the CPU of this loop and 20 times its memory at
//! 10,000 connections, and a load tester's cost is what decides how many users a machine can be.

use std::cell::{RefCell, RefMut};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::connection::{OpenConnection, gave_up};
use super::deadline::{CallDeadline, WaitEnded};
use super::fault;
use super::framing::ResponseReader;
use super::response_capture::{ExchangeProgress, ResponseCapture};
use super::{ConnectionSlot, Outgoing, Resend, ServiceEndpoint, emulated_link};
use crate::clock::{self, Time};
use crate::stats::sample::{ConnectTimings, Exchange};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};

/// A request on a connection idle for at least this long may be sent again on a fresh one: the
/// target may have closed it just then. Younger ones were closed in our face.
pub(super) const STALE_NS: u64 = 1_000_000_000;

/// The size of the shard's read buffer.
const READ_BUFFER: usize = 64 << 10;

/// The HTTP/1.1 wire of one shard.
#[derive(Debug)]
pub(super) struct Http1 {
    /// What is read is understood or copied before the next task runs, so one buffer serves all.
    buffer: RefCell<Box<[u8]>>,
}

/// What became of a request on a connection.
pub(super) enum ExchangeEnd {
    Answered(u16),
    /// Failed before any byte of an answer, in a way that a stale connection would.
    Silent(AttemptOutcome),
    Failed(AttemptOutcome),
}

impl ExchangeEnd {
    /// Whether an alert of TLS ended it.
    fn is_told_by_tls(&self) -> bool {
        let (Self::Failed(outcome) | Self::Silent(outcome)) = self else { return false };
        matches!(outcome, AttemptOutcome::Failed(_, kind) if fault::is_alert(*kind))
    }
}

/// The running account of one exchange.
pub(super) struct ExchangeTimes {
    pub(super) first_byte: Time,
    pub(super) done: Time,
}

/// How an answer is read.
pub(super) trait ResponseSource {
    /// Reads until the answer is complete or nothing more is there.
    fn poll(
        &mut self,
        connection: &mut OpenConnection,
        cx: &mut Context<'_>,
        reader: &mut ResponseReader,
        kept: &mut ResponseCapture,
        account: &mut ExchangeTimes,
    ) -> Poll<ExchangeEnd>;
}

impl ResponseSource for &Http1 {
    fn poll(
        &mut self,
        connection: &mut OpenConnection,
        cx: &mut Context<'_>,
        reader: &mut ResponseReader,
        kept: &mut ResponseCapture,
        account: &mut ExchangeTimes,
    ) -> Poll<ExchangeEnd> {
        let mut buffer = self.buffer();
        loop {
            match read_piece(connection, cx, &mut buffer, reader, kept, account) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(ended)) => return Poll::Ready(ended),
                Poll::Ready(None) => {}
            }
        }
    }
}

impl Http1 {
    pub(super) fn new() -> Self {
        Self { buffer: RefCell::new(vec![0; READ_BUFFER].into_boxed_slice()) }
    }

    /// One exchange. `now` is when it was dispatched.
    pub(super) async fn exchange(
        &self,
        endpoint: &ServiceEndpoint,
        line: &mut ConnectionSlot,
        outgoing: &Outgoing<'_>,
        now: Time,
        patience: &CallDeadline,
        kept: &mut ResponseCapture,
    ) -> (Exchange, Resend) {
        let mut opening = None;
        kept.progress = ExchangeProgress::default();
        if line.connection.is_some() {
            self.drop_if_dead(line).await;
        }
        let idle_ns = match &line.connection {
            Some(connection) => now.since(connection.idle_since),
            None => {
                // Boxed: it is rare, and would make every user's task as large as itself.
                let times = opening.insert(ConnectTimings::default());
                kept.progress.connecting = Some(false);
                match Box::pin(OpenConnection::open(endpoint, outgoing, patience, times)).await {
                    Ok(connection) => {
                        kept.progress.connecting = Some(true);
                        line.open(connection);
                    }
                    Err(outcome) => return (never_sent(now, outcome, opening), Resend::No),
                }
                0
            }
        };
        let mut account = ExchangeTimes { first_byte: Time::NEVER, done: Time::NEVER };
        let ended = match outgoing.link {
            None => converse(self, line, outgoing, patience, kept, &mut account).await,
            Some(way) => {
                emulated_link::converse(self, way, line, outgoing, patience, kept, &mut account)
                    .await
            }
        };
        if account.done == Time::NEVER {
            account.done = clock::now();
        }
        let is_old = opening.is_none() && idle_ns >= STALE_NS;
        let (outcome, resend) = match ended {
            ExchangeEnd::Answered(status) => (AttemptOutcome::Responded(status), Resend::No),
            ExchangeEnd::Silent(outcome) if outgoing.idempotent && is_old => {
                (outcome, Resend::Stale)
            }
            ExchangeEnd::Silent(outcome) | ExchangeEnd::Failed(outcome) => (outcome, Resend::No),
        };
        if !matches!(outcome, AttemptOutcome::Responded(_)) {
            line.close();
        }
        let exchange = Exchange {
            outcome,
            dispatched: now,
            first_byte: account.first_byte,
            done: account.done,
            connect: opening,
            reuses: opening.is_none() && line.requests() > 1,
            sent: kept.progress.sent,
            bytes_sent: kept.progress.bytes_sent,
            bytes_received: kept.progress.bytes_received,
        };
        (exchange, resend)
    }

    /// What is read into; whoever asks gives it back before the next task runs.
    pub(super) fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow_mut()
    }

    /// A kept connection that shows its end is discarded before it is used again.
    pub(super) async fn drop_if_dead(&self, line: &mut ConnectionSlot) {
        poll_fn(|cx| {
            self.drop_if_seen_dead(cx, line);
            Poll::Ready(())
        })
        .await;
    }

    /// The same, of a line that has one.
    pub(super) fn drop_if_seen_dead(&self, cx: &mut Context<'_>, line: &mut ConnectionSlot) {
        let mut buffer = self.buffer.borrow_mut();
        let connection = line.connection.as_mut();
        if !connection.is_some_and(|connection| connection.is_fresh(cx, &mut buffer)) {
            line.close();
        }
    }
}

/// Opens a connection that nothing is sent over yet: from now on it is idle.
pub(super) async fn open(
    endpoint: &ServiceEndpoint,
    line: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    patience: &CallDeadline,
    times: &mut ConnectTimings,
) -> Result<(), AttemptOutcome> {
    let mut connection = OpenConnection::open(endpoint, outgoing, patience, times).await?;
    connection.idle_since = clock::now();
    line.open(connection);
    Ok(())
}

/// Writes the request and reads the answer on the line's connection.
pub(super) async fn converse(
    mut source: impl ResponseSource,
    line: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    patience: &CallDeadline,
    kept: &mut ResponseCapture,
    account: &mut ExchangeTimes,
) -> ExchangeEnd {
    line.carry();
    let Some(connection) = line.connection.as_mut() else {
        return ExchangeEnd::Failed(AttemptOutcome::Failed(AttemptPhase::Send, FailureKind::Other));
    };
    let mut reader = ResponseReader::new(outgoing.capture);
    // One future for both: a target may answer before it has read all of a long request.
    // Once the target has reset the connection nothing more can be written, but an answer that
    // it sent before may still be read; the end of what can be read is near, too.
    let mut reset = None;
    let ended = poll_fn(|cx| {
        if !kept.progress.sent && reset.is_none() {
            match write(connection, cx, outgoing.bytes, &mut kept.progress) {
                Some(error) if fault::is_reset(&error) => reset = Some(error),
                Some(error) => return Poll::Ready(write_error(&reader, &error)),
                None => {}
            }
        }
        let read = source.poll(connection, cx, &mut reader, kept, account);
        match (patience.poll(cx, read), &reset) {
            // The target said why before it reset the connection.
            (Poll::Ready(Ok(ended)), Some(_)) if ended.is_told_by_tls() => Poll::Ready(ended),
            (
                Poll::Ready(Ok(ExchangeEnd::Failed(_) | ExchangeEnd::Silent(_)) | Err(_)),
                Some(error),
            ) => Poll::Ready(write_error(&reader, error)),
            (other, _) => other
                .map(|ended| ended.unwrap_or_else(|why| timed_out(why, &reader, &kept.progress))),
        }
    })
    .await;
    if matches!(ended, ExchangeEnd::Answered(_)) && reader.may_reuse() && kept.progress.sent {
        connection.idle_since = account.done;
    } else {
        line.close();
    }
    ended
}

/// Reads once; `Some` when that ended the answer.
#[inline]
pub(super) fn read_piece(
    connection: &mut OpenConnection,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    reader: &mut ResponseReader,
    kept: &mut ResponseCapture,
    account: &mut ExchangeTimes,
) -> Poll<Option<ExchangeEnd>> {
    let read = match connection.poll_read(cx, buffer) {
        Poll::Pending => return Poll::Pending,
        Poll::Ready(read) => read,
    };
    let bytes = match read {
        Ok(0) if reader.end() => {
            account.done = clock::now();
            return Poll::Ready(Some(ExchangeEnd::Answered(reader.status())));
        }
        Ok(0) => return Poll::Ready(Some(broken_off(reader, FailureKind::Closed))),
        Ok(count) => &buffer[..count],
        Err(error) => return Poll::Ready(Some(read_error(reader, &error))),
    };
    kept.progress.bytes_received += bytes.len() as u64;
    // Before it is understood: that is our work, not the target's.
    let now = clock::now();
    let fed = reader.feed(bytes, kept);
    if account.first_byte == Time::NEVER {
        account.first_byte = now;
    }
    Poll::Ready(match fed {
        Ok(true) => {
            account.done = now;
            Some(ExchangeEnd::Answered(reader.status()))
        }
        Ok(false) => None,
        Err(broken) => Some(ExchangeEnd::Failed(broken.outcome())),
    })
}

/// Writes what is left of the request; `Some` when that failed.
fn write(
    connection: &mut OpenConnection,
    cx: &mut Context<'_>,
    bytes: &[u8],
    spent: &mut ExchangeProgress,
) -> Option<io::Error> {
    loop {
        let left = &bytes[spent.bytes_sent as usize..];
        if left.is_empty() {
            match connection.poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => spent.sent = true,
                Poll::Ready(Err(error)) => return Some(error),
            }
            return None;
        }
        match connection.poll_write(cx, left) {
            Poll::Pending => return None,
            Poll::Ready(Ok(count)) => spent.bytes_sent += count as u64,
            Poll::Ready(Err(error)) => return Some(error),
        }
    }
}

fn write_error(reader: &ResponseReader, error: &io::Error) -> ExchangeEnd {
    let outcome = fault::outcome(AttemptPhase::Send, error);
    if reader.has_begun() { ExchangeEnd::Failed(outcome) } else { ExchangeEnd::Silent(outcome) }
}

fn read_error(reader: &ResponseReader, error: &io::Error) -> ExchangeEnd {
    let outcome = fault::outcome(reader.phase(), error);
    if reader.has_begun() { ExchangeEnd::Failed(outcome) } else { ExchangeEnd::Silent(outcome) }
}

fn broken_off(reader: &ResponseReader, kind: FailureKind) -> ExchangeEnd {
    let outcome = AttemptOutcome::Failed(reader.phase(), kind);
    if reader.has_begun() { ExchangeEnd::Failed(outcome) } else { ExchangeEnd::Silent(outcome) }
}

fn timed_out(why: WaitEnded, reader: &ResponseReader, spent: &ExchangeProgress) -> ExchangeEnd {
    let phase = if spent.sent { reader.phase() } else { AttemptPhase::Send };
    ExchangeEnd::Failed(gave_up(why, phase))
}

/// An exchange whose connection could not be opened.
pub(super) fn never_sent(
    now: Time,
    outcome: AttemptOutcome,
    opening: Option<ConnectTimings>,
) -> Exchange {
    Exchange {
        outcome,
        dispatched: now,
        first_byte: Time::NEVER,
        done: clock::now(),
        connect: opening,
        reuses: false,
        sent: false,
        bytes_sent: 0,
        bytes_received: 0,
    }
}
