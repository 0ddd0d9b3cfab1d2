//! Peers that answer a call of gRPC in ways that no good server does: what each is reported as.

use std::io::{Read, Write};

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::http2::{end, frame, request};
use crate::peer::{Peer, Server};
use crate::prometheus::pause;

/// A header as a literal of HPACK.
fn header(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [&[0][..], &text(name), &text(value)].concat()
}

/// A response: its frames of HEADERS and DATA. The last one ends the stream.
struct Reply {
    frames: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    /// One with this HTTP status and content type.
    fn new(status: &str, content_type: &str) -> Self {
        let status = [b"\x08\x03", status.as_bytes()].concat();
        Self { frames: vec![(1, [status, header("content-type", content_type)].concat())] }
    }

    fn grpc() -> Self {
        Self::new("200", "application/grpc")
    }

    /// Adds a header to its last block.
    fn with(mut self, name: &str, value: &str) -> Self {
        self.frames.last_mut().unwrap().1.extend(header(name, value));
        self
    }

    fn data(mut self, bytes: &[u8]) -> Self {
        self.frames.push((0, bytes.to_vec()));
        self
    }

    fn trailers(mut self, status: &str) -> Self {
        self.frames.push((1, header("grpc-status", status)));
        self
    }

    fn send(&self, peer: &mut Peer, stream: u32) {
        self.send_until(peer, stream, self.frames.len());
    }

    /// Sends it and does not end the stream.
    fn send_open(&self, peer: &mut Peer, stream: u32) {
        self.send_until(peer, stream, usize::MAX);
    }

    fn send_until(&self, peer: &mut Peer, stream: u32, last: usize) {
        for (index, (kind, payload)) in self.frames.iter().enumerate() {
            let ends = u8::from(index + 1 == last);
            let flags = ends | if *kind == 1 { 4 } else { 0 };
            peer.send(&frame(*kind, flags, stream, payload));
        }
    }
}

/// The report of a call to a peer that does this after the request.
fn call(keys: &str, script: impl Fn(&mut Peer, u32) + Send + Sync + 'static) -> Value {
    steps(&format!("{{ grpc: e.Echo/Say, max_body: 2KiB, {keys} }}"), script)
}

/// The report of steps, the first of which sends a request to such a peer.
fn steps(steps: &str, script: impl Fn(&mut Peer, u32) + Send + Sync + 'static) -> Value {
    steps_at("", steps, script)
}

/// As [`steps`], with more settings of the service.
fn steps_at(
    settings: &str,
    steps: &str,
    script: impl Fn(&mut Peer, u32) + Send + Sync + 'static,
) -> Value {
    let settings = if settings.is_empty() { String::new() } else { format!(", {settings}") };
    let server = Server::start(move |peer| {
        if let Some(id) = request(peer) {
            script(peer, id);
            peer.hold();
        }
    });
    let text = format!(
        "
scenario: peers
services:
  echo: {{ url: 'grpc://{}', timeout: 2s, grpc: {{ KEYS }} }}
workloads:
  w: {{ users: 1, iterations: 1, flow: [ {steps} ] }}
",
        server.address()
    )
    .replace("KEYS", &format!("proto: e.proto, compress: true, max_message: 2KiB{settings}"));
    let proto = "syntax = \"proto3\"; package e; message M { string text = 1; }
        service Echo {
          rpc Say(M) returns (M);
          rpc Watch(M) returns (stream M);
          rpc Talk(stream M) returns (stream M);
        }";
    Manada::run(&text, &[]).file("e.proto", proto).go().measured()
}

/// A message with a text of one letter.
const MESSAGE: &[u8] = b"\0\0\0\0\x03\x0a\x01a";

#[test]
fn a_reply_split_at_every_byte_is_the_same() {
    for at in 0..=MESSAGE.len() {
        let (one, two) = MESSAGE.split_at(at);
        let reply = Reply::grpc().data(one).data(two).trailers("0");
        let keys = "check: { json: { '$.text': a }, header: { grpc-status: '0' } }";
        let report = call(keys, move |peer, id| reply.send(peer, id));
        assert_eq!(report["status"]["grpc OK"], 1, "{at}: {report}");
        assert!(report["checks"].as_array().unwrap().iter().all(|check| check["failed"] == 0));
    }
}

