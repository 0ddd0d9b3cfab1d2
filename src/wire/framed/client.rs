//! Exchanges of protocols other than HTTP, on a connection of the slot.
//!
//! `Wire::exchange` calls it, boxed: the tasks of HTTP users hold no room for it.
//! Invariant: a connection is logged in before its first request, and closed after any exchange
//! that did not end with a complete response.

use std::future::Future;
use std::pin::Pin;

use crate::clock;
use crate::plan::operation::Operation;
use crate::protocol::Protocol;
use crate::stats::AttemptOutcome;
use crate::wire::connect::connection::OpenConnection;
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::{open, udp};
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::framed::bootstrap;
use crate::wire::framed::login;
use crate::wire::framed::reader::FrameReader;
use crate::wire::framed::sql_session::SqlSession;
use crate::wire::http1::client::{self, Http1, never_sent};
use crate::wire::http1::{linked_exchange, stream};
use crate::wire::outgoing::Outgoing;
use crate::wire::resend::Resend;

/// Runs one exchange of an operation.
#[cold]
pub(in crate::wire) fn boxed<'a>(
    http1: &'a Http1,
    endpoint: &'a ServiceEndpoint,
    operation: &'a Operation,
    context: &'a mut ExchangeContext<'_>,
) -> Pin<Box<dyn Future<Output = Resend> + 'a>> {
    Box::pin(exchange(http1, endpoint, operation, context))
}

/// Runs one exchange, as [`boxed`].
pub(in crate::wire) async fn exchange(
    http1: &Http1,
    endpoint: &ServiceEndpoint,
    operation: &Operation,
    context: &mut ExchangeContext<'_>,
) -> Resend {
    if context.slot.connection.is_some() {
        http1.drop_if_dead(context.slot).await;
    }
    if context.slot.connection.is_none()
        && let Err(outcome) = open(http1, endpoint, context).await
    {
        return never_sent(context.exchange, outcome);
    }
    let session = context.slot.connection.as_ref().and_then(OpenConnection::sql_session);
    // An open transaction ends with its connection: no request of it is sent on another one.
    let is_in_transaction = session.is_some_and(|session| session.is_in_transaction);
    let is_old = client::is_stale(context) && !is_in_transaction;
    let bytes = SqlSession::request(session, operation, context.outgoing.bytes);
    let outgoing = Outgoing { bytes, ..*context.outgoing };
    let mut reader = FrameReader::new(operation, endpoint.protocol, (bytes, *outgoing.capture));
    context.capture.head.clear();
    context.capture.body.clear();
    context.capture.forget_body();
    let buffer = http1.read_buffer();
    let context = &mut ExchangeContext {
        slot: &mut *context.slot,
        outgoing: &outgoing,
        deadline: context.deadline,
        capture: &mut *context.capture,
        exchange: &mut *context.exchange,
    };
    let end = match context.outgoing.link {
        None => stream::converse(buffer, &mut reader, context).await,
        Some(link) => linked_exchange::converse(buffer, link, &mut reader, context).await,
    };
    if let (FrameReader::Sql(reader), Some(open)) = (&reader, &mut context.slot.connection) {
        open.note_sql(operation, reader.session_changes());
    }
    client::end_exchange(context, &end, is_old)
}

/// Opens the slot's connection and logs in.
pub(in crate::wire) async fn open(
    http1: &Http1,
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> Result<(), AttemptOutcome> {
    let mut connection = match endpoint.protocol {
        Protocol::Udp | Protocol::Dns => udp::open(endpoint, context).await?,
        Protocol::Kafka => bootstrap::open(endpoint, context).await?,
        _ => open::open(endpoint, context).await?,
    };
    if let Some(login) = &endpoint.login {
        login::log_in(http1, endpoint, login, &mut connection, context).await?;
    }
    connection.idle_since = clock::now();
    context.slot.open(connection);
    Ok(())
}
