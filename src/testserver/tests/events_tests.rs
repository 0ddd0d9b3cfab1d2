//! Event streams from outside, read as raw bytes.

use super::websocket_tests::{check, time, wait_for};
use super::*;

/// Opens a stream; returns it and the head of the response.
fn listen(target: &Running, path: &str, headers: &str) -> (TcpStream, String) {
    let mut stream = target.connect();
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(read_byte(&mut stream));
    }
    (stream, String::from_utf8(head).unwrap())
}

fn read_byte(stream: &mut TcpStream) -> u8 {
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    byte[0]
}

/// Reads one chunk; empty at the end of the body.
fn read_chunk(stream: &mut TcpStream) -> String {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        line.push(char::from(read_byte(stream)));
    }
    let mut chunk = vec![0; usize::from_str_radix(line.trim_end(), 16).unwrap() + 2];
    stream.read_exact(&mut chunk).unwrap();
    assert!(chunk.ends_with(b"\r\n"));
    chunk.truncate(chunk.len() - 2);
    String::from_utf8(chunk).unwrap()
}

/// Publishes on a new connection; returns the number of subscribers.
fn publish(target: &Running, path: &str, body: &str) -> u64 {
    let mut stream = target.connect();
    stream.write_all(post(path, body).as_bytes()).unwrap();
    let (head, body) = read_response(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    serde_json::from_str::<Value>(&body).unwrap()["subscribers"].as_u64().unwrap()
}

#[test]
fn published_events_reach_all_listeners() {
    let target = Running::start(TestServerConfig { threads: 2, ..config() });
    assert_eq!(publish(&target, "/publish/news", "early"), 0);
    let (mut one, head) = listen(&target, "/sse/news", "");
    assert!(head.contains("\r\ncontent-type: text/event-stream\r\n"), "{head}");
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
    let (mut two, _) = listen(&target, "/sse/news?retry=50ms", "");
    let (mut other, _) = listen(&target, "/sse/other", "");
    assert_eq!(read_chunk(&mut one), "retry: 3000\n\n");
    assert_eq!(read_chunk(&mut two), "retry: 50\n\n");
    assert_eq!(read_chunk(&mut other), "retry: 3000\n\n");
    assert_eq!(publish(&target, "/publish/news?event=price", "a\nß"), 2);
    for stream in [&mut one, &mut two] {
        assert_eq!(read_chunk(stream), "id: 2\nevent: price\ndata: a\ndata: ß\n\n");
    }
    drop(one);
    // A client may read a message before the server has counted it.
    wait_for(&target, "/streams/sent", 2);
    let stats = wait_for(&target, "/streams/cancelled", 1);
    check(&stats, &[("open", 2), ("received", 2), ("sent", 2), ("closed/cancelled", 1)]);
    assert_eq!(publish(&target, "/publish/news?event=a%0ab", "last"), 1);
    assert_eq!(read_chunk(&mut two), "id: 3\ndata: last\n\n", "a name makes up no lines");
    target.stop();
}

#[test]
fn missed_events_are_replayed_and_a_counted_stream_ends() {
    let target = Running::start(config());
    for n in 1..=5 {
        publish(&target, "/publish/a", &format!("m{n}"));
    }
    let (mut stream, _) = listen(&target, "/sse/a?count=3", "last-event-id: 3\r\n");
    read_chunk(&mut stream);
    assert_eq!(read_chunk(&mut stream), "id: 4\ndata: m4\n\n");
    assert_eq!(read_chunk(&mut stream), "id: 5\ndata: m5\n\n");
    publish(&target, "/publish/a", "m6");
    assert_eq!(read_chunk(&mut stream), "id: 6\ndata: m6\n\n");
    assert_eq!(read_chunk(&mut stream), "", "the body ends after three events");
    // The connection goes on with the next request.
    stream.write_all(get("/n/1").as_bytes()).unwrap();
    assert_eq!(read_response(&mut stream).1, "{\"n\":\"1\"}");
    // A buffer of two events, and a replay that is longer than the stream.
    let (mut stream, _) = listen(&target, "/sse/a?buffer=2&count=1", "last-event-id: 0\r\n");
    read_chunk(&mut stream);
    assert_eq!(read_chunk(&mut stream), "id: 5\ndata: m5\n\n");
    assert_eq!(read_chunk(&mut stream), "");
    let stats = wait_for(&target, "/streams/closed/finished", 2);
    check(&stats, &[("open", 0), ("sent", 4), ("cancelled", 0)]);
    target.stop();
}

#[test]
fn framing_line_ends_and_pieces_follow_the_query() {
    let target = Running::start(config());
    for (query, end) in [("eol=cr", "\r"), ("eol=crlf&split=true", "\r\n"), ("split=true", "\n")] {
        for version in ["1.0", "1.1"] {
            let mut stream = target.connect();
            let path = format!("/sse/{end:?}{version}?{query}&framing=close&count=2");
            let path = path.replace(['\\', '"'], "");
            let request = format!("GET {path} HTTP/{version}\r\nhost: h\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            wait_for(&target, "/streams/open", 1);
            let channel = path.replace("/sse/", "/publish/");
            publish(&target, &channel, "größer\nals");
            publish(&target, &channel, "x");
            let response = rest(&mut stream);
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains("connection: close") && !head.contains("chunked"), "{head}");
            let body = body.replace(end, "|");
            let events = "id: 1|data: größer|data: als||id: 2|data: x||";
            assert_eq!(body, format!("retry: 3000||{events}"));
            wait_for(&target, "/streams/open", 0);
        }
    }
    // In pieces with chunks: no chunk is a whole line.
    let (mut stream, _) = listen(&target, "/sse/z?split=true&count=1", "");
    publish(&target, "/publish/z", "äöü");
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(char::from(read_byte(&mut stream)));
        }
        let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
        assert!(length <= 7);
        let mut chunk = vec![0; length + 2];
        stream.read_exact(&mut chunk).unwrap();
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            break;
        }
    }
    assert_eq!(String::from_utf8(body).unwrap(), "retry: 3000\n\nid: 1\ndata: äöü\n\n");
    target.stop();
}

