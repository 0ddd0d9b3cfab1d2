//! Opens the first connection to a cluster of Kafka that has several addresses.
//!
//! `client` calls it.
//! Invariant: each address is tried once at most; an address that does not answer leaves the others
//! their part of the call's time; an address that a safety limit forbids ends the call.

use std::pin::pin;

use crate::clock;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::trace::trace_event;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::open;
use crate::wire::deadline::WaitEnded;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::framed::connection_session::ConnectionSession;

/// Opens a connection: to the address that accepted last, else to the others in their order.
pub(in crate::wire) async fn open(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> Result<OpenConnection, AttemptOutcome> {
    let count = endpoint.further.len() + 1;
    if count == 1 {
        return open::open(endpoint, context).await;
    }
    let first = endpoint.accepted_place.get();
    let all = std::iter::once(first).chain((0..count).filter(|place| *place != first));
    let mut failed = None;
    for (tried, place) in all.enumerate() {
        let one = place.checked_sub(1).map_or(endpoint, |place| &endpoint.further[place]);
        match open_in_part(one, context, (count - tried) as u64).await {
            Ok(mut connection) => {
                endpoint.accepted_place.set(place);
                connection.session = Some(Box::new(ConnectionSession::Kafka(place)));
                return Ok(connection);
            }
            Err(outcome) => {
                trace_event!(DEBUG, "address of the cluster failed", place = place);
                failed = Some(outcome);
                if !may_try_next(outcome, context) {
                    break;
                }
            }
        }
    }
    Err(failed.unwrap_or(AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Other)))
}

/// Opens a connection within the call's time divided by the number of addresses that are left.
async fn open_in_part(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
    left: u64,
) -> Result<OpenConnection, AttemptOutcome> {
    let deadline = context.deadline;
    let now = clock::now();
    let until = now.after(deadline.call_end().since(now) / left);
    let mut opening = pin!(open::open(endpoint, context));
    match deadline.wait_until(until, |cx| opening.as_mut().poll(cx)).await {
        Ok(opened) => opened,
        Err(WaitEnded::Timeout) => Err(AttemptOutcome::Timeout(AttemptPhase::Connect)),
        Err(ended @ WaitEnded::Cancelled) => Err(ended.outcome(AttemptPhase::Connect)),
    }
}

/// Whether another address may be tried after this outcome.
fn may_try_next(outcome: AttemptOutcome, context: &ExchangeContext<'_>) -> bool {
    match outcome {
        AttemptOutcome::Failed(_, kind) => kind != FailureKind::Forbidden,
        AttemptOutcome::Timeout(_) => clock::now() < context.deadline.call_end(),
        _ => false,
    }
}
