//! Opens connections, phase by phase: look-up, connect, tunnel, handshake.
//!
//! `http1` and `http2` call it.
//! Invariant: the durations of completed phases are in the exchange, also of a connection that
//! could not be opened.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::{self, Time};
use crate::plan::transport::{HttpVersion, Proxy};
use crate::protocol::Protocol;
use crate::stats::sample::ConnectTimings;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::trace::trace_event;
use crate::wire::connect::connection::{OpenConnection, Transport};
use crate::wire::connect::endpoint::ServiceEndpoint;
use crate::wire::connect::proxy::{self, ProxyError};
use crate::wire::connect::{fault, race, tls, tls_request};
use crate::wire::deadline::CallDeadline;
use crate::wire::exchange_context::ExchangeContext;
use crate::wire::outgoing::Outgoing;

/// Opens a connection for a user: look-up, connect, handshake. The durations of completed
/// phases go into the exchange; an emulated link adds its round trip to each.
///
/// Thousands of users may open connections at once. So what most connections do not need is
/// boxed, and a pending one holds little more than its socket.
#[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice")]
pub(in crate::wire) fn open(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> impl Future<Output = Result<OpenConnection, AttemptOutcome>> {
    async move {
        context.exchange.connect = Some(ConnectTimings::default());
        let one = endpoint.only_plain_address().filter(|_| context.outgoing.link.is_none());
        let io = match one {
            Some(address) => {
                let begun = clock::now();
                let (outgoing, deadline) = (context.outgoing, context.deadline);
                let tcp = race::connect_to_one(endpoint, address, outgoing, deadline).await?;
                record(context).connect_ns = ConnectTimings::took(clock::now().since(begun));
                Transport::Tcp(tcp)
            }
            None => Box::pin(open_transport(endpoint, context)).await?,
        };
        let timings = record(context);
        timings.open = true;
        trace_event!(DEBUG, "connection opened", took_ns = timings.total_ns());
        Ok(OpenConnection::new(io))
    }
}

/// Offers only HTTP/1.1 in ALPN to a request that goes over it alone.
fn offer_http1_only<'a>(
    endpoint: &ServiceEndpoint,
    outgoing: &Outgoing<'_>,
    tls: &'a Arc<ClientConfig>,
) -> Cow<'a, Arc<ClientConfig>> {
    if !outgoing.is_http1_only() || endpoint.version == HttpVersion::Http1 {
        return Cow::Borrowed(tls);
    }
    let mut alone = ClientConfig::clone(tls);
    alone.alpn_protocols.clear();
    Cow::Owned(Arc::new(alone))
}

/// Requests a tunnel to the target from the connected proxy.
async fn open_tunnel(
    endpoint: &ServiceEndpoint,
    proxy: &Proxy,
    tcp: &mut TcpStream,
    deadline: &CallDeadline,
) -> Result<(), AttemptOutcome> {
    match deadline.wait(proxy::tunnel(endpoint, proxy, tcp)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ProxyError::Refused(kind))) => {
            Err(AttemptOutcome::Failed(AttemptPhase::Connect, kind))
        }
        Ok(Err(ProxyError::Io(error))) => Err(fault::outcome(AttemptPhase::Connect, &error)),
        Err(why) => Err(why.outcome(AttemptPhase::Connect)),
    }
}

async fn shake_hands(
    endpoint: &ServiceEndpoint,
    tls: &tls::TlsClient,
    tcp: TcpStream,
    context: &ExchangeContext<'_>,
) -> Result<Box<TlsStream<TcpStream>>, AttemptOutcome> {
    let config = offer_http1_only(endpoint, context.outgoing, &tls.config).into_owned();
    let handshake = TlsConnector::from(config).connect(tls.name.clone(), tcp);
    let stream = match context.deadline.wait(handshake).await {
        Ok(Ok(stream)) => Box::new(stream),
        Ok(Err(error)) => return Err(endpoint.remember_error(tls.failure(&error), &error)),
        Err(why) => return Err(why.outcome(AttemptPhase::Tls)),
    };
    context.outgoing.extra_round_trip(AttemptPhase::Tls, context.deadline).await?;
    Ok(stream)
}

/// Opens a connection in whatever way its endpoint needs.
async fn open_transport(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
) -> Result<Transport, AttemptOutcome> {
    if endpoint.refusal().is_some() {
        return Err(AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Forbidden));
    }
    if let Some(path) = &endpoint.unix {
        return connect_to_socket_file(path, context).await.map(Transport::Unix);
    }
    let mut connecting = clock::now();
    let mut tcp = resolve_and_connect(endpoint, context, &mut connecting).await?;
    if let Some(proxy) = &endpoint.proxy {
        open_tunnel(endpoint, proxy, &mut tcp, context.deadline).await?;
    }
    let connected = clock::now();
    record(context).connect_ns = ConnectTimings::took(connected.since(connecting));
    let Some(tls) = &endpoint.tls else { return Ok(Transport::Tcp(tcp)) };
    if endpoint.protocol == Protocol::Postgres {
        tls_request::request_tls(endpoint, &mut tcp, context).await?;
    }
    let stream = shake_hands(endpoint, tls, tcp, context).await?;
    record(context).tls_ns = ConnectTimings::took(clock::now().since(connected));
    Ok(Transport::Tls(stream))
}

/// Looks the name up if its addresses are not known, and connects to the first address that
/// accepts; sets when connecting began.
async fn resolve_and_connect(
    endpoint: &ServiceEndpoint,
    context: &mut ExchangeContext<'_>,
    connecting: &mut Time,
) -> Result<TcpStream, AttemptOutcome> {
    let addresses = match endpoint.addresses() {
        Some(addresses) => addresses,
        None => {
            let found = endpoint.look_up(context.deadline).await?;
            let now = clock::now();
            record(context).dns_ns = ConnectTimings::took(now.since(*connecting));
            *connecting = now;
            found
        }
    };
    race::connect(endpoint, &addresses, context.outgoing, context.deadline).await
}

/// Connects to a Unix socket.
async fn connect_to_socket_file(
    path: &Path,
    context: &mut ExchangeContext<'_>,
) -> Result<UnixStream, AttemptOutcome> {
    let begun = clock::now();
    let unix = context.deadline.wait(UnixStream::connect(path)).await;
    let unix = unix.map_err(|why| why.outcome(AttemptPhase::Connect))?;
    context.outgoing.extra_round_trip(AttemptPhase::Connect, context.deadline).await?;
    record(context).connect_ns = ConnectTimings::took(clock::now().since(begun));
    unix.map_err(|error| fault::outcome(AttemptPhase::Connect, &error))
}

/// The timings of the connection that an exchange opens.
fn record<'a>(context: &'a mut ExchangeContext<'_>) -> &'a mut ConnectTimings {
    context.exchange.connect.get_or_insert_default()
}
