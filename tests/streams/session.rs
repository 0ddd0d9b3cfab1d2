//! Opens a session at a broker, as the engine does.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use manada::clock::{self, RunOffset};
use manada::ids::ServiceId;
use manada::plan::operation::Operation;
use manada::plan::transport::TransportConfig;
use manada::plan::{Address, Safety};
use manada::protocol::Protocol;
use manada::seed::Seed;
use manada::wire::message_stream::{StreamOffer, StreamSettings};
use manada::wire::{
    CallDeadline, CaptureRequest, Outgoing, ResponseCapture, ServiceEndpoint, Wire,
};

use super::client::{Client, exchange};

/// Opens a session whose request has these bytes.
pub async fn open(
    address: (Protocol, SocketAddr),
    operation: &Operation,
    bytes: &[u8],
    settings: &StreamSettings,
) -> Client {
    open_with(address, operation, bytes, settings, &TransportConfig::default()).await
}

/// As [`open`], with these settings of the service.
pub async fn open_with(
    (protocol, address): (Protocol, SocketAddr),
    operation: &Operation,
    bytes: &[u8],
    settings: &StreamSettings,
    transport: &TransportConfig,
) -> Client {
    let (host, port) = (address.ip().to_string(), address.port());
    let origin = Address { protocol, tls: false, host, port, prefix: String::new() };
    let safety = Arc::new(Safety::default());
    let endpoint = ServiceEndpoint::new(transport, &origin, Seed::ZERO, safety).unwrap();
    let wire = Wire::real(vec![endpoint]);
    let outgoing = Outgoing {
        service: ServiceId::new(0),
        bytes,
        capture: &CaptureRequest { max_body: 1 << 20, ..CaptureRequest::NOTHING },
        operation: Some(operation),
        idempotent: true,
        user: 0,
        link: None,
        number: 0,
        intended: RunOffset::from_ns(0),
    };
    let deadline = CallDeadline::new(Rc::new(Cell::new(false)));
    deadline.begin(clock::now() + Duration::from_secs(100));
    let (mut slot, mut capture) = (wire.new_slot(), ResponseCapture::default());
    exchange(&wire, &mut slot, (&outgoing, &deadline), &mut capture).await;
    let offer = StreamOffer {
        key: [0; 16],
        subprotocols: &[],
        deflate: false,
        grpc: None,
        service: ServiceId::new(0),
        user: 0,
    };
    let stream = wire.open_stream(&mut capture, settings, &offer).unwrap();
    Client { wire, stream, deadline }
}
