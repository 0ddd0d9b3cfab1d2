//! Tests of kept connections that the target closed: discarded while idle, or the request is sent
//! again once.

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Runs one user that calls three times on one connection, if possible, with a pause between.
fn thrice(server: &Server, method: &str, think: &str) -> Value {
    let url = format!("http://{}", server.address());
    let scenario = format!(
        "scenario: stale\nservices: {{ it: \"{url}\" }}\nworkloads:\n  w:\n    users: 1\n    \
         iterations: 1\n    flow:\n      - {{ {method}: /a, think: {think} }}\n      \
         - {{ {method}: /b, think: {think} }}\n      - {{ {method}: /c }}\n"
    );
    Manada::run(&scenario, &["--seed", "1"]).go().report(0)
}

fn counts(report: &Value) -> [u64; 6] {
    let paths = ["calls.made", "calls.ok", "calls.failed", "connections.opened"];
    let [made, ok, failed, opened] = paths.map(|path| count(report, path));
    [made, ok, failed, opened, count(report, "attempts.stale_resends"), count(report, "bytes.sent")]
}

/// Responds to one request, then closes as soon as the next one has arrived.
fn closes_on_the_second(peer: &mut Peer) {
    if peer.request() && peer.send(OK) {
        peer.request();
    }
}

#[test]
fn close_while_idle_costs_no_call() {
    let server = Server::start(|peer| assert!(!peer.request() || peer.send(OK)));
    for method in ["get", "post"] {
        let [made, ok, failed, opened, resends, _] = counts(&thrice(&server, method, "300ms"));
        assert_eq!([made, ok, failed, opened, resends], [3, 3, 0, 3, 0], "{method}");
    }
    assert_eq!(server.seen(), (6, 6));
}

#[test]
fn bytes_while_idle_close_the_connection() {
    let server = Server::start(|peer| {
        if peer.request() && peer.send(OK) {
            peer.send(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
            peer.hold();
        }
    });
    let [made, ok, failed, opened, resends, _] = counts(&thrice(&server, "get", "300ms"));
    assert_eq!([made, ok, failed, opened, resends], [3, 3, 0, 3, 0]);
}

#[test]
fn an_old_idle_connection_that_closes_on_a_request_is_sent_again_once() {
    let server = Server::start(closes_on_the_second);
    let report = thrice(&server, "get", "1100ms");
    // a on the first; b there, then on the second; c there, then on the third.
    let [made, ok, failed, opened, resends, bytes] = counts(&report);
    assert_eq!([made, ok, failed, opened, resends], [3, 3, 0, 3, 2], "{report}");
    assert_eq!(count(&report, "attempts.sent"), 5);
    assert_eq!(server.seen(), (3, 5));
    assert_eq!(bytes % 5, 0, "all five requests were written whole, and counted");
    assert!(report["errors"].as_array().unwrap().is_empty(), "what was healed is no error");
}

#[test]
fn unsafe_or_young_connection_close_fails_the_call() {
    // A POST is never sent again; a GET only if the connection was idle for long.
    for (method, think) in [("post", "1100ms"), ("get", "100ms")] {
        let server = Server::start(closes_on_the_second);
        let report = thrice(&server, method, think);
        let [made, ok, failed, opened, resends, _] = counts(&report);
        assert_eq!([made, ok, failed, opened, resends], [3, 2, 1, 2, 0], "{method} {report}");
        assert_eq!(report["errors"][0]["phase"], "first_byte");
        assert_eq!(report["errors"][0]["kind"], "closed");
    }
}
