//! Hostile and half-dead WebSocket servers: each has a failure kind, bounded memory, and no way to
//! make a stream hang.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use manada::clock;
use manada::stats::FailureKind;
use manada::wire::message_stream::{Message, MessageKind, StreamEnd, StreamSettings};

use crate::client::{Opening, SETTINGS, open, run};
use crate::server::{RawServer, frames, header, read_to_end};

/// Maximum duration of an end that depends on deadlines of 300 ms at most.
const SOON: Duration = Duration::from_secs(5);

fn failed(code: u16, kind: FailureKind) -> StreamEnd {
    StreamEnd { is_ours: true, code: Some(code), failure: Some(kind) }
}

/// The end of a stream at a server that sends `bytes` with its handshake, then runs `script`, and
/// how long it took.
fn end_at(
    bytes: impl Into<Vec<u8>>,
    settings: StreamSettings,
    script: impl FnOnce(TcpStream) + Send + 'static,
) -> (StreamEnd, Duration) {
    let server = RawServer::websocket("", bytes, script);
    let (end, took) = run(async {
        let mut client =
            open(server.address, Opening { settings, ..Opening::PLAIN }).await.unwrap().unwrap();
        let begun = clock::now();
        let (end, _) = client.drain().await;
        (end, clock::now() - begun)
    });
    assert!(took < SOON, "{took:?}");
    server.join();
    (end, took)
}

#[test]
fn a_handshake_that_is_none_opens_no_stream() {
    for (head, expected) in [
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            Ok(Err(FailureKind::BadHandshake)),
        ),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", Ok(Err(FailureKind::BadHandshake))),
        (
            "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
            Err(manada::stats::AttemptOutcome::Responded(426)),
        ),
    ] {
        let server = RawServer::start(move |mut stream, request| {
            assert_eq!(header(&request, "Sec-WebSocket-Version"), "13");
            stream.write_all(head.as_bytes()).unwrap();
            assert_eq!(read_to_end(&stream), b"", "the client closes");
        });
        let opened = run(async { open(server.address, Opening::PLAIN).await });
        assert_eq!(opened.map(|opened| opened.map(drop)), expected);
        server.join();
    }
}

#[test]
fn frames_that_break_a_rule_end_the_stream_with_a_close_that_says_so() {
    for (bytes, code, kind) in [
        (&b"\x83\x00"[..], 1002_u16, FailureKind::BadFrame),
        (b"\xc1\x01a", 1002, FailureKind::BadFrame),
        (b"\x81\x81abcde", 1002, FailureKind::BadFrame),
        (b"\x81\x02\xc3\x28", 1007, FailureKind::InvalidUtf8),
        // 10 GB, announced.
        (b"\x82\x7f\0\0\0\x02\x54\x0b\xe4\0", 1009, FailureKind::MessageTooLarge),
    ] {
        let (end, _) = end_at(bytes, SETTINGS, move |stream| {
            let sent = frames(&read_to_end(&stream));
            let [(0x88, close)] = &sent[..] else { panic!("{sent:?}") };
            assert_eq!(close[..2], code.to_be_bytes());
        });
        assert_eq!(end, failed(code, kind), "{bytes:x?}");
    }
}

#[test]
fn a_flood_after_the_failure_is_read_for_a_second_at_most() {
    let (end, _) = end_at(*b"\x82\x7f\0\0\0\x02\x54\x0b\xe4\0", SETTINGS, |mut stream| {
        let piece = vec![0; 1 << 16];
        while stream.write_all(&piece).is_ok() {}
    });
    assert_eq!(end, failed(1009, FailureKind::MessageTooLarge));
}

#[test]
fn a_million_fragments_are_too_many() {
    let (end, _) = end_at(*b"\x01\x00", SETTINGS, |mut stream| {
        let piece = [0, 0].repeat(10_000);
        // The client closes before the last ones.
        let _ = (0..100).try_for_each(|_| stream.write_all(&piece));
        read_to_end(&stream);
    });
    assert_eq!(end, failed(1008, FailureKind::TooManyFragments));
}

#[test]
fn a_target_that_does_not_answer_pings_or_closes_has_a_deadline() {
    let alive = StreamSettings { ping: Some(Duration::from_millis(50)), ..SETTINGS };
    let (end, took) = end_at(*b"", alive, |stream| {
        assert_eq!(frames(&read_to_end(&stream)), [(0x89, vec![])], "one ping");
    });
    assert_eq!(end, failed(1006, FailureKind::NoPong));
    assert!(took >= Duration::from_millis(150), "{took:?}");

    let server = RawServer::websocket("", *b"", |stream| {
        assert_eq!(frames(&read_to_end(&stream)), [(0x88, b"\x0f\xa0bye".to_vec())]);
    });
    let (end, took) = run(async {
        let mut client = open(server.address, Opening::PLAIN).await.unwrap().unwrap();
        let begun = clock::now();
        client.stream.close(4000, "bye");
        let text = Message::new(MessageKind::Text, b"x");
        assert!(!client.stream.send(text), "nothing follows a close");
        (client.drain().await.0, clock::now() - begun)
    });
    assert_eq!(end, failed(1006, FailureKind::NoClose));
    assert!(took >= SETTINGS.close && took < SOON, "{took:?}");
    server.join();
}

