//! The handshake of a stream: what its request asks for, and what its response opens.
//!
//! `stamping` and `attempt` call it.
//! Invariant: a handshake that the protocol refuses is a failed call, and its connection is closed.

use crate::engine::call::prepared::PreparedCall;
use crate::engine::call::request::{split_line, target_of};
use crate::engine::shard::Shard;
use crate::engine::streams::connected_stream::ConnectedStream;
use crate::engine::users::user::User;
use crate::plan::operation::Operation;
use crate::plan::stream::{CLOSE_WAIT, OpenStream, StreamAct, StreamForm};
use crate::protocol::status;
use crate::stats::sample::BackendNumber;
use crate::stats::{AttemptOutcome, AttemptPhase, Exchange, FailureKind};
use crate::wire::ResponseCapture;
use crate::wire::message_stream::{StreamOffer, StreamProtocol, StreamSettings};
use crate::wire::websocket::handshake;

/// The request of a handshake: as rendered, with what opens a stream.
#[cold]
pub(super) fn add_handshake(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    bytes: &[u8],
) -> Vec<u8> {
    let Some(open) = opened_by(prepared) else { return bytes.to_vec() };
    if open.form.is_broker() {
        // Its channels have the names of destinations.
        user.extras().streams.opened_path = String::new();
        return bytes.to_vec();
    }
    let head = memchr::memmem::find(bytes, b"\r\n\r\n").map_or(bytes.len(), |end| end + 2);
    let mut request = bytes[..head].to_vec();
    let path = path_of(shard, prepared, bytes);
    let user_number = user.number;
    let streams = &mut user.extras().streams;
    streams.opened_path = path;
    match open.form {
        StreamForm::WebSocket => {
            streams.key = rand::random();
            let offer = offer(shard, prepared, open, (streams.key, user_number));
            request.extend_from_slice(handshake::request_lines(&offer).as_bytes());
        }
        StreamForm::Events | StreamForm::Lines => {
            if let Some(id) = streams.resume_from.take() {
                request.extend_from_slice(format!("Last-Event-ID: {id}\r\n").as_bytes());
            }
        }
        // Sessions at brokers have no head.
        _ => {}
    }
    request.extend_from_slice(&bytes[head..]);
    request
}

/// Takes the connection of a handshake over; its exchange fails if the protocol refuses it.
#[cold]
pub(super) fn take_over(
    shard: &Shard,
    user: &mut User,
    prepared: &PreparedCall,
    (exchange, capture): (&mut Exchange, &mut ResponseCapture),
) {
    let Some(open) = opened_by(prepared) else { return };
    // A call of gRPC is taken over before it has a status.
    let status = match exchange.outcome {
        AttemptOutcome::Responded(status) => status,
        AttemptOutcome::Done if capture.is_taken_over() => 0,
        _ => return,
    };
    let refused = if capture.is_taken_over() {
        let key = user.extras().streams.key;
        let offer = offer(shard, prepared, open, (key, user.number));
        match shard.wire.open_stream(capture, &settings(shard, prepared, open), &offer) {
            Ok(stream) => {
                let (service, backend) =
                    (prepared.call.service, exchange.backend.map(BackendNumber::place));
                let connection = ConnectedStream::new(stream, &shard.shared, service, backend);
                user.extras().streams.opened = Some(connection);
                return;
            }
            Err(kind) => kind,
        }
    } else if !status::is_error(status) {
        // No stream, though the status by itself is not an error.
        FailureKind::NotAStream
    } else {
        return;
    };
    exchange.outcome = AttemptOutcome::of_failure(AttemptPhase::FirstByte, refused);
    shard.recorder.borrow_mut().record_error(exchange.outcome);
}

/// What a call opens; `None` if it opens no stream.
fn opened_by(prepared: &PreparedCall) -> Option<&OpenStream> {
    match &prepared.call.stream.as_ref()?.act {
        StreamAct::Open(open) => Some(open),
        _ => None,
    }
}

fn offer<'a>(
    shard: &Shard,
    prepared: &'a PreparedCall,
    open: &'a OpenStream,
    (key, user): ([u8; 16], u64),
) -> StreamOffer<'a> {
    let deflate = shard.plan.services[prepared.call.service].ws.deflate;
    let grpc = prepared.call.operation.as_deref().and_then(Operation::as_grpc);
    let service = prepared.call.service;
    StreamOffer { key, subprotocols: &open.subprotocols, deflate, grpc, service, user }
}

fn settings(shard: &Shard, prepared: &PreparedCall, open: &OpenStream) -> StreamSettings {
    let ws = &shard.plan.services[prepared.call.service].ws;
    StreamSettings {
        protocol: match open.form {
            StreamForm::WebSocket => StreamProtocol::WebSocket,
            StreamForm::Events => StreamProtocol::Events,
            StreamForm::Lines => StreamProtocol::Lines,
            StreamForm::Mqtt(settings) => StreamProtocol::Mqtt(settings),
            StreamForm::Amqp => StreamProtocol::Amqp,
            StreamForm::Kafka(settings) => StreamProtocol::Kafka(settings),
            StreamForm::Redis => StreamProtocol::Redis,
            StreamForm::Postgres => StreamProtocol::Postgres,
            StreamForm::Grpc(_) => StreamProtocol::Grpc,
        },
        max_message: match open.form {
            StreamForm::Grpc(max) => max,
            _ => ws.max_message,
        },
        ping: ws.ping,
        pong: ws.pong,
        close: CLOSE_WAIT,
    }
}

/// Service and path of a rendered request: the default name of a channel.
pub(crate) fn path_of(shard: &Shard, prepared: &PreparedCall, bytes: &[u8]) -> String {
    let target = split_line(bytes).and_then(|(line, _)| target_of(line)).unwrap_or("/");
    format!("{} {target}", shard.plan.services[prepared.call.service].name)
}
