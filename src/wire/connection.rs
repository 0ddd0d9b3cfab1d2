//! One connection to a target: opened phase by phase, read into the shard's one buffer.
//!
//! `http1` drives it, a user owns it between calls.
//! Invariant: an idle connection holds no buffer of ours.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
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
        let looked_up = endpoint.addresses.borrow().is_none();
        if looked_up {
            // Boxed, as the handshake below: both are rare, and ten thousand users that connect at
            // once should not each carry room for them.
            Box::pin(look_up(endpoint, patience)).await?;
            opening.dns_ns = Some(clock::now().since(begun));
        }
        let connecting = if looked_up { clock::now() } else { begun };
        let tcp = connect(endpoint, patience).await?;
        let connected = clock::now();
        opening.connect_ns = Some(connected.since(connecting));
        let io = match &endpoint.tls {
            None => Io::Tcp(tcp),
            Some(tls) => {
                let stream = Box::pin(shake_hands(endpoint, tls, tcp, patience)).await?;
                opening.tls_ns = Some(clock::now().since(connected));
                Io::Tls(stream)
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

/// Finds the endpoint's addresses. Looked up once per shard and run: a load test that follows DNS
/// changes is a later story, and METHODOLOGY.md says so.
async fn look_up(endpoint: &Endpoint, patience: &Patience) -> Result<(), Outcome> {
    let lookup = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port));
    let found: Vec<SocketAddr> = match patience.wait(lookup).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(fault::outcome(Phase::Dns, &error)),
        Err(why) => return Err(gave_up(why, Phase::Dns)),
    };
    if found.is_empty() {
        return Err(Outcome::Failed(Phase::Dns, Kind::NoSuchName));
    }
    *endpoint.addresses.borrow_mut() = Some(found);
    Ok(())
}

/// Connects to the first address that answers.
async fn connect(endpoint: &Endpoint, patience: &Patience) -> Result<TcpStream, Outcome> {
    let mut last = Outcome::Failed(Phase::Connect, Kind::Other);
    for index in 0.. {
        let known = endpoint.addresses.borrow();
        let Some(address) = known.as_ref().and_then(|known| known.get(index).copied()) else {
            break;
        };
        drop(known);
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(|error| fault::outcome(Phase::Connect, &error))?;
        match patience.wait(socket.connect(address)).await {
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

async fn shake_hands(
    endpoint: &Endpoint,
    tls: &Arc<ClientConfig>,
    tcp: TcpStream,
    patience: &Patience,
) -> Result<Box<TlsStream<TcpStream>>, Outcome> {
    let name = ServerName::try_from(endpoint.host.clone())
        .map_err(|_| Outcome::Failed(Phase::Tls, Kind::Certificate))?;
    let handshake = TlsConnector::from(Arc::clone(tls)).connect(name, tcp);
    match patience.wait(handshake).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(fault::outcome(Phase::Tls, &error)),
        Err(why) => Err(gave_up(why, Phase::Tls)),
    }
}

/// The outcome of a wait that ended before its time.
pub(super) const fn gave_up(why: GaveUp, phase: Phase) -> Outcome {
    match why {
        GaveUp::Timeout => Outcome::Timeout(phase),
        GaveUp::Cut => Outcome::Unfinished(phase),
    }
}
