//! WebSockets from outside: a client of tungstenite over a blocking socket, and raw bytes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket};

use super::*;

pub(super) type SocketClient = WebSocket<TcpStream>;

/// Opens a WebSocket; returns it and the head of the response.
pub(super) fn open_with(target: &Running, path: &str, headers: &str) -> (SocketClient, String) {
    let mut stream = target.connect();
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    (WebSocket::from_raw_socket(stream, Role::Client, None), head)
}

pub(super) fn open(target: &Running, path: &str) -> SocketClient {
    let (client, head) = open_with(target, path, "");
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    client
}

pub(super) fn read_text(client: &mut SocketClient) -> String {
    loop {
        match client.read().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Reads to the end; returns the messages and the close code.
pub(super) fn read_all(client: &mut SocketClient) -> (Vec<String>, Option<u16>) {
    let (mut messages, mut code) = (Vec::new(), None);
    loop {
        match client.read() {
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code.into()),
            Ok(message) => messages.push(message.into_text().unwrap().to_string()),
            Err(Error::ConnectionClosed | Error::AlreadyClosed) => return (messages, code),
            Err(error) => panic!("{error} after {messages:?}"),
        }
    }
}

/// Asks for the counts until one of them has this value.
pub(super) fn wait_for(target: &Running, place: &str, count: u64) -> Value {
    let begun = clock::now();
    loop {
        let stats = target.stats();
        if stats.pointer(place) == Some(&Value::from(count)) {
            return stats;
        }
        assert!(clock::now() - begun < Duration::from_secs(10), "{place} is not {count}: {stats}");
    }
}

pub(super) fn check(stats: &Value, counts: &[(&str, u64)]) {
    for (place, count) in counts {
        let seen = stats.pointer(&format!("/streams/{place}"));
        assert_eq!(seen, Some(&Value::from(*count)), "{place} in {stats}");
    }
}

#[test]
fn echo_returns_what_it_gets_and_closes_with_the_code() {
    let target = Running::start(config());
    let (mut client, head) =
        open_with(&target, "/ws/echo", "sec-websocket-protocol: x, chat.v1\r\n");
    assert!(head.contains("\r\nsec-websocket-protocol: chat.v1\r\n"), "{head}");
    for message in [
        Message::text("hällo"),
        Message::text(""),
        Message::binary(vec![0, 255, 7]),
        Message::binary(vec![7; 300_000]),
    ] {
        client.send(message.clone()).unwrap();
        assert_eq!(client.read().unwrap(), message);
    }
    client.send(Message::Ping("still there?".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("still there?".into()));
    client.close(Some(CloseFrame { code: 4_321.into(), reason: "".into() })).unwrap();
    assert_eq!(read_all(&mut client), (vec![], Some(4_321)));
    let stats = wait_for(&target, "/streams/closed/4321", 1);
    let counts = [("open", 0), ("opened", 1), ("received", 4), ("sent", 4), ("cut", 0)];
    check(&stats, &counts);
    assert_eq!(stats.pointer("/status/101"), Some(&Value::from(1)));
    assert_eq!(stats.pointer("/routes/~1ws~1echo"), Some(&Value::from(1)));
    target.stop();
}

/// The bytes after the head belong to the WebSocket; frames may be in any number of pieces.
#[test]
fn frames_behind_the_request_and_in_pieces_are_read() {
    let target = Running::start(config());
    let head = "GET /ws/echo HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
    // "Hel" and "lo" as two fragments with a ping between, masked with zeros; then a close.
    let frames = b"\x01\x83\0\0\0\0Hel\x89\x81\0\0\0\0p\x80\x82\0\0\0\0lo\x88\x82\0\0\0\0\x03\xe8";
    let all = [head.as_bytes(), frames].concat();
    for step in [1, 5, 1_000] {
        let mut stream = target.connect();
        stream.set_nodelay(true).unwrap();
        for piece in all.chunks(step) {
            stream.write_all(piece).unwrap();
        }
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let at = response.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let answer = &response[at..];
        assert_eq!(answer.len(), 3 + 7 + 4, "{answer:?}");
        assert!(answer.windows(7).any(|w| w == b"\x81\x05Hello"), "{answer:?}");
        assert!(answer.windows(3).any(|w| w == b"\x8a\x01p"), "{answer:?}");
        assert!(answer.ends_with(b"\x88\x02\x03\xe8"), "{answer:?}");
    }
    target.stop();
}

#[test]
fn invalid_frames_close_with_the_code_of_the_standard() {
    let target = Running::start(config());
    for (frame, code) in [
        // Not masked, a reserved bit, invalid UTF-8, a frame of 2^62 bytes.
        (&b"\x81\x01a"[..], 1002),
        (b"\xc1\x81\0\0\0\0a", 1002),
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),
        (b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 1009),
    ] {
        let mut client = open(&target, "/ws/echo");
        client.get_mut().write_all(frame).unwrap();
        assert_eq!(read_all(&mut client).1, Some(code), "{frame:?}");
        drop(client);
        wait_for(&target, "/streams/open", 0);
    }
    check(&target.stats(), &[("closed/1002", 2), ("closed/1007", 1), ("closed/1009", 1)]);
    drop(open(&target, "/ws/echo"));
    wait_for(&target, "/streams/closed/1006", 1);
    target.stop();
}

#[test]
fn channel_reaches_all_members_in_one_order() {
    let target = Running::start(TestServerConfig { threads: 2, ..config() });
    let mut members: Vec<SocketClient> = (0..4).map(|_| open(&target, "/ws/channel/a")).collect();
    let mut quiet = open(&target, "/ws/channel/a?echo=false");
    let mut other = open(&target, "/ws/channel/b");
    wait_for(&target, "/streams/open", 6);
    for n in 0..50 {
        members[n % 4].send(Message::text(format!("m{n}"))).unwrap();
        quiet.send(Message::binary(vec![n as u8])).unwrap();
    }
    let seen: Vec<Vec<Message>> = members
        .iter_mut()
        .map(|member| (0..100).map(|_| member.read().unwrap()).collect())
        .collect();
    assert!(seen.iter().all(|messages| *messages == seen[0]), "one order for all");
    let texts = |messages: &[Message]| messages.iter().filter(|m| m.is_text()).count();
    assert_eq!(texts(&seen[0]), 50);
    let quiet: Vec<Message> = (0..50).map(|_| quiet.read().unwrap()).collect();
    assert_eq!(texts(&quiet), 50, "its own messages do not come back");
    other.send(Message::text("alone")).unwrap();
    assert_eq!(read_text(&mut other), "alone");
    let sent = 4 * 100 + 50 + 1;
    let stats = wait_for(&target, "/streams/sent", sent);
    check(&stats, &[("received", 101), ("overflowed", 0), ("peak", 6)]);
    target.stop();
}

#[test]
fn faults_of_messages_are_counted_exactly() {
    let target = Running::start(config());
    let mut client = open(&target, "/ws/echo?drop=10%&duplicate=10%&reorder=10%");
    for n in 0..1_000 {
        client.write(Message::text(format!("{n:03}"))).unwrap();
    }
    client.flush().unwrap();
    // All are on their way; the close comes behind them, and behind a held last one.
    wait_for(&target, "/streams/received", 1_000);
    let stats = target.stats();
    let count = |name: &str| stats.pointer(&format!("/streams/{name}")).unwrap().as_u64().unwrap();
    let (dropped, duplicated) = (count("dropped"), count("duplicated"));
    wait_for(&target, "/streams/sent", 1_000 - dropped + duplicated);
    client.close(None).unwrap();
    let (seen, _) = read_all(&mut client);
    assert_eq!(seen.len() as u64, 1_000 - dropped + duplicated);
    let steps_back = seen.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
    assert_eq!(steps_back, count("reordered"));
    assert_eq!(seen.windows(2).filter(|pair| pair[1] == pair[0]).count() as u64, duplicated);
    assert!(dropped > 50 && duplicated > 50 && steps_back > 30, "{stats}");
    wait_for(&target, "/streams/closed/1005", 1);
    target.stop();
}

#[test]
fn delay_limit_and_close_follow_the_query() {
    let target = Running::start(config());
    let mut client = open(&target, "/ws/echo?delay=50ms");
    let begun = clock::now();
    for _ in 0..3 {
        client.send(Message::text("x")).unwrap();
    }
    for _ in 0..3 {
        read_text(&mut client);
    }
    let took = clock::now() - begun;
    assert!((50..1_000).contains(&took.as_millis()), "{took:?}");
    // Messages of a client that leaves are cut.
    client.send(Message::text("x")).unwrap();
    client.close(None).unwrap();
    wait_for(&target, "/streams/cut", 1);

    let mut client = open(&target, "/ws/echo?rate=5/s");
    for n in 0..8 {
        client.send(Message::text(n.to_string())).unwrap();
    }
    let seen: Vec<String> = (0..8).map(|_| read_text(&mut client)).collect();
    let errors = seen.iter().filter(|text| text.contains("\"rate_limited\"")).count();
    assert!((2..=3).contains(&errors), "{seen:?}");
    wait_for(&target, "/streams/rate_limited", errors as u64);

    let mut client = open(&target, "/ws/echo?close_after=3&code=4001");
    for n in 0..5 {
        client.send(Message::text(n.to_string())).unwrap();
    }
    let expect = ["0", "1", "2"].map(str::to_owned).to_vec();
    assert_eq!(read_all(&mut client), (expect, Some(4_001)));
    wait_for(&target, "/streams/closed/4001", 1);
    target.stop();
}

#[test]
fn silent_socket_answers_nothing() {
    let target = Running::start(config());
    let mut client = open(&target, "/ws/echo?silent=true");
    client.send(Message::Ping("x".into())).unwrap();
    client.send(Message::text("x")).unwrap();
    client.close(None).unwrap();
    client.get_mut().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(matches!(client.read(), Err(Error::Io(_))));
    check(&target.stats(), &[("open", 1), ("received", 0), ("sent", 0)]);
    drop(client);
    wait_for(&target, "/streams/closed/1006", 1);
    target.stop();
}

#[test]
fn ticks_come_at_their_rate_to_all_listeners() {
    let target = Running::start(TestServerConfig { threads: 2, ..config() });
    let mut listeners: Vec<SocketClient> =
        (0..4).map(|_| open(&target, "/ws/events?rate=400/s&size=100&batch=4")).collect();
    let mut last = 0;
    for client in &mut listeners {
        let ticks: Vec<Value> =
            (0..80).map(|_| serde_json::from_str(&read_text(client)).unwrap()).collect();
        let numbers: Vec<u64> = ticks.iter().map(|tick| tick["n"].as_u64().unwrap()).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
        // 20 batches of 4 at 100 per second.
        let times: Vec<u64> = ticks.iter().map(|tick| tick["us"].as_u64().unwrap()).collect();
        assert_eq!(times[79] - times[0], 190_000);
        let late = clock::now().0 / 1_000 - times[79];
        assert!(late < 5_000_000, "{late}");
        last = times[79].max(last);
        // A ping is answered between two messages.
        client.send(Message::Ping("p".into())).unwrap();
        while client.read().unwrap() != Message::Pong("p".into()) {}
    }
    assert!(last > 0);
    for mut client in listeners {
        client.close(None).unwrap();
        read_all(&mut client);
    }
    let stats = wait_for(&target, "/streams/closed/1005", 4);
    check(&stats, &[("open", 0), ("skipped", 0), ("overflowed", 0)]);
    target.stop();
}

#[test]
fn requests_without_upgrade_are_refused() {
    let target = Running::start(config());
    let mut stream = target.connect();
    for (request, status) in [(get("/ws/echo"), 426), (post("/ws/echo", ""), 405)] {
        stream.write_all(request.as_bytes()).unwrap();
        let (head, _) = read_response(&mut stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    let (_, head) = open_with(&target, "/ws/channel/a?drop=2", "");
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let fail = vec!["100%:503".parse().unwrap()];
    target.stop();
    let target = Running::start(TestServerConfig { fail, ..config() });
    assert!(open_with(&target, "/ws/echo", "").1.starts_with("HTTP/1.1 503 "));
    check(&target.stats(), &[("opened", 0)]);
    target.stop();
}

/// A count of `/streams` in µs, as a time.
pub(super) fn time(stats: &Value, place: &str) -> Duration {
    let us = stats.pointer(&format!("/streams/{place}")).unwrap().as_u64().unwrap();
    Duration::from_micros(us)
}

/// The server's own times are compared with bounds that hold on a machine of any speed.
#[test]
fn fan_out_is_the_time_from_receipt_to_the_write_for_each_member() {
    let target = Running::start(TestServerConfig { threads: 2, ..config() });
    let mut members: Vec<SocketClient> = (0..3).map(|_| open(&target, "/ws/channel/a")).collect();
    let mut quiet = open(&target, "/ws/channel/a?echo=false&delay=50ms");
    let mut echo = open(&target, "/ws/echo");
    wait_for(&target, "/streams/open", 5);
    let begun = clock::now();
    quiet.send(Message::text("late")).unwrap();
    for member in &mut members {
        assert_eq!(read_text(member), "late");
    }
    let stats = wait_for(&target, "/streams/fan_out_us/count", 3);
    let (median, max) = (time(&stats, "fan_out_us/p50"), time(&stats, "fan_out_us/max"));
    assert!(median >= Duration::from_millis(50) && median <= max, "{stats}");
    assert!(max <= clock::now() - begun + Duration::from_micros(1), "{stats}");
    // Without a delay, a message has the time of its own; four members write it.
    for _ in 0..4 {
        members[0].send(Message::text("now")).unwrap();
        members.iter_mut().chain([&mut quiet]).for_each(|member| drop(read_text(member)));
    }
    // An echo is not of a channel.
    echo.send(Message::text("x")).unwrap();
    read_text(&mut echo);
    let stats = wait_for(&target, "/streams/sent", 3 + 4 * 4 + 1);
    check(&stats, &[("fan_out_us/count", 3 + 4 * 4)]);
    assert!(time(&stats, "fan_out_us/p99") >= Duration::from_millis(50), "{stats}");
    target.stop();
}
