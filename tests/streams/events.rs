//! Streams of events and of lines, over HTTP/1.1, with all three ends of a body.

use std::io::Write;
use std::time::Duration;

use manada::stats::{AttemptOutcome, FailureKind};
use manada::wire::message_stream::{StreamEnd, StreamProtocol, StreamSettings};

use crate::client::{Opening, Received, SETTINGS, open, run};
use crate::server::{RawServer, read_to_end};

/// Opens a stream at a server that responds with `head` and `body`, in pieces of `size` bytes, and
/// closes. Returns its end, its messages, and the delay before connecting again.
fn stream(
    protocol: StreamProtocol,
    head: &'static str,
    body: impl Into<Vec<u8>>,
    size: usize,
) -> Result<(StreamEnd, Vec<Received>, Option<Duration>), FailureKind> {
    let body = body.into();
    let server = RawServer::start(move |mut stream, _| {
        let response = [head.as_bytes(), b"\r\n\r\n", &body].concat();
        // The client may refuse it before its end.
        let _ = response.chunks(size).try_for_each(|piece| stream.write_all(piece));
    });
    let streamed = run(async {
        let settings = StreamSettings { protocol, ..SETTINGS };
        let opening = Opening { settings, ..Opening::PLAIN };
        let mut client = open(server.address, opening).await.unwrap()?;
        let (end, messages) = client.drain().await;
        Ok((end, messages, client.stream.reconnect_delay()))
    });
    server.join();
    streamed
}

const OVER: StreamEnd = StreamEnd { is_ours: false, code: None, failure: None };

fn event(data: &str, event: Option<&str>, id: Option<&str>) -> Received {
    Received {
        kind: manada::wire::message_stream::MessageKind::Text,
        payload: data.as_bytes().to_vec(),
        event: event.map(str::to_owned),
        id: id.map(str::to_owned),
    }
}

#[test]
fn events_arrive_whatever_the_framing_of_the_body() {
    let events =
        "retry: 1500\n\n: hi\nid: 7\nevent: price\ndata: \u{20ac} 5\n\ndata: x\n\ndata: cut";
    let chunks: Vec<u8> = events
        .as_bytes()
        .chunks(9)
        .flat_map(|part| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    let length = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 68";
    assert_eq!(events.len(), 68);
    for (head, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8", events.into()),
        (length, events.as_bytes().to_vec()),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream\r\nTransfer-Encoding: chunked",
            chunks,
        ),
    ] {
        for size in [1, 10_000] {
            let (end, messages, delay) =
                stream(StreamProtocol::Events, head, body.clone(), size).unwrap();
            assert_eq!(end, OVER);
            assert_eq!(delay, Some(Duration::from_millis(1_500)));
            let price = event("\u{20ac} 5", Some("price"), Some("7"));
            assert_eq!(messages, [price, event("x", None, Some("7"))]);
        }
    }
}

#[test]
fn lines_arrive_with_the_last_one() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson";
    for size in [1, 1_000] {
        let (end, messages, _) =
            stream(StreamProtocol::Lines, head, "{\"a\":1}\r\n{}\n\nlast", size).unwrap();
        assert_eq!(end, OVER);
        let lines = [event("{\"a\":1}", None, None), event("{}", None, None)];
        assert_eq!(messages[..2], lines);
        assert_eq!(messages[2..], [event("last", None, None)]);
    }
}

#[test]
fn responses_that_are_no_streams_have_a_kind() {
    let open = |head, body: &str| stream(StreamProtocol::Events, head, body, 1_000);
    let html = "HTTP/1.1 200 OK\r\nContent-Type: text/html";
    assert_eq!(open(html, "<p>").err(), Some(FailureKind::NotEventStream));
    let coded = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip";
    assert_eq!(open(coded, "").err(), Some(FailureKind::EncodedStream));
    let cut = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked";
    let (end, messages, _) = open(cut, "9\r\ndata: 1\n\n\r\n9\r\ndata").unwrap();
    assert_eq!(end, StreamEnd { failure: Some(FailureKind::Closed), ..OVER });
    assert_eq!(messages, [event("1", None, None)]);
    let (end, _, _) = open(cut, "x\r\n").unwrap();
    assert_eq!(end.failure, Some(FailureKind::Malformed));
    let endless = "data: ".to_owned() + &"x".repeat(2 << 20);
    let plain = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream";
    let (end, _, _) = open(plain, &endless).unwrap();
    let ours = StreamEnd { is_ours: true, ..OVER };
    assert_eq!(end, StreamEnd { failure: Some(FailureKind::EventTooLarge), ..ours });
}

#[test]
fn other_statuses_are_read_as_usual_and_a_close_of_ours_ends_a_stream() {
    let settings = StreamSettings { protocol: StreamProtocol::Events, ..SETTINGS };
    let opening = Opening { settings, ..Opening::PLAIN };
    let server = RawServer::start(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy").unwrap();
        read_to_end(&stream);
    });
    let refused = run(async { open(server.address, opening).await.map(drop) });
    assert_eq!(refused, Err(AttemptOutcome::Responded(503)));
    server.join();
    let server = RawServer::start(|mut stream, _| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
        stream.write_all(head).unwrap();
        read_to_end(&stream);
    });
    let end = run(async {
        let mut client = open(server.address, opening).await.unwrap().unwrap();
        client.stream.close(1000, "");
        client.drain().await.0
    });
    assert_eq!(end, StreamEnd { is_ours: true, ..OVER });
    server.join();
}
