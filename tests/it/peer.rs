//! A raw TCP server on a free port of 127.0.0.1 whose connections follow a script.
//!
//! Invariant: no connection outlives [`LIFE`], whatever its client does; a dropped server accepts
//! no more.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// Maximum wait of a connection for its client.
const LIFE: Duration = Duration::from_secs(10);
/// Maximum operations of a connection; more than any script needs.
const STEPS: u32 = 100_000;

/// The server.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    connections: AtomicU64,
    requests: AtomicU64,
    over: AtomicBool,
}

/// The server's side of a connection. Each operation returns whether the client is still
/// connected.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    shared: Arc<Shared>,
    steps: u32,
}

impl Server {
    /// Starts a server; each connection gets a thread that runs `script`.
    pub(crate) fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), script)
    }

    /// Starts a server at an address.
    pub(crate) fn start_at(
        at: SocketAddr,
        script: impl Fn(&mut Peer) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (script, own) = (Arc::new(script), Arc::clone(&shared));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own.over.load(SeqCst) {
                    return;
                }
                let stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(LIFE)).unwrap();
                stream.set_write_timeout(Some(LIFE)).unwrap();
                let (script, shared) = (Arc::clone(&script), Arc::clone(&own));
                shared.connections.fetch_add(1, SeqCst);
                thread::spawn(move || script(&mut Peer { stream, shared, steps: 0 }));
            }
        });
        Self { address, shared }
    }

    /// Starts a server that responds to every request with these bytes, then continues with
    /// `then`.
    pub(crate) fn answering(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        let bytes = bytes.into();
        Self::start(move |peer| {
            while peer.request() && peer.send(&bytes) {
                match then {
                    Then::Next => {}
                    Then::Close => return,
                    Then::Reset => return peer.reset(),
                    Then::Hold => peer.hold(),
                }
            }
        })
    }

    /// Starts a server that reads each request with its body, and responds with these bytes.
    pub(crate) fn answering_whole(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::start(
            move |peer| while peer.whole_request().is_some() && peer.send(bytes.as_ref()) {},
        )
    }

    /// Returns its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the number of accepted connections, and of requests.
    pub(crate) fn seen(&self) -> (u64, u64) {
        (self.shared.connections.load(SeqCst), self.shared.requests.load(SeqCst))
    }
}

/// An address that refuses connections, and the socket that keeps others from taking its port.
pub(crate) fn refusing_address() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// What a connection does after a response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Waits for the next request.
    Next,
    /// Closes.
    Close,
    /// Resets.
    Reset,
    /// Sends nothing more until the client disconnects.
    Hold,
}

impl Peer {
    /// Waits for a request without a body.
    pub(crate) fn request(&mut self) -> bool {
        self.head().is_some()
    }

    /// Waits for a request without a body; returns its head.
    pub(crate) fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        self.shared.requests.fetch_add(1, SeqCst);
        Some(String::from_utf8_lossy(&head).into_owned())
    }

    /// Waits for a request with a body whose length is declared; returns its head. Bytes that are
    /// left unread would reset the connection, and the client would lose the response.
    pub(crate) fn whole_request(&mut self) -> Option<String> {
        self.head_and_body().map(|(head, _)| head)
    }

    /// As [`Self::whole_request`], with the body.
    pub(crate) fn head_and_body(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head()?;
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length = lengths.next().map_or(0, |(_, value)| value.trim().parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some((head, body))
    }

    /// Sends bytes at once.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.steps += 1;
        self.steps < STEPS && self.stream.write_all(bytes).is_ok()
    }

    /// Sends bytes one by one, each in a segment of its own.
    pub(crate) fn drip(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|byte| self.send(&[*byte]))
    }

    /// Sends bytes one by one, with a pause between them that ends early if the client
    /// disconnects.
    pub(crate) fn drip_slowly(&mut self, bytes: &[u8], pause: Duration) -> bool {
        self.stream.set_read_timeout(Some(pause)).unwrap();
        let all = bytes.iter().all(|byte| {
            let here = self.send(&[*byte]);
            here && !matches!(self.stream.read(&mut [0; 64]), Ok(0))
        });
        self.stream.set_read_timeout(Some(LIFE)).unwrap();
        all
    }

    /// Waits until the client disconnects.
    pub(crate) fn hold(&mut self) {
        let mut ignored = [0; 4_096];
        while matches!(self.stream.read(&mut ignored), Ok(read) if read > 0) {}
    }

    /// Resets the connection.
    pub(crate) fn reset(&self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
        // Wakes the acceptor, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}
