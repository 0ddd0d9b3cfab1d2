//! Opens the stream that a response leaves behind, if the response is what its protocol demands.
//!
//! `Wire::open_stream` calls it.
//! Invariant: a stream that cannot be opened leaves no connection open but one of HTTP/2, which its
//! slot keeps.

use std::rc::Rc;

use crate::stats::FailureKind;
use crate::wire::body::response_capture::ResponseCapture;
use crate::wire::broker::amqp::queue_depths::QueueDepthsByService;
use crate::wire::broker::amqp::session::AmqpSession;
use crate::wire::broker::cluster_connector::ClusterConnector;
use crate::wire::broker::kafka::session::KafkaSession;
use crate::wire::broker::mqtt::session::MqttSession;
use crate::wire::broker::pubsub::postgres::PostgresDialect;
use crate::wire::broker::pubsub::redis::RedisDialect;
use crate::wire::broker::pubsub::session::PubSubSession;
use crate::wire::events::body::StreamedBody;
use crate::wire::events::stream::EventStream;
use crate::wire::http2::grpc_stream::GrpcStream;
use crate::wire::message_stream::{MessageStream, StreamOffer, StreamProtocol, StreamSettings};
use crate::wire::taken::{TakenConnection, TakenResponse};
use crate::wire::websocket::handshake;
use crate::wire::websocket::stream::WebSocketStream;

/// Opens the stream of the response that was taken over.
pub(in crate::wire) fn open(
    capture: &mut ResponseCapture,
    settings: &StreamSettings,
    offer: &StreamOffer<'_>,
    (cluster, queues): (Option<&Rc<ClusterConnector>>, &QueueDepthsByService),
) -> Result<Box<dyn MessageStream>, FailureKind> {
    let Some(TakenResponse { framing, early, connection, .. }) = capture.take_over() else {
        return Err(FailureKind::BadHandshake);
    };
    let max = settings.max_message;
    let body = match connection {
        Some(TakenConnection::Fake(stream)) => return Ok(Box::new(stream)),
        Some(TakenConnection::Http1(connection, count)) => {
            if let StreamProtocol::Mqtt(mqtt) = &settings.protocol {
                let connection = (connection, count);
                return Ok(Box::new(MqttSession::new(connection, early, mqtt, settings)));
            }
            if settings.protocol == StreamProtocol::Amqp {
                let connection = (connection, count);
                let depths = queues.of(offer.service);
                return Ok(Box::new(AmqpSession::new(connection, early, settings, depths)));
            }
            if let StreamProtocol::Kafka(kafka) = &settings.protocol {
                let cluster = cluster.ok_or(FailureKind::BadHandshake)?;
                let connector = cluster.of_session(offer.user, &connection);
                let first = (connection, count);
                return Ok(Box::new(KafkaSession::new(first, connector, kafka, settings)));
            }
            if settings.protocol == StreamProtocol::Redis {
                let dialect = RedisDialect::new(max);
                let connection = (connection, count);
                return Ok(Box::new(PubSubSession::new(dialect, connection, early, settings)));
            }
            if settings.protocol == StreamProtocol::Postgres {
                let dialect = PostgresDialect::default();
                let connection = (connection, count);
                return Ok(Box::new(PubSubSession::new(dialect, connection, early, settings)));
            }
            if settings.protocol == StreamProtocol::WebSocket {
                let deflate = handshake::verify(capture, offer)?;
                let connection = (connection, count);
                let stream = WebSocketStream::new(connection, early, settings, offer.key, deflate);
                return Ok(Box::new(stream));
            }
            StreamedBody::http1(connection, framing, early, count)
        }
        Some(TakenConnection::Grpc(connection, call)) => {
            let plan = offer.grpc.ok_or(FailureKind::BadHandshake)?;
            return Ok(Box::new(GrpcStream::new((connection, call), plan, settings)));
        }
        Some(TakenConnection::Http2(connection, body)) => StreamedBody::http2(connection, body),
        None => return Err(FailureKind::BadHandshake),
    };
    let coding = capture.header("content-encoding").unwrap_or_default();
    if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity") {
        return Err(FailureKind::EncodedStream);
    }
    match settings.protocol {
        StreamProtocol::Events if is_event_stream(capture) => {
            Ok(Box::new(EventStream::events(body, max)))
        }
        StreamProtocol::Events => Err(FailureKind::NotEventStream),
        StreamProtocol::Lines => Ok(Box::new(EventStream::lines(body, max))),
        StreamProtocol::WebSocket
        | StreamProtocol::Mqtt(_)
        | StreamProtocol::Amqp
        | StreamProtocol::Kafka(_)
        | StreamProtocol::Redis
        | StreamProtocol::Postgres
        | StreamProtocol::Grpc => Err(FailureKind::BadHandshake),
    }
}

/// Whether the response declares `text/event-stream`, with or without parameters.
fn is_event_stream(capture: &ResponseCapture) -> bool {
    let value = capture.header("content-type").unwrap_or_default();
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}
