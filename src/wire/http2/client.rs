//! HTTP/2 through the h2 crate: one exchange at a time in each slot, beside the streams that its
//! responses left. Slots of a pool may share a connection.
//!
//! `Wire::exchange` calls it, boxed, for services that speak HTTP/2 or may negotiate it.
//! Invariant: every way an exchange can end is an AttemptOutcome, named as on HTTP/1.1; what a
//! target sends is bounded by flow-control windows and by the request's limits.

use std::future::Future;
use std::pin::Pin;

use crate::clock;
use crate::plan::transport::HttpVersion;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::open;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::http1::client::{Http1, STALE_NS, never_sent};
use crate::wire::http2::connection::Http2;
use crate::wire::http2::message;
use crate::wire::http2::stream_exchange::StreamProgress;
use crate::wire::http2::traffic::CallInFlight;
use crate::wire::resend::Resend;
use crate::wire::taken::TakenConnection;

/// [`exchange`], boxed: the tasks of HTTP/1.1 users hold no room for it.
#[cold]
pub(in crate::wire) fn boxed<'a>(
    http1: &'a Http1,
    endpoint: &'a ServiceEndpoint,
    context: &'a mut ExchangeContext<'_>,
) -> Pin<Box<dyn Future<Output = Resend> + 'a>> {
    Box::pin(exchange(http1, endpoint, context))
}

/// Runs one exchange on a service that may speak HTTP/2, with the semantics of `http1`.
async fn exchange(
    http1: &Http1,
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> Resend {
    if context.slot.connection.is_some() {
        http1.drop_if_dead(context.slot).await;
    }
    if context.slot.h2.as_mut().is_some_and(|h2| !h2.is_fresh() || !h2.has_room()) {
        context.slot.close();
    }
    drop(context.capture.take_over());
    if context.slot.connection.is_none()
        && context.slot.h2.is_none()
        && let Err(outcome) = open(endpoint, context).await
    {
        return never_sent(context.exchange, outcome);
    }
    let ExchangeContext { slot, outgoing, deadline, capture, exchange } = &mut *context;
    if slot.h2.is_some() {
        slot.carry();
    }
    let is_new = exchange.connect.is_some();
    exchange.reuses = !is_new && slot.requests > 1;
    let Some(h2) = &mut slot.h2 else { return http1.exchange(endpoint, context).await };
    let idle_ns = exchange.dispatched.since(h2.idle_since);
    let mut progress = StreamProgress { phase: AttemptPhase::Send, status: 0 };
    let before = h2.traffic.sent.get();
    let in_flight = CallInFlight::begin(&h2.traffic, exchange.dispatched);
    let exchanged = h2.converse(outgoing, deadline, capture, (exchange, &mut progress)).await;
    exchange.done = clock::now();
    h2.idle_since = exchange.done;
    let body = message::body_of(outgoing.bytes).len() as u64;
    exchange.sent = h2.traffic.sent.get() > before + body;
    (exchange.bytes_sent, exchange.bytes_received) = h2.traffic.take();
    exchange.outcome = match exchanged {
        Some(failure) => failure.outcome,
        // A call that a stream takes over before its response begins.
        None if progress.status == 0 => AttemptOutcome::Done,
        None => AttemptOutcome::Responded(progress.status),
    };
    let is_old = !is_new && idle_ns >= STALE_NS;
    let resend = match exchange.outcome {
        _ if exchanged.is_some_and(|failure| failure.is_unprocessed) => Resend::Unprocessed,
        AttemptOutcome::Failed(
            AttemptPhase::Send | AttemptPhase::FirstByte,
            FailureKind::Closed | FailureKind::Reset,
        ) if outgoing.idempotent && is_old => Resend::Stale,
        _ => Resend::No,
    };
    if capture.is_taken_over() {
        leave_to_stream(h2, capture);
        return resend;
    }
    drop(in_flight);
    if should_close(exchange.outcome) || !h2.is_fresh() {
        slot.close();
    }
    resend
}

/// Lets the stream that has taken over a response hold the connection.
fn leave_to_stream(h2: &Http2, capture: &mut ResponseCapture) {
    let taken = capture.taken_mut();
    let Some(taken) = taken else { return };
    let parts = (taken.h2_body.take(), taken.h2_call.take());
    taken.connection = match parts {
        (_, Some(call)) => Some(TakenConnection::Grpc(h2.hold(), call)),
        (Some(body), None) => Some(TakenConnection::Http2(h2.hold(), body)),
        (None, None) => None,
    };
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
    context: &mut ExchangeContext<'_>,
) -> Result<(), AttemptOutcome> {
    let connection = open::open(endpoint, context).await?;
    let h2 = match connection.negotiated_protocol() {
        Some(protocol) => protocol == b"h2",
        None => endpoint.tls.is_none(),
    };
    if h2 {
        let h2 = Http2::from_connection(connection, endpoint, context.deadline).await?;
        context.slot.open_h2(h2);
    } else if endpoint.version == HttpVersion::Http2 {
        if let Some(timings) = &mut context.exchange.connect {
            timings.open = false;
        }
        return Err(AttemptOutcome::Failed(AttemptPhase::Tls, FailureKind::NoHttp2));
    } else {
        context.slot.open(connection);
    }
    Ok(())
}
