//! Limits of connections from outside.

use super::websocket_tests::{SocketClient, check, open, open_with, read_all, wait_for};
use super::*;

/// A stream from this last number of a loopback address; returns it and the head of the response.
fn listen_from(target: &Running, last: u8) -> (TcpStream, String) {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
    socket.connect(&target.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(get("/sse/a").as_bytes()).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn streams_beyond_the_limits_are_refused() {
    let limits = ConnectionLimits { total: Some(3), per_address: Some(2), for_requests: false };
    let target = Running::start(TestServerConfig { limits, threads: 2, ..config() });
    let mut first: SocketClient = open(&target, "/ws/echo");
    let (second, head) = listen_from(&target, 1);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (_, head) = open_with(&target, "/ws/echo", "");
    assert!(head.starts_with("HTTP/1.1 429 ") && head.contains("\r\nretry-after: 1\r\n"), "{head}");
    let (_third, head) = listen_from(&target, 2);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let (_, head) = listen_from(&target, 3);
    assert!(head.starts_with("HTTP/1.1 503 ") && head.contains("\r\nretry-after: 1\r\n"), "{head}");
    // Other requests are not limited.
    assert!(target.ask("GET /n/1 HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
    check(&target.stats(), &[("refused_address", 1), ("refused_total", 1), ("open", 3)]);
    // What ends makes room.
    first.close(None).unwrap();
    read_all(&mut first);
    drop(second);
    wait_for(&target, "/streams/open", 1);
    wait_for(&target, "/connections/open", 2);
    open(&target, "/ws/echo");
    let (_, head) = listen_from(&target, 3);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    target.stop();
}

#[test]
fn limits_hold_for_every_request_if_they_are_to() {
    let limits = ConnectionLimits { total: None, per_address: Some(1), for_requests: true };
    let target = Running::start(TestServerConfig { limits, ..config() });
    let (mut one, mut two) = (target.connect(), target.connect());
    for (is_first, status) in [(true, 200), (false, 429), (true, 200)] {
        let stream = if is_first { &mut one } else { &mut two };
        stream.write_all(get("/n/1").as_bytes()).unwrap();
        let head = read_response(stream).0;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    drop(one);
    wait_for(&target, "/connections/open", 2);
    two.write_all(get("/n/1").as_bytes()).unwrap();
    assert!(read_response(&mut two).0.starts_with("HTTP/1.1 200 "));
    target.stop();
}
