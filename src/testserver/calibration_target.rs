//! The target of calibrations: HTTP/1.1 or HTTP/2, with or without TLS, on a thread of this
//! process. Each response has the same body, after the same time.
//!
//! `cli::calibration` starts it; the calls come from a process of their own, whose CPU time then is
//! that of a generator alone.
//! Invariant: it listens on loopback only, with a certificate of its own that is never written
//! beside its key; its thread ends when it is dropped.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::body::RequestBodyReader;
use super::head;
use super::reply::FILLER;
use super::server::bind;
use crate::clock;

/// The longest body of a response, bytes.
pub const MAX_BODY: usize = 4 << 20;

/// What the target does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalibrationBehaviour {
    /// Whether it has TLS.
    pub tls: bool,
    /// Whether it speaks HTTP/2: by ALPN with TLS, by prior knowledge without.
    pub http2: bool,
    /// The body of a response, bytes; at most [`MAX_BODY`].
    pub body: usize,
    /// The time from a request to its response.
    pub service_time: Duration,
}

/// A running target. Dropping it stops it.
#[derive(Debug)]
pub struct CalibrationTarget {
    address: SocketAddr,
    /// Its certificate, which is its own issuer, as PEM.
    certificate: Option<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl CalibrationTarget {
    /// Starts a target on a free port of loopback.
    ///
    /// # Errors
    /// If it cannot listen, or no certificate can be made.
    pub fn start(behaviour: CalibrationBehaviour) -> io::Result<Self> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        listener.set_nonblocking(true)?;
        socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
        let address = listener.local_addr()?;
        let made = behaviour.tls.then(|| tls(behaviour.http2)).transpose()?;
        let (config, certificate) = made.unzip();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("calibration".to_owned());
        let thread = thread.spawn(move || {
            clock::block_on(serve(listener, behaviour, config.map(TlsAcceptor::from), stopped))?
        })?;
        Ok(Self { address, certificate, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its certificate as PEM; `None` without TLS.
    pub fn certificate(&self) -> Option<&str> {
        self.certificate.as_deref()
    }
}

impl Drop for CalibrationTarget {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Makes a certificate for loopback, and the configuration of a server with it.
fn tls(http2: bool) -> io::Result<(Arc<ServerConfig>, String)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    let chain = vec![CertificateDer::from(made.cert.der().to_vec())];
    let key =
        PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(io::Error::other)?;
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok((Arc::new(config), made.cert.pem()))
}

/// Accepts connections until the other end of `stopped` is dropped.
async fn serve(
    listener: TcpListener,
    behaviour: CalibrationBehaviour,
    tls: Option<TlsAcceptor>,
    mut stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let responder = Rc::new(Responder::new(behaviour));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let (responder, tls) = (Rc::clone(&responder), tls.clone());
                let (stream, _) = accepted?;
                connections.spawn_local(connection(stream, tls, responder));
            }
        }
    }
    connections.shutdown().await;
    Ok(())
}

/// Serves a connection to its end. A broken one concerns only its client, which counts it.
async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, responder: Rc<Responder>) {
    let _ = match tls {
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => responder.connection(stream).await,
            Err(error) => Err(error),
        },
        None => responder.connection(stream).await,
    };
}

/// Responds to requests.
struct Responder {
    behaviour: CalibrationBehaviour,
    body: Bytes,
    /// A whole response of HTTP/1.1.
    http1: Vec<u8>,
}

impl Responder {
    fn new(behaviour: CalibrationBehaviour) -> Self {
        let body: Vec<u8> =
            FILLER.iter().copied().cycle().take(behaviour.body.min(MAX_BODY)).collect();
        let mut http1 = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        http1.extend_from_slice(&body);
        Self { behaviour, body: Bytes::from(body), http1 }
    }

    async fn connection<S: AsyncRead + AsyncWrite + Unpin>(
        self: Rc<Self>,
        stream: S,
    ) -> io::Result<()> {
        if self.behaviour.http2 {
            self.http2(stream).await.map_err(io::Error::other)
        } else {
            self.http1(stream).await
        }
    }

    async fn wait(&self) {
        clock::sleep_until(clock::now() + self.behaviour.service_time).await;
    }

    async fn http1<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> io::Result<()> {
        let mut input = Vec::new();
        loop {
            let refused = |_| io::Error::from(io::ErrorKind::InvalidData);
            let Some(head) = head::parse(&input).map_err(refused)? else {
                if stream.read_buf(&mut input).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            input.drain(..head.length);
            let mut body = RequestBodyReader::new(head.framing, 0).map_err(refused)?;
            while !body.is_done() {
                let used = body.feed(&input, &mut Vec::new()).map_err(refused)?;
                input.drain(..used);
                if !body.is_done() && stream.read_buf(&mut input).await? == 0 {
                    return Ok(());
                }
            }
            self.wait().await;
            stream.write_all(&self.http1).await?;
            stream.flush().await?;
            if !head.keep_alive {
                return stream.shutdown().await;
            }
        }
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin>(
        self: Rc<Self>,
        stream: S,
    ) -> Result<(), h2::Error> {
        let mut connection = h2::server::handshake(stream).await?;
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                accepted = connection.accept() => match accepted {
                    Some(accepted) => {
                        let (request, reply) = accepted?;
                        streams.spawn_local(Rc::clone(&self).stream(request.into_body(), reply));
                    }
                    None => return Ok(()),
                },
                Some(_) = streams.join_next() => {}
            }
        }
    }

    async fn stream(
        self: Rc<Self>,
        mut request: h2::RecvStream,
        mut reply: SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        while let Some(part) = request.data().await {
            let part = part?;
            request.flow_control().release_capacity(part.len())?;
        }
        self.wait().await;
        let response = http::Response::builder().header("content-type", "text/plain");
        let length = self.body.len().to_string();
        // Both headers are valid, so there is always a response.
        let response = response.header("content-length", length).body(()).unwrap_or_default();
        let mut body = reply.send_response(response, self.body.is_empty())?;
        if self.body.is_empty() {
            return Ok(());
        }
        // It keeps what the client has no window for yet: at most one body for each stream.
        body.send_data(self.body.clone(), true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn requests_get_the_body_until_the_target_is_dropped() {
        let behaviour = CalibrationBehaviour {
            tls: false,
            http2: false,
            body: 5,
            service_time: Duration::from_millis(1),
        };
        let target = CalibrationTarget::start(behaviour).unwrap();
        assert_eq!(target.certificate(), None);
        let address = target.address();
        assert!(address.ip().is_loopback());
        let mut client = std::net::TcpStream::connect(address).unwrap();
        let post = "POST / HTTP/1.1\r\nhost: it\r\ncontent-length: 3\r\n\r\nabc";
        let last = "GET / HTTP/1.1\r\nhost: it\r\nconnection: close\r\n\r\n";
        client.write_all(format!("{post}{last}").as_bytes()).unwrap();
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        let response =
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nxxxxx";
        assert_eq!(received, response.repeat(2));
        drop(target);
        assert!(std::net::TcpStream::connect(address).is_err());
    }

    #[test]
    fn certificates_are_made_anew() {
        let behaviour =
            CalibrationBehaviour { tls: true, http2: true, body: 0, service_time: Duration::ZERO };
        let of = || CalibrationTarget::start(behaviour).unwrap().certificate().unwrap().to_owned();
        let (one, other) = (of(), of());
        assert!(one.starts_with("-----BEGIN CERTIFICATE-----") && one != other);
    }
}