#[test]
fn ticks_and_keep_alives_come_by_their_times() {
    let target = Running::start(config());
    let (mut stream, _) = listen(&target, "/sse/t?rate=200/s&size=80&count=40", "");
    let (mut beside, _) = listen(&target, "/sse/t?rate=200/s&size=80&count=10", "");
    read_chunk(&mut stream);
    let ticks: Vec<Value> = (0..40)
        .map(|_| {
            let text = read_chunk(&mut stream);
            assert!(text.contains("\nevent: tick\n"), "{text}");
            let data = text.split_once("data: ").unwrap().1.trim_end();
            assert_eq!(data.len(), 80);
            serde_json::from_str(data).unwrap()
        })
        .collect();
    let us = |at: usize| ticks[at]["us"].as_u64().unwrap();
    assert_eq!(us(39) - us(0), 39 * 5_000, "one timer for both listeners");
    assert_eq!(read_chunk(&mut stream), "");
    read_chunk(&mut beside);
    let (mut quiet, _) = listen(&target, "/sse/quiet?keep_alive=20ms", "");
    read_chunk(&mut quiet);
    assert_eq!(read_chunk(&mut quiet), ": keep-alive\n\n");
    assert_eq!(read_chunk(&mut quiet), ": keep-alive\n\n");
    target.stop();
}

#[test]
fn wrong_settings_are_refused() {
    let target = Running::start(config());
    let mut stream = target.connect();
    for (request, status, part) in [
        (get("/sse/a?eol=x"), 400, "`eol`: expected one of lf, cr, crlf"),
        (get("/sse/a?rate=fast"), 400, "`rate`"),
        ("PUT /sse/a HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(), 405, "allow: GET, POST"),
        (get("/publish/a"), 405, "allow: POST"),
        (post("/publish/a", &"x".repeat(70_000)), 413, ""),
    ] {
        stream.write_all(request.as_bytes()).unwrap();
        let (head, body) = read_response(&mut stream);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains(part) || body.contains(part), "{head}{body}");
    }
    check(&target.stats(), &[("opened", 0)]);
    target.stop();
}

#[test]
fn fan_out_of_posted_events_includes_the_latency_and_no_replay() {
    let ms = Duration::from_millis;
    let latency = Some(Distribution::constant(ms(20)));
    let target = Running::start(TestServerConfig { latency, ..config() });
    publish(&target, "/publish/f", "early");
    let (mut replayed, _) = listen(&target, "/sse/f", "last-event-id: 0\r\n");
    let (mut split, _) = listen(&target, "/sse/f?split=true&framing=close&count=1", "");
    let (mut ticks, _) = listen(&target, "/sse/t?rate=100/s&count=3&framing=close", "");
    for _ in 0..2 {
        read_chunk(&mut replayed);
    }
    check(&wait_for(&target, "/streams/sent", 1), &[("fan_out_us/count", 0)]);
    let begun = clock::now();
    assert_eq!(publish(&target, "/publish/f", "now"), 2);
    assert_eq!(read_chunk(&mut replayed), "id: 2\ndata: now\n\n");
    assert!(rest(&mut split).ends_with("data: now\n\n"));
    rest(&mut ticks);
    let stats = wait_for(&target, "/streams/sent", 1 + 2 + 3);
    check(&stats, &[("fan_out_us/count", 2)]);
    let max = time(&stats, "fan_out_us/max");
    assert!(time(&stats, "fan_out_us/p50") >= ms(20), "{stats}");
    assert!(max <= clock::now() - begun + Duration::from_micros(1), "{stats}");
    target.stop();
}
