//! Streams of users with a slow emulated link.

use std::io::{Read, Write};
use std::time::Duration;

use manada::clock;
use manada::plan::transport::LinkProfile;
use manada::wire::message_stream::{Message, MessageKind, StreamEnd, StreamSettings};

use crate::client::{Opening, SETTINGS, open, run};
use crate::server::{RawServer, frames};

const LATENCY: Duration = Duration::from_millis(100);

/// A message of the target, and ours that answers it; then a close.
fn round_trip(link: LinkProfile, length: usize) -> Duration {
    let mut first = vec![0x82, 126];
    first.extend_from_slice(&(length as u16).to_be_bytes());
    first.extend_from_slice(&vec![7; length]);
    let server = RawServer::websocket("", *b"", move |mut stream| {
        stream.write_all(&first).unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(frames(&answer), [(0x81, b"ok".to_vec())]);
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
        let mut close = [0; 8];
        stream.read_exact(&mut close).unwrap();
        assert_eq!(frames(&close), [(0x88, b"\x03\xe8".to_vec())]);
    });
    let took = run(async {
        let settings = StreamSettings { close: Duration::from_secs(2), ..SETTINGS };
        let opening = Opening { link: Some(link), settings, ..Opening::PLAIN };
        let mut client = open(server.address, opening).await.unwrap().unwrap();
        let begun = clock::now();
        let (wire, stream) = (&client.wire, client.stream.as_mut());
        let mut has_answered = false;
        let end = std::future::poll_fn(|cx| {
            let mut received = 0;
            let polled = wire.poll_stream(stream, cx, &mut |_, message| {
                received += message.payload.len();
            });
            if received > 0 {
                assert_eq!(received, length);
                has_answered = true;
                let text = Message::new(MessageKind::Text, b"ok");
                assert!(stream.send(text));
                let _ = stream.poll_flush(cx);
            }
            polled
        });
        let end = client.deadline.wait(end).await.unwrap();
        assert_eq!(end, StreamEnd { is_ours: false, code: Some(1000), failure: None });
        assert!(has_answered);
        clock::now() - begun
    });
    server.join();
    took
}

#[test]
fn messages_take_the_latency_of_the_link_in_each_direction() {
    let took = round_trip(LinkProfile { latency: LATENCY, up: None, down: None }, 1_000);
    // The first message was under way when the stream was opened; our answer, the close, and the
    // answer to it take half the latency each.
    assert!(took >= 3 * LATENCY / 2 && took < 15 * LATENCY, "{took:?}");
}

#[test]
fn a_long_message_takes_the_time_of_the_bandwidth() {
    let link = LinkProfile { latency: Duration::ZERO, up: None, down: Some(100_000) };
    let took = round_trip(link, 40_000);
    assert!(took >= Duration::from_millis(350), "{took:?}");
}
