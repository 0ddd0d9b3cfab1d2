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
use crate::stats::{AttemptOutcome, Exchange};
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::open;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::http1::framing::ResponseReader;
use crate::wire::http1::linked_exchange;
use crate::wire::http1::stream::{self, ExchangeEnd, ReadBuffer};
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

    /// The shard's read buffer.
    pub(in crate::wire) fn read_buffer(&self) -> &ReadBuffer {
        &self.buffer
    }

    /// Sends one request and reads its response.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
    pub(in crate::wire) fn exchange(
        &self,
        endpoint: &ServiceEndpoint,
        context: &mut ExchangeContext<'_>,
    ) -> impl Future<Output = Resend> {
        async move {
            if context.slot.connection.is_some() {
                self.drop_if_dead(context.slot).await;
            }
            if context.slot.connection.is_none() {
                match open::open(endpoint, context).await {
                    Ok(connection) => context.slot.open(connection),
                    Err(outcome) => return never_sent(context.exchange, outcome),
                }
            }
            let is_old = is_stale(context);
            // No reader outside of the call: a local that lives across the `await` would be part of
            // every user's task.
            let wanted = context.outgoing.capture;
            let end = match context.outgoing.link {
                None => stream::converse(&self.buffer, ResponseReader::new(*wanted), context).await,
                Some(link) => {
                    let reader = ResponseReader::new(*wanted);
                    linked_exchange::converse(&self.buffer, link, reader, context).await
                }
            };
            end_exchange(context, &end, is_old)
        }
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

/// Ends an exchange on an open connection; `is_old`: the connection was stale when it began.
#[inline]
pub(in crate::wire) fn end_exchange(
    context: &mut ExchangeContext<'_>,
    end: &ExchangeEnd,
    is_old: bool,
) -> Resend {
    let exchange = &mut *context.exchange;
    if exchange.done == Time::NEVER {
        exchange.done = clock::now();
    }
    let resend = match end {
        ExchangeEnd::NoResponse(_) if context.outgoing.idempotent && is_old => Resend::Stale,
        _ => Resend::No,
    };
    exchange.outcome = match *end {
        ExchangeEnd::Responded(status) => AttemptOutcome::Responded(status),
        ExchangeEnd::NoResponse(outcome) | ExchangeEnd::Failed(outcome) => outcome,
    };
    exchange.reuses = exchange.connect.is_none() && context.slot.requests() > 1;
    if !matches!(exchange.outcome, AttemptOutcome::Responded(_)) {
        context.slot.close();
    }
    resend
}

/// Whether an exchange uses a connection that has been idle for so long that the target may have
/// closed it just now.
pub(in crate::wire) fn is_stale(context: &ExchangeContext<'_>) -> bool {
    let connection = context.slot.connection.as_ref();
    let idle = connection.filter(|_| context.exchange.connect.is_none());
    idle.is_some_and(|idle| context.exchange.dispatched.since(idle.idle_since) >= STALE_NS)
}

/// Opens a connection without sending a request; it is idle from now on.
pub(in crate::wire) async fn open(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> Result<(), AttemptOutcome> {
    let mut connection = open::open(endpoint, context).await?;
    connection.idle_since = clock::now();
    context.slot.open(connection);
    Ok(())
}

/// Ends an exchange whose connection could not be opened.
pub(in crate::wire) fn never_sent(exchange: &mut Exchange, outcome: AttemptOutcome) -> Resend {
    (exchange.outcome, exchange.done) = (outcome, clock::now());
    Resend::No
}
