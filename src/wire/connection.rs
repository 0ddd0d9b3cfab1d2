//! One connection to a target: opened phase by phase, read into the shard's one buffer.
//!
//! `http1` drives it, a user owns it between calls.
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

use super::deadline::{CallDeadline, WaitEnded};
use super::proxy::{self, ProxyError};
use super::{Outgoing, ServiceEndpoint, fault, race, tls};
use crate::clock::{self, Time};
use crate::plan::transport::{HttpVersion, Proxy};
use crate::stats::sample::ConnectTimings;
use crate::stats::{AttemptOutcome, AttemptPhase, FailureKind};

/// An open connection.
#[derive(Debug)]
pub(super) struct OpenConnection {
    io: Transport,
    /// When its last exchange ended; `NEVER` before the first.
    pub(super) idle_since: Time,
}

#[derive(Debug)]
enum Transport {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl OpenConnection {
    /// Opens a connection for a user: look up, connect, handshake. The times of the phases that
    /// were completed go into `opening`; each is longer by the round trips of the user's own way.
    pub(super) async fn open(
        endpoint: &ServiceEndpoint,
        outgoing: &Outgoing<'_>,
        patience: &CallDeadline,
        opening: &mut ConnectTimings,
    ) -> Result<Self, AttemptOutcome> {
        let begun = clock::now();
        let io = if let Some(path) = &endpoint.unix {
            let unix = patience.wait(UnixStream::connect(path)).await;
            let unix = unix.map_err(|why| gave_up(why, AttemptPhase::Connect))?;
            farther(outgoing, AttemptPhase::Connect, patience).await?;
            opening.connect_ns = ConnectTimings::took(clock::now().since(begun));
            Transport::Unix(unix.map_err(|error| fault::outcome(AttemptPhase::Connect, &error))?)
        } else {
            let mut connecting = begun;
            if endpoint.refusal().is_some() {
                return Err(AttemptOutcome::Failed(AttemptPhase::Connect, FailureKind::Forbidden));
            }
            let addresses = match endpoint.addresses() {
                Some(addresses) => addresses,
                None => {
                    let found = endpoint.look_up(patience).await?;
                    connecting = clock::now();
                    opening.dns_ns = ConnectTimings::took(connecting.since(begun));
                    found
                }
            };
            let mut tcp = race::connect(endpoint, &addresses, outgoing, patience).await?;
            if let Some(proxy) = &endpoint.proxy {
                pass(endpoint, proxy, &mut tcp, patience).await?;
            }
            let connected = clock::now();
            opening.connect_ns = ConnectTimings::took(connected.since(connecting));
            match &endpoint.tls {
                None => Transport::Tcp(tcp),
                Some(tls) => {
                    let config = without_choice(endpoint, outgoing, &tls.config);
                    let stream = shake_hands(endpoint, tls, &config, tcp, patience).await?;
                    farther(outgoing, AttemptPhase::Tls, patience).await?;
                    opening.tls_ns = ConnectTimings::took(clock::now().since(connected));
                    Transport::Tls(stream)
                }
            }
        };
        opening.open = true;
        Ok(Self { io, idle_since: Time::NEVER })
    }

    /// Reads what is there into `buffer`; registers for more when nothing is. Zero bytes: the end.
    #[inline]
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        self.poll_fill(cx, &mut read).map_ok(|()| read.filled().len())
    }

    /// The same, into a buffer that keeps count.
    #[inline]
    pub(super) fn poll_fill(
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

    /// The protocol that was picked in the TLS handshake, if any.
    pub(super) fn picked(&self) -> Option<&[u8]> {
        match &self.io {
            Transport::Tls(tls) => tls.get_ref().1.alpn_protocol(),
            Transport::Tcp(_) | Transport::Unix(_) => None,
        }
    }

    /// Hands bytes to the kernel; how many it took.
    #[inline]
    pub(super) fn poll_write(
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

    /// Pushes out what TLS still holds; nothing to do for plain TCP.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Transport::Tcp(_) | Transport::Unix(_) => Poll::Ready(Ok(())),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    /// Whether an idle connection can carry another request: it is neither at its end nor does it
    /// hold bytes nobody asked for. Costs no system call unless the kernel has reported something.
    pub(super) fn is_fresh(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> bool {
        match &mut self.io {
            Transport::Tcp(tcp) => tcp.poll_read_ready(cx).is_pending() || would_block(tcp, buffer),
            Transport::Unix(unix) => {
                let mut read = ReadBuf::new(buffer);
                Pin::new(unix).poll_read(cx, &mut read).is_pending()
            }
            // TLS may have session tickets to read; only its end or its data matter.
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

/// Waits as much longer as a round trip takes on the user's own way.
pub(super) async fn farther(
    outgoing: &Outgoing<'_>,
    phase: AttemptPhase,
    patience: &CallDeadline,
) -> Result<(), AttemptOutcome> {
    match outgoing.link {
        None => Ok(()),
        Some(way) => way.round_trip(patience).await.map_err(|why| gave_up(why, phase)),
    }
}

/// TLS for a user whose way is simulated over HTTP/1.1 alone offers no other version.
fn without_choice<'a>(
    endpoint: &ServiceEndpoint,
    outgoing: &Outgoing<'_>,
    tls: &'a Arc<ClientConfig>,
) -> Cow<'a, Arc<ClientConfig>> {
    if outgoing.link.is_none() || endpoint.version == HttpVersion::Http1 {
        return Cow::Borrowed(tls);
    }
    let mut alone = ClientConfig::clone(tls);
    alone.alpn_protocols.clear();
    Cow::Owned(Arc::new(alone))
}

/// Asks the proxy that was connected to for the way to the target.
async fn pass(
    endpoint: &ServiceEndpoint,
    proxy: &Proxy,
    tcp: &mut TcpStream,
    patience: &CallDeadline,
) -> Result<(), AttemptOutcome> {
    match patience.wait(proxy::tunnel(endpoint, proxy, tcp)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(ProxyError::Refused(kind))) => {
            Err(AttemptOutcome::Failed(AttemptPhase::Connect, kind))
        }
        Ok(Err(ProxyError::Io(error))) => Err(fault::outcome(AttemptPhase::Connect, &error)),
        Err(why) => Err(gave_up(why, AttemptPhase::Connect)),
    }
}

async fn shake_hands(
    endpoint: &ServiceEndpoint,
    tls: &tls::TlsClient,
    config: &Arc<ClientConfig>,
    tcp: TcpStream,
    patience: &CallDeadline,
) -> Result<Box<TlsStream<TcpStream>>, AttemptOutcome> {
    let handshake = TlsConnector::from(Arc::clone(config)).connect(tls.name.clone(), tcp);
    match patience.wait(handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(endpoint.hear(tls.failure(&error), &error)),
        Err(why) => Err(gave_up(why, AttemptPhase::Tls)),
    }
}

/// The outcome of a wait that ended before its time.
pub(super) const fn gave_up(why: WaitEnded, phase: AttemptPhase) -> AttemptOutcome {
    match why {
        WaitEnded::Timeout => AttemptOutcome::Timeout(phase),
        WaitEnded::Cut => AttemptOutcome::Unfinished(phase),
    }
}