#[test]
fn statuses_come_from_trailers_heads_and_http() {
    for (name, reply, status) in [
        ("trailers only", Reply::grpc().with("grpc-status", "5"), "grpc NOT_FOUND"),
        ("unknown code", Reply::grpc().trailers("77"), "grpc UNKNOWN"),
        ("no number", Reply::grpc().trailers("x"), "grpc UNKNOWN"),
        ("after a message", Reply::grpc().data(MESSAGE).trailers("14"), "grpc UNAVAILABLE"),
        (
            "after half a message",
            Reply::grpc().data(b"\0\0\0").trailers("8"),
            "grpc RESOURCE_EXHAUSTED",
        ),
        ("a proxy", Reply::new("503", "text/html").data(b"<html>"), "grpc UNAVAILABLE"),
        ("a login", Reply::new("401", "text/plain"), "grpc UNAUTHENTICATED"),
        ("a page that is not there", Reply::new("404", "text/html"), "grpc UNIMPLEMENTED"),
        ("a redirect", Reply::new("302", "text/html").with("location", "/a"), "grpc UNKNOWN"),
    ] {
        let report = call("", move |peer, id| reply.send(peer, id));
        assert_eq!(report["status"][status], 1, "{name}: {report}");
        assert_eq!(count(&report, "calls.failed"), 1, "{name}: {report}");
    }
}

#[test]
fn replies_that_break_the_rules_are_named() {
    let large = [b"\0\0\0\x08\x01", [b'x'; 2_049].as_slice()].concat();
    for (name, reply, kind) in [
        ("no status", Reply::grpc().data(MESSAGE), "bad_reply"),
        ("only a head", Reply::grpc(), "bad_reply"),
        ("OK without a message", Reply::grpc().trailers("0"), "bad_reply"),
        ("OK in the head", Reply::grpc().with("grpc-status", "0"), "bad_reply"),
        ("half a message", Reply::grpc().data(&MESSAGE[..7]).trailers("0"), "bad_reply"),
        ("two messages", Reply::grpc().data(MESSAGE).data(MESSAGE).trailers("0"), "bad_reply"),
        ("a wrong flag", Reply::grpc().data(b"\x02\0\0\0\0").trailers("0"), "bad_reply"),
        ("a page", Reply::new("200", "text/html").data(b"<html>"), "bad_reply"),
        ("a page that says OK", Reply::new("200", "text/html").trailers("0"), "bad_reply"),
        ("no name of a coding", Reply::grpc().data(b"\x01\0\0\0\0").trailers("0"), "bad_reply"),
        ("a long message", Reply::grpc().data(&large).trailers("0"), "body_too_large"),
        (
            "a length alone",
            Reply::grpc().data(b"\0\xff\xff\xff\xff").trailers("0"),
            "body_too_large",
        ),
        ("a long page", Reply::new("500", "text/html").data(&[b'x'; 3_000]), "body_too_large"),
    ] {
        let report = call("", move |peer, id| reply.send(peer, id));
        assert_eq!(count(&report, "calls.ok"), 0, "{name}: {report}");
        assert_eq!(report["errors"][0]["kind"], kind, "{name}: {report}");
    }
}

#[test]
fn a_message_that_is_not_what_it_seems_fails_what_looks_at_it() {
    let gzip = |data: &[u8]| Reply::grpc().with("grpc-encoding", "gzip").data(data).trailers("0");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    let length = u32::try_from(packed.len()).unwrap().to_be_bytes();
    let bomb = [&[1], &length[..], &packed].concat();
    assert!(bomb.len() < 2_048, "it fits until it is unpacked");
    for (reply, kind) in [
        (gzip(&bomb), "body_too_large"),
        (Reply::grpc().data(b"\0\0\0\0\x02\x0a\x09").trailers("0"), "bad_reply"),
        (gzip(b"\x01\0\0\0\x03abc"), "bad_reply"),
    ] {
        let keys = "check: { json: { '$.text': a } }";
        let report = call(keys, move |peer, id| reply.send(peer, id));
        assert_eq!(report["errors"][0]["kind"], kind, "{report}");
    }
}

