//! Tests of long requests, and of targets that do not read them to the end.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server, Then};
use crate::sums::answered;

/// More than the buffers of both sides hold.
const LONG: usize = 16 << 20;

fn post(server: &Server) -> Value {
    let words = ["-n", "2", "-c", "2", "--timeout", "500ms", "-m", "POST", "-b", "@body.bin"];
    Manada::hit(&server.url(), &words).file("body.bin", vec![b'x'; LONG]).go().measured()
}

fn errors(report: &Value) -> Vec<(String, String, u64)> {
    let errors = report["errors"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    errors
        .map(|error| (text(&error["phase"]), text(&error["kind"]), count(error, "count")))
        .collect()
}

#[test]
fn a_target_that_never_reads() {
    let (wait, done) = std::sync::mpsc::sync_channel::<()>(0);
    let done = std::sync::Mutex::new(done);
    // Ends with the test, which drops `wait`.
    let server = Server::start(move |_| {
        let _ = done.lock().unwrap().recv();
    });
    let report = post(&server);
    assert_eq!(errors(&report), [("send".into(), "timeout".into(), 2)], "{report}");
    assert_eq!(count(&report, "attempts.sent"), 0, "no last byte was handed over: {report}");
    assert!(count(&report, "bytes.sent") < 2 * LONG as u64, "{report}");
    drop(wait);
}

#[test]
fn target_responds_before_reading_the_request() {
    let server = Server::start(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 413 Too Long\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        // It reads on, so that no reset overtakes the response.
        peer.hold();
    });
    let report = post(&server);
    assert_eq!(count(&report, "status.413"), 2, "{report}");
    assert_eq!(count(&report, "calls.failed"), 2, "{report}");
    assert!(errors(&report).is_empty(), "an answer is no error: {report}");
}

#[test]
fn response_before_a_reset_counts() {
    // Closed with a half-read request, so the kernel resets; the earlier response counts.
    let server = Server::start(|peer| {
        peer.request();
        peer.send(b"HTTP/1.1 413 Too Long\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    });
    for _ in 0..5 {
        let report = post(&server);
        assert_eq!(count(&report, "status.413"), 2, "{report}");
        assert!(errors(&report).is_empty(), "{report}");
    }
}

#[test]
fn a_long_request_arrives_whole() {
    let server = Server::start(|peer| {
        while peer.request() {
            let mut left = LONG;
            let mut bytes = vec![0; 64 << 10];
            while left > 0 {
                match std::io::Read::read(&mut peer.stream, &mut bytes) {
                    Ok(read) if read > 0 => left -= read,
                    _ => return,
                }
            }
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let words = ["-n", "4", "-c", "2", "-m", "PUT", "-b", "@body.bin"];
    let hit = Manada::hit(&server.url(), &words).file("body.bin", vec![b'x'; LONG]);
    let report = hit.go().report(0);
    assert_eq!(count(&report, "calls.ok"), 4, "{report}");
    assert_eq!(count(&report, "attempts.sent"), 4, "{report}");
    assert!(count(&report, "bytes.sent") > 4 * LONG as u64, "{report}");
}

#[test]
fn target_that_accepts_no_connection() {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    // The kernel accepts one or two connections by itself; the rest waits in vain.
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let words = ["-n", "6", "-c", "6", "--timeout", "400ms"];
    let report = Manada::hit(&format!("http://{address}/"), &words).go().measured();
    assert_eq!(count(&report, "calls.timeout"), 6, "{report}");
    let errors = errors(&report);
    assert!(errors.iter().any(|(phase, ..)| phase == "connect"), "{report}");
    assert!(errors.iter().all(|(_, kind, _)| kind == "timeout"), "{report}");
    assert!(count(&report, "response_us.p50") >= 400_000, "{report}");
    assert_eq!(answered(&report), 0);
}

#[test]
fn response_to_head_has_no_body() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
    let server = Server::answering(*head, Then::Next);
    let words = ["-n", "6", "-c", "2", "-m", "HEAD", "--timeout", "5s"];
    let report = Manada::hit(&server.url(), &words).go().report(0);
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    assert_eq!(server.seen(), (2, 6), "connections are kept");
    assert_eq!(count(&report, "bytes.received"), 6 * head.len() as u64, "{report}");
}

#[test]
fn target_with_two_responses_to_one_request() {
    // The second response does not belong to the next request.
    let two =
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n";
    let server = Server::start(|peer: &mut Peer| while peer.request() && peer.send(two) {});
    let report = Manada::hit(&server.url(), &["-n", "8", "-c", "2"]).go().report(0);
    assert_eq!(count(&report, "calls.ok"), 8, "{report}");
    assert_eq!(count(&report, "status.200"), 8, "{report}");
    assert_eq!(server.seen(), (8, 8), "none is used twice");
}
