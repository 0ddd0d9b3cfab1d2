//! HTTP/2 through the h2 crate: one connection per slot, one exchange on it at a time.
//!
//! `Wire::exchange` calls it, boxed, for services that speak HTTP/2 or may negotiate it.
//! Invariant: every way an exchange can end is an AttemptOutcome, named as on HTTP/1.1; what a
//! target sends is bounded by flow-control windows and by the request's limits.

use std::future::Future;
use std::pin::Pin;

use crate::clock::{self, Time};
use crate::plan::transport::HttpVersion;
use crate::stats::sample::{ConnectTimings, Exchange};
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::{ExchangeProgress, ResponseCapture};
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::deadline::CallDeadline;
use crate::wire::http1::client::{Http1, STALE_NS, never_sent};
use crate::wire::http2::connection::Http2;
use crate::wire::http2::message;
use crate::wire::http2::stream_exchange::StreamProgress;
use crate::wire::outgoing::Outgoing;
use crate::wire::resend::Resend;
use crate::wire::slot::ConnectionSlot;
use crate::wire::taken::TakenConnection;

/// [`exchange`], boxed: the tasks of HTTP/1.1 users hold no room for it.
#[cold]
pub(in crate::wire) fn boxed<'a>(
    http1: &'a Http1,
    endpoint: &'a ServiceEndpoint,
    slot: &'a mut ConnectionSlot,
    outgoing: &'a Outgoing<'a>,
    now: Time,
    deadline: &'a CallDeadline,
    capture: &'a mut ResponseCapture,
) -> Pin<Box<dyn Future<Output = (Exchange, Resend)> + 'a>> {
    Box::pin(exchange(http1, endpoint, slot, outgoing, now, deadline, capture))
}

/// Runs one exchange on a service that may speak HTTP/2, with the semantics of `http1`.
async fn exchange(
    http1: &Http1,
    endpoint: &ServiceEndpoint,
    slot: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    now: Time,
    deadline: &CallDeadline,
    capture: &mut ResponseCapture,
) -> (Exchange, Resend) {
    if slot.connection.is_some() {
        http1.drop_if_dead(slot).await;
    }
    if slot.h2.as_mut().is_some_and(|h2| !h2.is_fresh()) {
        slot.close();
    }
    let mut timings = None;
    capture.progress = ExchangeProgress::default();
    drop(capture.take_over());
    if slot.connection.is_none() && slot.h2.is_none() {
        capture.progress.connecting = Some(false);
        let times = timings.insert(ConnectTimings::default());
        if let Err(outcome) = open(endpoint, slot, outgoing, deadline, times).await {
            return (never_sent(now, outcome, timings), Resend::No);
        }
        capture.progress.connecting = Some(true);
    }
    if slot.h2.is_some() {
        slot.carry();
    }
    let reuses = timings.is_none() && slot.requests > 1;
    let Some(h2) = &mut slot.h2 else {
        let exchanged = http1.exchange(endpoint, slot, outgoing, now, deadline, capture).await;
        return (Exchange { connect: timings.or(exchanged.0.connect), ..exchanged.0 }, exchanged.1);
    };
    let idle_ns = now.since(h2.idle_since);
    let mut progress =
        StreamProgress { phase: AttemptPhase::Send, first_byte: Time::NEVER, status: 0 };
    let before = h2.traffic.sent.get();
    let exchanged = h2.converse(outgoing, deadline, capture, &mut progress).await;
    let done = clock::now();
    h2.idle_since = done;
    let body = message::body_of(outgoing.bytes).len() as u64;
    let sent = h2.traffic.sent.get() > before + body;
    let (bytes_sent, bytes_received) = h2.traffic.take();
    let exchange = Exchange {
        outcome: exchanged
            .map_or(AttemptOutcome::Responded(progress.status), |failure| failure.outcome),
        dispatched: now,
        first_byte: progress.first_byte,
        done,
        connect: timings,
        reuses,
        sent,
        bytes_sent,
        bytes_received,
    };
    let is_old = timings.is_none() && idle_ns >= STALE_NS;
    let resend = match exchange.outcome {
        _ if exchanged.is_some_and(|failure| failure.is_unprocessed) => Resend::Unprocessed,
        AttemptOutcome::Failed(
            AttemptPhase::Send | AttemptPhase::FirstByte,
            FailureKind::Closed | FailureKind::Reset,
        ) if outgoing.idempotent && is_old => Resend::Stale,
        _ => Resend::No,
    };
    if capture.is_taken_over() {
        leave_to_stream(slot, capture);
    } else if should_close(exchange.outcome) || !h2.is_fresh() {
        slot.close();
    }
    (exchange, resend)
}

/// Leaves the connection to the stream that has taken over its response.
fn leave_to_stream(slot: &mut ConnectionSlot, capture: &mut ResponseCapture) {
    let taken = capture.taken_mut();
    if let Some(taken) = taken
        && let Some(body) = taken.h2_body.take()
        && let Some((h2, count)) = slot.take_h2()
    {
        taken.connection = Some(TakenConnection::Http2(h2, body, count));
    }
}

/// Whether a connection is closed after an exchange with this outcome. A response that broke the
/// rules of HTTP or one of our limits leaves the connection usable. After silence, or a stream that
/// the target reset, it is closed, as on HTTP/1.1: a dead network path would otherwise time out for
/// ever.
fn should_close(outcome: AttemptOutcome) -> bool {
    match outcome {
        AttemptOutcome::Timeout(_) | AttemptOutcome::Unfinished(_) => true,
        AttemptOutcome::Failed(AttemptPhase::Send | AttemptPhase::FirstByte, kind) => {
            !matches!(kind, FailureKind::Malformed | FailureKind::HeadTooLarge)
        }
        _ => false,
    }
}

/// Opens a connection and finds out which protocol was negotiated.
pub(in crate::wire) async fn open(
    endpoint: &ServiceEndpoint,
    slot: &mut ConnectionSlot,
    outgoing: &Outgoing<'_>,
    deadline: &CallDeadline,
    times: &mut ConnectTimings,
) -> Result<(), AttemptOutcome> {
    let connection = OpenConnection::open(endpoint, outgoing, deadline, times).await?;
    let h2 = match connection.negotiated_protocol() {
        Some(protocol) => protocol == b"h2",
        None => endpoint.tls.is_none(),
    };
    if h2 {
        slot.open_h2(Http2::from_connection(connection, endpoint, deadline).await?);
    } else if endpoint.version == HttpVersion::Http2 {
        times.open = false;
        return Err(AttemptOutcome::Failed(AttemptPhase::Tls, FailureKind::NoHttp2));
    } else {
        slot.open(connection);
    }
    Ok(())
}