#[test]
fn resets_and_ends_are_those_of_http2() {
    let reset = |code: u32| {
        call("", move |peer, id| {
            peer.send(&frame(3, 0, id, &code.to_be_bytes()));
        })
    };
    assert_eq!(reset(8)["errors"][0]["kind"], "reset");
    assert_eq!(reset(2)["errors"][0]["kind"], "http2_internal");
    let report = call("", |peer, id| {
        Reply::grpc().with("grpc-status", "12").send(peer, id);
        // The server needs no more of the request.
        peer.send(&frame(3, 0, id, &0u32.to_be_bytes()));
    });
    assert_eq!(report["status"]["grpc UNIMPLEMENTED"], 1, "{report}");
    let report = call("", |peer, id| {
        peer.send(&frame(
            1,
            4,
            id,
            &[&[0x88], &*header("content-type", "application/grpc")].concat(),
        ));
        end(peer);
    });
    assert_eq!(report["errors"][0]["kind"], "closed", "{report}");
}

/// Two messages, the second empty.
const MESSAGES: &[u8] = b"\0\0\0\0\x03\x0a\x01a\0\0\0\0\0";

#[test]
fn a_streamed_reply_split_at_every_byte_is_the_same() {
    for at in 0..=MESSAGES.len() {
        let (one, two) = MESSAGES.split_at(at);
        let reply = Reply::grpc().data(one).data(two).trailers("0");
        let step = "{ grpc: e.Echo/Watch, check: { messages: 2, json: { '$.text': '' } } }";
        let report = steps(step, move |peer, id| reply.send(peer, id));
        assert_eq!(report["status"]["grpc OK"], 1, "{at}: {report}");
        assert!(report["checks"].as_array().unwrap().iter().all(|check| check["failed"] == 0));
    }
}

#[test]
fn streamed_replies_that_break_the_rules_are_named() {
    let large = [b"\0\0\0\x08\x01", [b'x'; 2_049].as_slice()].concat();
    for (name, reply, kind) in [
        ("no status", Reply::grpc().data(MESSAGES), "bad_reply"),
        ("only a head", Reply::grpc(), "bad_reply"),
        ("half a message", Reply::grpc().data(&MESSAGES[..11]).trailers("0"), "bad_reply"),
        ("a wrong flag", Reply::grpc().data(b"\x02\0\0\0\0").trailers("0"), "bad_reply"),
        ("a page", Reply::new("200", "text/html").data(b"<html>"), "bad_reply"),
        ("no name of a coding", Reply::grpc().data(b"\x01\0\0\0\0").trailers("0"), "bad_reply"),
        ("a long message", Reply::grpc().data(&large).trailers("0"), "too large"),
        ("a length alone", Reply::grpc().data(b"\0\xff\xff\xff\xff").trailers("0"), "too large"),
    ] {
        let reply = std::sync::Arc::new(reply);
        let of_call = std::sync::Arc::clone(&reply);
        let step = "{ grpc: e.Echo/Watch, max_body: 2KiB }";
        let report = steps(step, move |peer, id| of_call.send(peer, id));
        let expected = if kind == "too large" { "body_too_large" } else { kind };
        assert_eq!(count(&report, "calls.ok"), 0, "{name}: {report}");
        assert_eq!(report["errors"][0]["kind"], expected, "{name}: {report}");
        let expected = if kind == "too large" { "message_too_large" } else { kind };
        assert_eq!(ends(move |peer, id| reply.send(peer, id)), [expected], "{name}");
    }
}

