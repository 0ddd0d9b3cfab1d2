//! A raw TCP server on a free port of 127.0.0.1 for one connection, which follows a script.
//!
//! Invariant: a connection waits at most [`LIFE`] for its client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use manada::wire::websocket::handshake::accept_value;

/// Maximum wait for the client.
const LIFE: Duration = Duration::from_secs(10);

/// The server; its script has ended when it is joined.
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    thread: JoinHandle<()>,
}

impl RawServer {
    /// Starts a server that hands its one connection, and the head of its request, to `script`.
    pub(crate) fn start(script: impl FnOnce(TcpStream, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(LIFE)).unwrap();
            stream.set_write_timeout(Some(LIFE)).unwrap();
            let head = read_head(&mut stream);
            script(stream, head);
        });
        Self { address, thread }
    }

    /// As `start`, for a WebSocket: the handshake is answered with `lines` beside the usual ones,
    /// and `first` follows in the same packet.
    pub(crate) fn websocket(
        lines: &'static str,
        first: impl Into<Vec<u8>>,
        script: impl FnOnce(TcpStream) + Send + 'static,
    ) -> Self {
        let first = first.into();
        Self::start(move |mut stream, head| {
            let head = accepting(&head, lines);
            stream.write_all(&[head.as_bytes(), &first].concat()).unwrap();
            script(stream);
        })
    }

    /// Waits for the end of the script.
    pub(crate) fn join(self) {
        self.thread.join().unwrap();
    }
}

/// Returns the head that accepts the handshake of a request, with `lines` beside the usual ones.
pub(crate) fn accepting(request: &str, lines: &str) -> String {
    let key = BASE64_STANDARD.decode(header(request, "Sec-WebSocket-Key")).unwrap();
    let accept = accept_value(key.try_into().unwrap());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n"
    )
}

/// Reads until the client closes, and returns what it sent.
pub(crate) fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// Returns the payloads of the frames that a client sent, with their first bytes.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert!(second & 0x80 != 0, "a frame of a client is masked");
        let (length, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => {
                let length = rest.first_chunk().map(|length| u64::from_be_bytes(*length));
                (length.unwrap() as usize, &rest[8..])
            }
            short => (usize::from(short), rest),
        };
        let (key, rest) = rest.split_at(4);
        let (payload, rest) = rest.split_at(length);
        let plain = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        frames.push((*first, plain.collect()));
        bytes = rest;
    }
    frames
}

/// Returns the value of a header of a request's head.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find_map(|(own, value)| (own == name).then_some(value)).unwrap_or_default()
}

fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}
