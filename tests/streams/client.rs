//! A client of one stream over a wire of its own.
//!
//! Invariant: nothing waits longer than [`LIMIT`].

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use manada::clock::{self, RunOffset};
use manada::ids::ServiceId;
use manada::plan::transport::{HttpVersion, LinkProfile, TlsConfig, TransportConfig};
use manada::plan::{Address, Safety};
use manada::protocol::Protocol;
use manada::seed::Seed;
use manada::stats::{AttemptOutcome, Exchange, FailureKind};
use manada::wire::message_stream::{
    Message, MessageKind, MessageStream, StreamEnd, StreamOffer, StreamProtocol, StreamSettings,
};
use manada::wire::websocket::handshake;
use manada::wire::{
    CallDeadline, CaptureRequest, ConnectionSlot, EmulatedLink, ExchangeContext, Outgoing,
    ResponseCapture, ServiceEndpoint, TakesOver, Wire,
};

/// Maximum duration of a test's wait; it only detects a hang.
const LIMIT: Duration = Duration::from_secs(100);

/// Settings with short deadlines.
pub(crate) const SETTINGS: StreamSettings = StreamSettings {
    protocol: StreamProtocol::WebSocket,
    max_message: 1 << 20,
    ping: None,
    pong: Duration::from_millis(100),
    close: Duration::from_millis(200),
};

/// A message, owned; the event and the id are of events alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) kind: MessageKind,
    pub(crate) payload: Vec<u8>,
    pub(crate) event: Option<String>,
    pub(crate) id: Option<String>,
}

/// An open stream.
pub(crate) struct Client {
    pub(crate) wire: Wire,
    pub(crate) stream: Box<dyn MessageStream>,
    pub(crate) deadline: CallDeadline,
}

/// What to open.
#[derive(Clone, Copy)]
pub(crate) struct Opening<'a> {
    pub(crate) path: &'a str,
    pub(crate) subprotocols: &'a [String],
    pub(crate) deflate: bool,
    pub(crate) settings: StreamSettings,
    pub(crate) version: HttpVersion,
    pub(crate) tls: bool,
    pub(crate) link: Option<LinkProfile>,
}

impl Opening<'_> {
    /// The root, over HTTP/1.1, without offers, with [`SETTINGS`].
    pub(crate) const PLAIN: Self = Self {
        path: "/",
        subprotocols: &[],
        deflate: false,
        settings: SETTINGS,
        version: HttpVersion::Http1,
        tls: false,
        link: None,
    };
}

/// Runs a test in real time.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    clock::block_on(test).unwrap()
}

/// Returns a wire to a server; over TLS it accepts any certificate.
pub(crate) fn wire_to(address: SocketAddr, version: HttpVersion, tls: bool) -> Wire {
    let origin = Address {
        protocol: Protocol::Http,
        tls,
        host: address.ip().to_string(),
        port: address.port(),
        prefix: String::new(),
    };
    let transport = TransportConfig {
        version,
        tls: TlsConfig { insecure: true, ..TlsConfig::default() },
        ..TransportConfig::default()
    };
    let safety = Arc::new(Safety::default());
    let endpoint = ServiceEndpoint::new(&transport, &origin, Seed::ZERO, safety).unwrap();
    Wire::real(vec![endpoint])
}

/// Opens a stream. The outer error is the outcome of a handshake without a stream.
#[expect(clippy::large_types_passed_by_value, reason = "each test makes one")]
pub(crate) async fn open(
    address: SocketAddr,
    opening: Opening<'_>,
) -> Result<Result<Client, FailureKind>, AttemptOutcome> {
    let wire = wire_to(address, opening.version, opening.tls);
    let is_socket = opening.settings.protocol == StreamProtocol::WebSocket;
    let offer = StreamOffer {
        key: *b"0123456789abcdef",
        subprotocols: opening.subprotocols,
        deflate: opening.deflate,
        grpc: None,
        service: ServiceId::new(0),
        user: 0,
    };
    let lines = if is_socket { handshake::request_lines(&offer) } else { String::new() };
    let request = format!("GET {} HTTP/1.1\r\nHost: {address}\r\n{lines}\r\n", opening.path);
    let takes_over = if is_socket { TakesOver::Upgrade } else { TakesOver::Body };
    let link = opening.link.map(|profile| Rc::new(EmulatedLink::new(profile)));
    let outgoing = Outgoing {
        service: ServiceId::new(0),
        bytes: request.as_bytes(),
        capture: &CaptureRequest { max_body: 1 << 20, takes_over, ..CaptureRequest::NOTHING },
        operation: None,
        idempotent: true,
        user: 0,
        link: link.as_ref(),
        number: 0,
        intended: RunOffset::from_ns(0),
    };
    let deadline = CallDeadline::new(Rc::new(Cell::new(false)));
    deadline.begin(clock::now() + LIMIT);
    let (mut slot, mut capture) = (wire.new_slot(), ResponseCapture::default());
    let exchange = exchange(&wire, &mut slot, (&outgoing, &deadline), &mut capture).await;
    if !capture.is_taken_over() {
        return Err(exchange.outcome);
    }
    // Over HTTP/2, the slot shares its connection with the stream.
    assert_eq!(slot.is_open(), opening.version == HttpVersion::Http2);
    let opened = wire.open_stream(&mut capture, &opening.settings, &offer);
    Ok(opened.map(|stream| Client { wire, stream, deadline }))
}

/// Runs one exchange on a slot.
pub(crate) async fn exchange(
    wire: &Wire,
    slot: &mut ConnectionSlot,
    (outgoing, deadline): (&Outgoing<'_>, &CallDeadline),
    capture: &mut ResponseCapture,
) -> Exchange {
    let mut exchange = Exchange::begun(clock::now());
    let context =
        &mut ExchangeContext { slot, outgoing, deadline, capture, exchange: &mut exchange };
    wire.exchange(context).await;
    exchange
}

impl Client {
    /// Waits for the end; returns it and all messages.
    pub(crate) async fn drain(&mut self) -> (StreamEnd, Vec<Received>) {
        let Self { wire, stream, deadline } = self;
        let mut messages = Vec::new();
        let end = poll_fn(|cx| {
            wire.poll_stream(stream.as_mut(), cx, &mut |_, message| messages.push(owned(message)))
        });
        (deadline.wait(end).await.expect("the stream hangs"), messages)
    }
}

pub(crate) fn owned(message: Message<'_>) -> Received {
    Received {
        kind: message.kind,
        payload: message.payload.to_vec(),
        event: message.event.map(str::to_owned),
        id: message.id.map(str::to_owned),
    }
}