#[test]
fn a_peer_that_answers_no_ping_is_dead() {
    let pings = "ping: 100ms, pong: 200ms";
    let answers = |peer: &mut Peer, _: u32| peer.hold();
    let report = steps_at(pings, "{ grpc: e.Echo/Say }", answers);
    assert_eq!(report["errors"][0]["kind"], "no_pong", "{report}");
    let took = report["steps"][0]["service_us"]["p50"].as_u64();
    assert!(took.is_none_or(|us| (290_000..1_500_000).contains(&us)), "{report}");
    let report = steps_at(
        pings,
        "{ listen: e.Echo/Watch, as: f }, { pause: 1s }, { close: f }",
        |peer: &mut Peer, id| Reply::grpc().data(MESSAGES).send_open(peer, id),
    );
    assert!(report["streams"]["closed"]["no_pong"] == 1, "{report}");
}

#[test]
fn a_peer_that_sends_answers_to_pings_or_data_is_alive() {
    // The answers of a whole second, and then the response.
    let report = steps_at("ping: 100ms, pong: 300ms", "{ grpc: e.Echo/Say }", |peer, id| {
        for _ in 0..4 {
            let ping = wait_for_ping(peer);
            peer.send(&frame(6, 1, 0, &ping));
        }
        Reply::grpc().data(MESSAGE).trailers("0").send(peer, id);
    });
    assert_eq!(report["status"]["grpc OK"], 1, "{report}");
    let report = steps_at("ping: 50ms, pong: 1s", "{ grpc: e.Echo/Watch }", |peer, id| {
        Reply::grpc().send_open(peer, id);
        // No ping is answered for longer than `pong`.
        for _ in 0..13 {
            peer.send(&frame(0, 0, id, MESSAGES));
            pause();
        }
        peer.send(&frame(1, 5, id, &header("grpc-status", "0")));
    });
    assert_eq!(report["status"]["grpc OK"], 1, "{report}");
}

/// Reads frames until a ping; returns its payload.
fn wait_for_ping(peer: &mut Peer) -> Vec<u8> {
    loop {
        let mut head = [0; 9];
        peer.stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        peer.stream.read_exact(&mut payload).unwrap();
        if head[3] == 6 && head[4] == 0 {
            return payload;
        }
    }
}

/// How a stream ends whose target does this.
fn ends(script: impl Fn(&mut Peer, u32) + Send + Sync + 'static) -> Vec<String> {
    let flow = "{ listen: e.Echo/Watch, as: f }, { close: f, half: true }";
    let report = steps(flow, script);
    let closed = report["streams"]["closed"].as_object().unwrap_or_else(|| panic!("{report}"));
    closed.keys().cloned().collect()
}

#[test]
fn streams_end_with_statuses_resets_and_ends_of_connections() {
    for (name, reply, end) in [
        ("trailers only", Reply::grpc().with("grpc-status", "5"), "grpc NOT_FOUND by target"),
        ("no messages", Reply::grpc().trailers("0"), "grpc OK by target"),
        ("a wrong code", Reply::grpc().trailers("77"), "grpc UNKNOWN by target"),
        (
            "in mid-stream",
            Reply::grpc().data(&MESSAGES[..10]).trailers("14"),
            "grpc UNAVAILABLE by target",
        ),
        ("a proxy", Reply::new("503", "text/html").data(b"<html>"), "grpc UNAVAILABLE by target"),
        ("no message", Reply::grpc().data(b"\0\0\0\0\x02\x0a\x09").trailers("0"), "bad_reply"),
    ] {
        assert_eq!(ends(move |peer, id| reply.send(peer, id)), [end], "{name}");
    }
    for (code, end) in [(8_u32, "reset"), (2, "http2_internal"), (7, "reset")] {
        let found = ends(move |peer, id| {
            Reply::grpc().data(MESSAGES).send_open(peer, id);
            peer.send(&frame(3, 0, id, &code.to_be_bytes()));
        });
        assert_eq!(found, [end], "{code}");
    }
    let found = ends(|peer, id| {
        Reply::grpc().data(MESSAGES).send_open(peer, id);
        end(peer);
    });
    assert_eq!(found, ["closed"]);
}
