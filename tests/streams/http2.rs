//! Streams of events over HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use manada::clock;
use manada::plan::transport::HttpVersion;
use manada::stats::{AttemptOutcome, FailureKind};
use manada::wire::message_stream::{StreamEnd, StreamProtocol, StreamSettings};
use tokio::net::TcpListener;

use crate::client::{Opening, Received, SETTINGS, open, run};

/// Opens a stream at a server that responds by `respond`, and returns its end and its messages.
fn stream(
    respond: impl FnOnce(SendResponse<Bytes>) + 'static,
) -> Result<(StreamEnd, Vec<Received>), AttemptOutcome> {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::task::spawn_local(async move {
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let (_, response) = connection.accept().await.unwrap().unwrap();
            respond(response);
            // Drives the connection until the client closes it.
            while let Some(Ok(_)) = connection.accept().await {}
        });
        let settings = StreamSettings { protocol: StreamProtocol::Events, ..SETTINGS };
        let opening = Opening { settings, version: HttpVersion::Http2, ..Opening::PLAIN };
        let mut client = open(address, opening).await?.unwrap();
        let ended = client.drain().await;
        assert!(client.stream.take_traffic().received > 0);
        drop(client);
        server.await.unwrap();
        Ok(ended)
    })
}

/// Sends the head of a stream of events.
fn begin(mut response: SendResponse<Bytes>) -> SendStream<Bytes> {
    let head = http::Response::builder().header("content-type", "text/event-stream");
    response.send_response(head.body(()).unwrap(), false).unwrap()
}

#[test]
fn events_beyond_the_window_arrive_until_the_end_of_the_body() {
    // 1 MB, four times the window: it goes on only as it is read.
    let (end, messages) = stream(|response| {
        let mut body = begin(response);
        for number in 0..1_000 {
            let event = format!("id: {number}\ndata: {}\n\n", "x".repeat(1_000));
            body.send_data(event.into(), false).unwrap();
        }
        body.send_data(Bytes::new(), true).unwrap();
    })
    .unwrap();
    assert_eq!(end, StreamEnd { is_ours: false, code: None, failure: None });
    assert_eq!(messages.len(), 1_000);
    assert_eq!(messages[999].id.as_deref(), Some("999"));
}

#[test]
fn a_stream_that_is_reset_has_its_reason() {
    let (end, messages) = stream(|response| {
        let mut body = begin(response);
        body.send_data("data: 1\n\n".into(), false).unwrap();
        // Later: a reset overtakes what waits before it.
        tokio::task::spawn_local(async move {
            clock::sleep_until(clock::now() + Duration::from_millis(100)).await;
            body.send_reset(Reason::INTERNAL_ERROR);
        });
    })
    .unwrap();
    assert_eq!(end.failure, Some(FailureKind::Http2Internal));
    assert_eq!(messages.len(), 1);
}

#[test]
fn another_status_is_read_as_usual() {
    let refused = stream(|mut response| {
        let head = http::Response::builder().status(503).body(()).unwrap();
        response.send_response(head, true).unwrap();
    });
    assert_eq!(refused, Err(AttemptOutcome::Responded(503)));
}
