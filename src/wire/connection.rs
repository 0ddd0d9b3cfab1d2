//! One connection to a target: opened phase by phase, read into the shard's one buffer.
//!
//! `http1` drives it, a user owns it between calls.
//! Invariant: an idle connection holds no buffer of ours.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::patience::{GaveUp, Patience};
use super::{Endpoint, fault};
use crate::clock::{self, Time};
use crate::stats::sample::Opening;
use crate::stats::{Kind, Outcome, Phase};

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    io: Io,
    /// When its last exchange ended; `NEVER` before the first.
    pub(super) idle_since: Time,
}

#[derive(Debug)]
enum Io {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Opens a connection: look up, connect, handshake. The times of the phases that were
    /// completed go into `opening`.
    pub(super) async fn open(
        endpoint: &Endpoint,
        patience: &Patience,
        opening: &mut Opening,
    ) -> Result<Self, Outcome> {
        let begun = clock::now();
        let (addresses, looked_up) = resolve(endpoint, patience).await?;
        let resolved = if looked_up { clock::now() } else { begun };
        if looked_up {
            opening.dns_ns = Some(resolved.since(begun));
        }
        let tcp = connect(&addresses, patience).await?;
        let connected = clock::now();
        opening.connect_ns = Some(connected.since(resolved));
        let Some(tls) = &endpoint.tls else {
            opening.open = true;
            return Ok(Self { io: Io::Tcp(tcp), idle_since: Time::NEVER });
        };
        let name = ServerName::try_from(endpoint.host.clone())
            .map_err(|_| Outcome::Failed(Phase::Tls, Kind::Certificate))?;
        let handshake = TlsConnector::from(tls.clone()).connect(name, tcp);
        let stream = match patience.wait(handshake).await {
            Ok(Ok(stream)) => Box::new(stream),
            Ok(Err(error)) => return Err(fault::outcome(Phase::Tls, &error)),
            Err(why) => return Err(gave_up(why, Phase::Tls)),
        };
        opening.tls_ns = Some(clock::now().since(connected));
        opening.open = true;
        Ok(Self { io: Io::Tls(stream), idle_since: Time::NEVER })
    }

    /// Reads what is there into `buffer`; registers for more when nothing is. Zero bytes: the end.
    #[inline]
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut read = ReadBuf::new(buffer);
        let poll = match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_read(cx, &mut read),
            Io::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, &mut read),
        };
        poll.map_ok(|()| read.filled().len())
    }

    /// Hands bytes to the kernel; how many it took.
    #[inline]
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
        }
    }

    /// Pushes out what TLS still holds; nothing to do for plain TCP.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Tcp(_) => Poll::Ready(Ok(())),
            Io::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    /// Whether an idle connection can carry another request: it is neither at its end nor does it
    /// hold bytes nobody asked for. Costs no system call unless the kernel has reported something.
    pub(super) fn is_fresh(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> bool {
        match &mut self.io {
            Io::Tcp(tcp) => tcp.poll_read_ready(cx).is_pending() || would_block(tcp, buffer),
            // TLS may have session tickets to read; only its end or its data matter.
            Io::Tls(tls) => {
                let mut read = ReadBuf::new(buffer);
                Pin::new(tls.as_mut()).poll_read(cx, &mut read).is_pending()
            }
        }
    }
}

fn would_block(tcp: &TcpStream, buffer: &mut [u8]) -> bool {
    matches!(tcp.try_read(buffer), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// The endpoint's addresses, and whether they had to be looked up. Looked up once per shard and
/// run: a load test that follows DNS changes is a later story, and says so in METHODOLOGY.md.
async fn resolve(
    endpoint: &Endpoint,
    patience: &Patience,
) -> Result<(Vec<SocketAddr>, bool), Outcome> {
    if let Some(known) = endpoint.addresses.borrow().as_ref() {
        return Ok((known.clone(), false));
    }
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let found: Vec<SocketAddr> = match patience.wait(lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(fault::outcome(Phase::Dns, &error)),
        Err(why) => return Err(gave_up(why, Phase::Dns)),
    };
    if found.is_empty() {
        return Err(Outcome::Failed(Phase::Dns, Kind::NoSuchName));
    }
    *endpoint.addresses.borrow_mut() = Some(found.clone());
    Ok((found, true))
}

/// Connects to the first address that answers.
async fn connect(addresses: &[SocketAddr], patience: &Patience) -> Result<TcpStream, Outcome> {
    let mut last = Outcome::Failed(Phase::Connect, Kind::Other);
    for address in addresses {
        match patience.wait(TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // One write per request: waiting to fill a segment would only delay it. A socket
                // that refuses the option is closed already, and the write will say so.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => last = fault::outcome(Phase::Connect, &error),
            Err(why) => return Err(gave_up(why, Phase::Connect)),
        }
        // What we lack ourselves the next address will not give us.
        if matches!(last, Outcome::Own(_)) {
            break;
        }
    }
    Err(last)
}

/// The outcome of a wait that ended before its time.
pub(super) const fn gave_up(why: GaveUp, phase: Phase) -> Outcome {
    match why {
        GaveUp::Timeout => Outcome::Timeout(phase),
        GaveUp::Cut => Outcome::Unfinished(phase),
    }
}
