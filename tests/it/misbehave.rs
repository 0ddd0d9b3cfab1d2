//! Tests of misbehaving targets: each gets its own error, in limited time, and never counts as
//! fast.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use manada::wire::websocket::handshake;
use serde_json::{Value, json};

use crate::harness::{Manada, count};
use crate::peer::{Peer, Server, Then, refusing_address};
use crate::sums::answered;

/// Four requests by two users, with this timeout.
const WORDS: [&str; 6] = ["-n", "4", "-c", "2", "--timeout", "400ms"];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

/// The expected result: every call ends in `calls.FATE`, and, unless it is ok, with one of these
/// errors.
struct Row {
    name: &'static str,
    fate: &'static str,
    errors: &'static [(&'static str, &'static str)],
    /// The connections of the four calls.
    opened: u64,
    server: Server,
}

fn row(
    name: &'static str,
    fate: &'static str,
    errors: &'static [(&'static str, &'static str)],
    opened: u64,
    script: impl Fn(&mut Peer) + Send + Sync + 'static,
) -> Row {
    Row { name, fate, errors, opened, server: Server::start(script) }
}

/// Responds with `bytes`, then waits.
fn says(
    name: &'static str,
    fate: &'static str,
    errors: &'static [(&'static str, &'static str)],
    opened: u64,
    bytes: &'static [u8],
    then: Then,
) -> Row {
    Row { name, fate, errors, opened, server: Server::answering(bytes, then) }
}

fn check(row: &Row) {
    let done = Manada::hit(&row.server.url(), &WORDS).go();
    let report = done.measured();
    let context = format!("{}\n{done}", row.name);
    assert_eq!(count(&report, "calls.made"), 4, "{context}");
    assert_eq!(count(&report, &format!("calls.{}", row.fate)), 4, "{context}");
    // A connection that is reset at once may count as never opened.
    let tried = count(&report, "connections.opened") + count(&report, "connections.failed");
    assert_eq!(tried, row.opened, "{context}");
    let (connections, requests) = row.server.seen();
    assert_eq!(connections, row.opened, "{context}");
    assert!(answered(&report) <= requests, "{context}");
    assert!(requests <= count(&report, "attempts.sent"), "{context}");
    let errors = report["errors"].as_array().unwrap();
    let total: u64 = errors.iter().map(|error| count(error, "count")).sum();
    if row.fate == "ok" {
        assert!(errors.is_empty(), "{context}");
        assert_eq!(report["response_us"]["at_least"], json!([]), "{context}");
        return;
    }
    assert_eq!(total, 4, "{context}");
    for error in errors {
        let name = (error["phase"].as_str().unwrap(), error["kind"].as_str().unwrap());
        assert!(row.errors.contains(&name), "{name:?} in {context}");
        assert!(!error["hint"].as_str().unwrap().is_empty(), "{context}");
    }
    assert_nothing_is_fast(&report, &context);
}

/// No call got a response, so every percentile is only a bound.
fn assert_nothing_is_fast(report: &Value, context: &str) {
    assert_eq!(answered(report), 0, "{context}");
    for latency in ["response_us", "service_us"] {
        let latency = &report[latency];
        if latency["count"] == 0 {
            continue;
        }
        let all = json!(["p50", "p90", "p95", "p99", "p99_9", "max"]);
        assert_eq!(latency["at_least"], all, "{context}");
        assert_eq!(latency["mean"], Value::Null, "{context}");
        assert_eq!(latency["censored"], latency["count"], "{context}");
    }
    assert_eq!(count(report, "response_us.count"), 4, "{context}");
}

