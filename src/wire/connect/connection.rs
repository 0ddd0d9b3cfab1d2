//! A connection to a target: opened phase by phase, read into the shard's one buffer.
//!
//! `http1` and `http2` use it; a user or a pool keeps it between calls.
//! Invariant: an idle connection holds no buffer of ours.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::clock::{self, Time};
use crate::plan::transport::{HttpVersion, Proxy};
use crate::stats::sample::ConnectTimings;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};
use crate::trace::trace_event;
use crate::wire::connect::proxy::{self, ProxyError};
use crate::wire::deadline::CallDeadline;
use crate::wire::{Outgoing, ServiceEndpoint, connect::fault, connect::race, connect::tls};

/// An open connection.
#[derive(Debug)]
pub(in crate::wire) struct OpenConnection {
    io: Transport,
    /// When the last exchange on the connection ended; `NEVER` before the first.
    pub(in crate::wire) idle_since: Time,
}

#[derive(Debug)]
enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl OpenConnection {
    /// Opens a connection for a user: look-up, connect, handshake. The durations of completed
    /// phases go into `timings`; an emulated link adds its round trip to each.
    pub(in crate::wire) async fn open(
        endpoint: &ServiceEndpoint,
        outgoing: &Outgoing<'_>,
        deadline: &CallDeadline,
        timings: &mut ConnectTimings,
    ) -> Result<Self, AttemptOutcome> {
        let begun = clock::now();
        let io = if let Some(path) = &endpoint.unix {
            let unix = deadline.wait(UnixStream::connect(path)).await;
            let unix = unix.map_err(|why| why.outcome(AttemptPhase::Connect))?;
            outgoing.extra_round_trip(AttemptPhase::Connect, deadline).await?;
            timings.connect_ns = ConnectTimings::took(clock::now().since(begun));
            Transport::Unix(unix.map_err(|error| fault::outcome(AttemptPhase::Connect, &error))?)
        } else {
            let mut connecting = begun;
            if endpoint.refusal().is_some() {
                return Err(AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Forbidden));
            }
            let addresses = match endpoint.addresses() {
                Some(addresses) => addresses,
                None => {
                    let found = endpoint.look_up(deadline).await?;
                    connecting = clock::now();
                    timings.dns_ns = ConnectTimings::took(connecting.since(begun));
                    found
                }
            };
            let mut tcp = race::connect(endpoint, &addresses, outgoing, deadline).await?;
            if let Some(proxy) = &endpoint.proxy {
                open_tunnel(endpoint, proxy, &mut tcp, deadline).await?;
            }
            let connected = clock::now();
            timings.connect_ns = ConnectTimings::took(connected.since(connecting));
            match &endpoint.tls {
                None => Transport::Tcp(tcp),
                Some(tls) => {
                    let config = offer_http1_only(endpoint, outgoing, &tls.config);
                    let stream = shake_hands(endpoint, tls, &config, tcp, deadline).await?;
                    outgoing.extra_round_trip(AttemptPhase::Tls, deadline).await?;
                    timings.tls_ns = ConnectTimings::took(clock::now().since(connected));
                    Transport::Tls(stream)
                }
            }
        };
        timings.open = true;
        trace_event!(DEBUG, "connection opened", took_ns = clock::now().since(begun));
        Ok(Self { io, idle_since: Time::NEVER })
    }

    /// Reads available bytes into `buffer`, or registers for more. Zero bytes mean the end.
    #[inline]
    pub(in crate::wire) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        self.poll_fill(cx, &mut read).map_ok(|()| read.filled().len())
    }

    /// As `poll_read`, into a buffer that counts its bytes.
    #[inline]
    pub(in crate::wire) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        read: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_read(cx, read),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, read),
            Transport::Unix(unix) => Pin::new(unix).poll_read(cx, read),
        }
    }

    /// Returns the protocol that ALPN negotiated, if any.
    pub(in crate::wire) fn negotiated_protocol(&self) -> Option<&[u8]> {
        match &self.io {
            Transport::Tls(tls) => tls.get_ref().1.alpn_protocol(),
            Transport::Tcp(_) | Transport::Unix(_) => None,
        }
    }

    /// Hands bytes to the kernel; returns how many it took.
    #[inline]
    pub(in crate::wire) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Transport::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
            Transport::Unix(unix) => Pin::new(unix).poll_write(cx, bytes),
        }
    }

    /// Flushes what TLS has buffered; does nothing for plain TCP.
    pub(in crate::wire) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Transport::Tcp(_) | Transport::Unix(_) => Poll::Ready(Ok(())),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    /// Whether an idle connection can carry another request: it has neither ended nor received
    /// bytes that belong to no request. Costs no system call unless the kernel has reported
    /// something.
    #[inline]
    pub(in crate::wire) fn is_fresh(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> bool {
        match &mut self.io {
            Transport::Tcp(tcp) => tcp.poll_read_ready(cx).is_pending() || would_block(tcp, buffer),
            Transport::Unix(unix) => {
                let mut read = ReadBuf::new(buffer);
                Pin::new(unix).poll_read(cx, &mut read).is_pending()
            }
            // TLS may have session tickets to read; only its end or application data matter.
            Transport::Tls(tls) => {
                let mut read = ReadBuf::new(buffer);
                Pin::new(tls.as_mut()).poll_read(cx, &mut read).is_pending()
            }
        }
    }
}

fn would_block(tcp: &TcpStream, buffer: &mut [u8]) -> bool {
    matches!(tcp.try_read(buffer), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
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
    config: &Arc<ClientConfig>,
    tcp: TcpStream,
    deadline: &CallDeadline,
) -> Result<Box<TlsStream<TcpStream>>, AttemptOutcome> {
    let handshake = TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), tcp);
    match deadline.wait(handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(endpoint.remember_error(tls.failure(&error), &error)),
        Err(why) => Err(why.outcome(AttemptPhase::Tls)),
    }
}
