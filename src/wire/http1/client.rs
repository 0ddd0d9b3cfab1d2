//! An HTTP/1.1 client: one write per request, the response read into the shard's one buffer.
//!
//! `Wire::exchange` calls it with rendered bytes and gets an Exchange back.
//! Invariant: every way an exchange can end is an AttemptOutcome; no lock, no channel, and on a
//! reused connection no allocation per request.
//!
//! Why not hyper: it costs 1.1 to 1.3 times the CPU of this loop and 20 times its memory at 10,000
//! connections, and a load tester's cost decides how many users one machine can simulate.

use std::cell::RefMut;
use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::clock::{self, Time};
use crate::stats::AttemptOutcome;
use crate::stats::sample::{ConnectTimings, Exchange};
use crate::wire::body::response_capture::{ExchangeProgress, ResponseCapture};
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::deadline::CallDeadline;
use crate::wire::http1::linked_exchange;
use crate::wire::http1::stream::{self, ExchangeEnd, ExchangeTimes, ReadBuffer};
use crate::wire::outgoing::Outgoing;
use crate::wire::resend::Resend;
use crate::wire::slot::ConnectionSlot;

/// A request on a connection idle for at least this long may be sent again on a fresh one: the
/// target may have closed it just then. On a younger connection the close is the target's failure.
pub(in crate::wire) const STALE_NS: u64 = 1_000_000_000;

/// The HTTP/1.1 client of one shard.
#[derive(Debug)]
pub(in crate::wire) struct Http1 {
    buffer: ReadBuffer,
}

impl Http1 {
    pub(in crate::wire) fn new() -> Self {
        Self { buffer: ReadBuffer::new() }
    }

    /// Borrows the shard's read buffer; it must be returned before the next task runs.
    pub(in crate::wire) fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow()
    }

    /// Sends one request and reads its response; `now` is the dispatch time.
    pub(in crate::wire) async fn exchange(
        &self,
        endpoint: &ServiceEndpoint,
        slot: &mut ConnectionSlot,
        outgoing: &Outgoing<'_>,
        now: Time,
        deadline: &CallDeadline,
        capture: &mut ResponseCapture,
    ) -> (Exchange, Resend) {
        let mut timings = None;
        capture.progress = ExchangeProgress::default();
        if slot.connection.is_some() {
            self.drop_if_dead(slot).await;
        }
        let idle_ns = match &slot.connection {
            Some(connection) => now.since(connection.idle_since),
            None => {
                // Boxed: opening is rare, and would double the size of every user's task.
                let times = timings.insert(ConnectTimings::default());
                capture.progress.connecting = Some(false);
                match Box::pin(OpenConnection::open(endpoint, outgoing, deadline, times)).await {
                    Ok(connection) => {
                        capture.progress.connecting = Some(true);
                        slot.open(connection);
                    }
                    Err(outcome) => return (never_sent(now, outcome, timings), Resend::No),
                }
                0
            }
        };
        let mut times = ExchangeTimes { first_byte: Time::NEVER, done: Time::NEVER };
        let (buffer, end_times) = (&self.buffer, &mut times);
        let end = match outgoing.link {
            None => stream::converse(buffer, slot, outgoing, deadline, capture, end_times).await,
            Some(link) => {
                linked_exchange::converse(
                    buffer, link, slot, outgoing, deadline, capture, end_times,
                )
                .await
            }
        };
        if times.done == Time::NEVER {
            times.done = clock::now();
        }
        let is_old = timings.is_none() && idle_ns >= STALE_NS;
        let (outcome, resend) = match end {
            ExchangeEnd::Responded(status) => (AttemptOutcome::Responded(status), Resend::No),
            ExchangeEnd::NoResponse(outcome) if outgoing.idempotent && is_old => {
                (outcome, Resend::Stale)
            }
            ExchangeEnd::NoResponse(outcome) | ExchangeEnd::Failed(outcome) => {
                (outcome, Resend::No)
            }
        };
        if !matches!(outcome, AttemptOutcome::Responded(_)) {
            slot.close();
        }
        let exchange = Exchange {
            outcome,
            dispatched: now,
            first_byte: times.first_byte,
            done: times.done,
            connect: timings,
            reuses: timings.is_none() && slot.requests() > 1,
            sent: capture.progress.sent,
            bytes_sent: capture.progress.bytes_sent,
            bytes_received: capture.progress.bytes_received,
        };
        (exchange, resend)
    }

    /// Closes a reused connection that has ended.
    pub(in crate::wire) async fn drop_if_dead(&self, slot: &mut ConnectionSlot) {
        poll_fn(|cx| {
            self.drop_if_seen_dead(cx, slot);
            Poll::Ready(())
        })
        .await;
    }

    /// As `drop_if_dead`, for callers that have a context.
    pub(in crate::wire) fn drop_if_seen_dead(
        &self,
        cx: &mut Context<'_>,
        slot: &mut ConnectionSlot,
    ) {
        let mut buffer = self.buffer.borrow();
        let connection = slot.connection.as_mut();
        if !connection.is_some_and(|connection| connection.is_fresh(cx, &mut buffer)) {
            slot.close();
        }
    }
}

/// Opens a connection without sending a request; it is idle from now on.
pub(in crate::wire) async fn open(
    endpoint: &ServiceEndpoint,
    slot: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    deadline: &CallDeadline,
    times: &mut ConnectTimings,
) -> Result<(), AttemptOutcome> {
    let mut connection = OpenConnection::open(endpoint, outgoing, deadline, times).await?;
    connection.idle_since = clock::now();
    slot.open(connection);
    Ok(())
}

/// Returns the exchange of a request whose connection could not be opened.
pub(in crate::wire) fn never_sent(
    now: Time,
    outcome: AttemptOutcome,
    timings: Option<ConnectTimings>,
) -> Exchange {
    Exchange {
        outcome,
        dispatched: now,
        first_byte: Time::NEVER,
        done: clock::now(),
        connect: timings,
        reuses: false,
        sent: false,
        bytes_sent: 0,
        bytes_received: 0,
    }
}