#[test]
fn pongs_keep_a_silent_stream_alive() {
    let alive = StreamSettings { ping: Some(Duration::from_millis(30)), ..SETTINGS };
    let (end, took) = end_at(*b"", alive, |mut stream| {
        for _ in 0..5 {
            let mut ping = [0; 6];
            std::io::Read::read_exact(&mut stream, &mut ping).unwrap();
            assert_eq!(ping[..2], [0x89, 0x80]);
            stream.write_all(b"\x8a\x00").unwrap();
        }
    });
    let lost =
        StreamEnd { is_ours: false, code: Some(1006), failure: Some(FailureKind::AbnormalClose) };
    assert_eq!(end, lost);
    assert!(took >= Duration::from_millis(150), "{took:?}");
}

#[test]
fn closes_have_their_code_and_are_answered() {
    for (bytes, code, answer) in
        [(&b"\x88\x02\x0f\xa1"[..], 4001, &b"\x0f\xa1"[..]), (b"\x88\x00", 1005, b"")]
    {
        let (end, _) = end_at(bytes, SETTINGS, move |stream| {
            assert_eq!(frames(&read_to_end(&stream)), [(0x88, answer.to_vec())]);
        });
        assert_eq!(end, StreamEnd { is_ours: false, code: Some(code), failure: None });
    }
    let server = RawServer::websocket("", *b"\x81\x02hi", |mut stream| {
        let mut close = [0; 8];
        std::io::Read::read_exact(&mut stream, &mut close).unwrap();
        // What was sent before the answer still arrives.
        stream.write_all(b"\x81\x04late\x88\x02\x03\xe8").unwrap();
    });
    let (end, messages) = run(async {
        let mut client = open(server.address, Opening::PLAIN).await.unwrap().unwrap();
        client.stream.close(1000, "");
        client.drain().await
    });
    assert_eq!(end, StreamEnd { is_ours: true, code: Some(1000), failure: None });
    let texts: Vec<&[u8]> = messages.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(texts, [&b"hi"[..], b"late"]);
    server.join();
}

#[test]
fn a_flood_of_pings_to_which_nothing_is_read_is_bounded() {
    let (end, _) = end_at(*b"", SETTINGS, |mut stream| {
        let pings = [&[0x89, 125][..], &[b'p'; 125]].concat().repeat(1_000);
        // 40 MB of pings, more than the buffers of both kernels; no pong is read.
        for _ in 0..320 {
            stream.write_all(&pings).unwrap();
        }
        stream.write_all(b"\x88\x02\x03\xe8").unwrap();
    });
    // The server ends with unread bytes, which resets the connection before or after its close.
    assert!(!end.is_ours, "{end:?}");
}

#[test]
fn a_bomb_is_cut_at_the_limit() {
    let mut bomb = Vec::with_capacity(1 << 20);
    let mut compress = Compress::new(Compression::best(), false);
    let zeros = vec![0; 100 << 20];
    compress.compress_vec(&zeros, &mut bomb, FlushCompress::Sync).unwrap();
    assert!((65_536..200_000).contains(&bomb.len()), "{}", bomb.len());
    let mut frame = [&[0xc2, 127][..], &(bomb.len() as u64 - 4).to_be_bytes()].concat();
    frame.extend_from_slice(&bomb[..bomb.len() - 4]);
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let server = RawServer::websocket(extension, frame, |stream| drop(read_to_end(&stream)));
    let end = run(async {
        let opening = Opening { deflate: true, ..Opening::PLAIN };
        open(server.address, opening).await.unwrap().unwrap().drain().await.0
    });
    assert_eq!(end, failed(1009, FailureKind::MessageTooLarge));
    server.join();
}

#[test]
fn a_connection_of_a_stream_counts_as_open_until_the_stream_is_dropped() {
    let server = RawServer::websocket("", *b"", |stream| drop(read_to_end(&stream)));
    run(async {
        let client = open(server.address, Opening::PLAIN).await.unwrap().unwrap();
        assert_eq!((client.wire.take_peak(), client.wire.take_peak()), (1, 1));
        drop(client.stream);
        assert_eq!((client.wire.take_peak(), client.wire.take_peak()), (1, 0));
    });
    server.join();
}