#[test]
fn responses_end_too_early_or_never() {
    const SHORT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes!";
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-";
    const CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for row in [
        says("reset in the body", "failed", &[("body", "reset")], 4, SHORT, Then::Reset),
        says("closed in the body", "failed", &[("body", "closed")], 4, SHORT, Then::Close),
        says("held in the body", "timeout", &[("body", "timeout")], 4, SHORT, Then::Hold),
        says("reset in the head", "failed", &[("first_byte", "reset")], 4, HEAD, Then::Reset),
        says("closed in the head", "failed", &[("first_byte", "closed")], 4, HEAD, Then::Close),
        says("held in the head", "timeout", &[("first_byte", "timeout")], 4, HEAD, Then::Hold),
        says("closed between chunks", "failed", &[("body", "closed")], 4, CHUNK, Then::Close),
        says("nothing, then closed", "failed", &[("first_byte", "closed")], 4, b"", Then::Close),
        says("nothing, then reset", "failed", &[("first_byte", "reset")], 4, b"", Then::Reset),
        says("nothing for good", "timeout", &[("first_byte", "timeout")], 4, b"", Then::Hold),
    ] {
        check(&row);
    }
}

#[test]
fn invalid_responses_are_named() {
    const NO_HTTP: &[(&str, &str)] = &[("first_byte", "not_http")];
    const MALFORMED: &[(&str, &str)] = &[("first_byte", "malformed")];
    const BAD_LINE: &[u8] = b"HTTP/1.1 200 OK\r\nwhatever\r\n\r\n";
    const BANNER: &[u8] = b"220 mail.example.org ESMTP ready\r\n";
    const BAD_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n";
    for row in [
        says("a mail server", "failed", NO_HTTP, 4, BANNER, Then::Hold),
        says("HTTP/0.9", "failed", NO_HTTP, 4, b"<html>hello</html>", Then::Close),
        says("a head without a colon", "failed", MALFORMED, 4, BAD_LINE, Then::Hold),
        says("zeros", "failed", NO_HTTP, 4, &[0; 4_096], Then::Hold),
        says("a bad chunk", "failed", &[("body", "malformed")], 4, BAD_CHUNK, Then::Hold),
        row("1xx for ever", "failed", &[("first_byte", "too_many_interim")], 4, |peer| {
            while peer.send(b"HTTP/1.1 100 Continue\r\n\r\n") {}
        }),
        row("headers for ever", "failed", &[("first_byte", "too_many_headers")], 4, |peer| {
            peer.request();
            peer.send(b"HTTP/1.1 200 OK\r\n");
            while peer.send(b"x-header: and another one, and another one\r\n") {}
            peer.hold();
        }),
        row("one endless header", "failed", &[("first_byte", "head_too_large")], 4, |peer| {
            peer.request();
            peer.send(b"HTTP/1.1 200 OK\r\nx: ");
            while peer.send(&[b'a'; 1_000]) {}
        }),
    ] {
        check(&row);
    }
}

#[test]
fn slow_or_odd_responses_are_accepted() {
    const LEFT_OVER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello";
    const OLD: &[u8] = b"HTTP/1.0 200 OK\r\n\r\nhello";
    const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    for row in [
        says("plain", "ok", &[], 2, OK, Then::Next),
        says("more body than it said", "ok", &[], 4, LEFT_OVER, Then::Hold),
        says("until close", "ok", &[], 4, OLD, Then::Close),
        says("keep-alive refused", "ok", &[], 4, CLOSING, Then::Hold),
        row("byte by byte", "ok", &[], 2, |peer| while peer.request() && peer.drip(OK) {}),
    ] {
        check(&row);
    }
}

#[test]
fn unsolicited_response() {
    // It arrives before, with or after the request, so only an end and correct sums are required.
    let server = Server::start(|peer| {
        peer.send(OK);
        peer.hold();
    });
    Manada::hit(&server.url(), &WORDS).go().report(0);
}

#[test]
fn a_body_that_drips_runs_out_of_time() {
    let row = row("drips", "timeout", &[("body", "timeout")], 4, |peer| {
        if peer.request() && peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") {
            peer.drip_slowly(&[b'x'; 1_000], Duration::from_millis(20));
        }
    });
    check(&row);
}

#[test]
fn a_body_without_end_stops_at_the_bound_or_the_deadline() {
    let endless = [
        (&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &b"5\r\nhello\r\n"[..]),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"on and on and on and on and on"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n", b"still not all of it"),
    ];
    for (head, part) in endless {
        let server = Server::start(move |peer| {
            let part = part.repeat(1_000);
            if peer.request() && peer.send(head) {
                while peer.send(&part) {}
            }
        });
        let scenario = |bound: &str| {
            format!(
                "scenario: endless\nservices: {{ it: \"{}\" }}\nworkloads:\n  w:\n    \
                 users: 2\n    iterations: 4\n    \
                 flow: [ {{ get: /, {bound}, timeout: 400ms }} ]\n",
                server.url().trim_end_matches('/')
            )
        };
        let report = Manada::run(&scenario("max_body: 100KiB"), &[]).go().measured();
        assert_eq!(count(&report, "calls.failed"), 4, "{report}");
        assert_eq!(report["errors"][0]["kind"], "body_too_large", "{report}");
        assert_nothing_is_fast(&report, "endless");
        let report = Manada::run(&scenario("max_body: 1000GiB"), &[]).go().measured();
        let expect = if head.ends_with(b"999\r\n\r\n") { "failed" } else { "timeout" };
        assert_eq!(count(&report, &format!("calls.{expect}")), 4, "{report}");
        assert_nothing_is_fast(&report, "endless");
    }
}

#[test]
fn a_target_that_hangs_up_at_once() {
    // Whether the request was already sent is a race, so several errors are right.
    let errors: &[(&str, &str)] =
        &[("first_byte", "closed"), ("first_byte", "reset"), ("send", "reset")];
    check(&row("closes at once", "failed", errors, 4, |_| {}));
    let errors: &[(&str, &str)] =
        &[("first_byte", "reset"), ("send", "reset"), ("connect", "reset")];
    check(&row("resets at once", "failed", errors, 4, |peer| peer.reset()));
}

#[test]
fn port_without_listener() {
    let (_bound, address) = refusing_address();
    let report = Manada::hit(&format!("http://{address}/"), &WORDS).go().measured();
    assert_eq!(count(&report, "calls.failed"), 4, "{report}");
    assert_eq!(count(&report, "attempts.sent"), 0, "{report}");
    assert_eq!(count(&report, "connections.failed"), 4, "{report}");
    let error = &report["errors"][0];
    assert_eq!((&error["phase"], &error["kind"]), (&json!("connect"), &json!("refused")));
    assert_nothing_is_fast(&report, "refused");
}

#[test]
fn target_that_reads_no_answers_costs_bounded_memory() {
    const MESSAGES: u64 = 20_000;
    let is_over = Arc::new((Mutex::new(false), Condvar::new()));
    let over = Arc::clone(&is_over);
    let server = Server::start(move |peer| {
        let Some(head) = peer.head() else { return };
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let key = lines.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let key = BASE64_STANDARD.decode(key.unwrap().1.trim()).unwrap();
        let accept = handshake::accept_value(key.try_into().unwrap());
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        // Never reads: the generator has to read all the same.
        let frames = b"\x81\x04tick".repeat(MESSAGES as usize);
        peer.send(&[head.as_bytes(), &frames].concat());
        drop(over.1.wait_while(over.0.lock().unwrap(), |is_over| !*is_over));
    });
    let address = server.address();
    let scenario = format!(
        "services: {{ t: \"ws://{address}\" }}\nworkloads:\n  w:\n    users: 1\n    \
         iterations: 1\n    flow:\n      - {{ open: / }}\n      - listen: t\n        \
         reply: {{ match: {{ text: tick }}, text: \"{{{{ 'x' * 20000 }}}}\" }}\n      \
         - {{ pause: 3s }}\ngrace: 1s\n"
    );
    let done = Manada::run(&scenario, &["--shards", "1"]).go();
    *is_over.0.lock().unwrap() = true;
    is_over.1.notify_all();
    let report = done.json();
    assert_eq!(count(&report, "messages.received"), MESSAGES, "{done}");
    // 400 MB of answers: a few MB are in the kernel's buffers, and 1 MiB waits here.
    assert!(count(&report, "messages.dropped") > MESSAGES / 2, "{done}");
    assert!(count(&report, "generator.rss_bytes_peak") < 100 << 20, "{done}");
}
