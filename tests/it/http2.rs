//! Tests of HTTP/2 with a real nginx, compared with HTTP/1.1, and with misbehaving peers.

use std::io::Read;

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::nginx::Nginx;
use crate::peer::{Peer, Server};

fn run(url: &str, keys: &str, flow: &str, words: &[&str]) -> Value {
    let text = format!(
        "seed: 1\nservices: {{ it: {{ url: \"{url}\", timeout: 5s, tls: {{ insecure: true }}, \
         {keys} }} }}\nworkloads: {{ w: {{ users: 4, iterations: 40, flow: {flow} }} }}\n"
    );
    Manada::run(&text, &["--shards", "1"]).words(words).go().measured()
}

const FLOW: &str = "[ { get: /page, check: { body: { contains: nginx } } }, { get: /fail }, \
     { get: /old, redirects: 2, capture: { c: { cookie: seen } } }, { head: /page }, \
     { get: /me, check: { body: { contains: \"seen=1\" } } }, { get: /large }, \
     { put: /upload, body: \"hello\" } ]";

#[test]
fn the_same_counts_and_outcomes_in_every_version() {
    let nginx = Nginx::start();
    let (plain, two, tls) = (nginx.plain, nginx.two, nginx.tls);
    for (url, version) in [
        (format!("http://{plain}"), "1.1"),
        (format!("http://{plain}"), "auto"),
        (format!("http://{two}"), "2"),
        (format!("https://{tls}"), "1.1"),
        (format!("https://{tls}"), "auto"),
        (format!("https://{tls}"), "2"),
    ] {
        let report =
            run(&url, &format!("compress: true, http: {{ version: {version} }}"), FLOW, &[]);
        let context = format!("{url} {version} {report}");
        assert_eq!(count(&report, "calls.made"), 280, "{context}");
        assert_eq!(count(&report, "calls.ok"), 240, "{context}");
        assert_eq!(count(&report, "calls.failed"), 40, "{context}");
        assert_eq!(count(&report, "attempts.redirects"), 40, "{context}");
        assert_eq!(count(&report, "attempts.sent"), 320, "{context}");
        assert_eq!(count(&report, "connections.opened"), 4, "{context}");
        assert_eq!(count(&report, "connections.reused"), 316, "{context}");
        for (status, expect) in [("200", 200), ("204", 40), ("302", 40), ("503", 40)] {
            assert_eq!(report["status"][status], expect, "{context}");
        }
        for check in report["checks"].as_array().unwrap() {
            assert_eq!(check["passed"], 40, "{context}");
        }
        assert!(report["errors"].as_array().unwrap().is_empty(), "{context}");
        assert!(count(&report, "bytes.received") > 40 * (3 << 10), "{context}");
        assert_eq!(count(&report, "phases_us.first_byte.count"), 320, "{context}");
        let shakes = if url.starts_with("https") { 4 } else { 0 };
        assert_eq!(count(&report, "phases_us.tls.count"), shakes, "{context}");
    }
}

#[test]
fn connections_that_nginx_ends_are_opened_anew() {
    // keepalive_requests 1000: a GOAWAY after each thousand.
    let nginx = Nginx::start();
    let text = format!(
        "services: {{ it: {{ url: \"http://{}\", http: {{ version: 2 }} }} }}\n\
         workloads: {{ w: {{ users: 1, iterations: 2500, flow: [ {{ get: /page }} ] }} }}\n",
        nginx.two
    );
    let report = Manada::run(&text, &["--shards", "1"]).go().report(0);
    assert_eq!(count(&report, "calls.ok"), 2_500, "{report}");
    assert_eq!(count(&report, "connections.opened"), 3, "{report}");
}

#[test]
fn long_bodies_wait_for_the_window_and_early_answers_come_through() {
    let nginx = Nginx::start();
    // nginx accepts one MiB, and responds at once if more is declared.
    for (length, status) in [(900 << 10, "204"), (3 << 20, "413")] {
        let flow = format!("[ {{ put: /upload, body: \"{}\" }} ]", "x".repeat(length));
        let url = format!("http://{}", nginx.two);
        let report = run(&url, "http: { version: 2 }", &flow, &[]);
        assert_eq!(report["status"][status], 40, "{report}");
        assert!(report["errors"].as_array().unwrap().is_empty(), "{report}");
    }
}

#[test]
fn a_window_that_never_opens_runs_out_of_time() {
    let server = Server::start(|peer| {
        request(peer);
        peer.hold();
    });
    let text = format!(
        "services: {{ it: {{ url: \"http://{}\", timeout: 500ms, http: {{ version: 2 }} }} }}\n\
         workloads: {{ w: {{ users: 1, iterations: 1, \
         flow: [ {{ put: /a, body: \"{}\" }} ] }} }}\n",
        server.address(),
        "x".repeat(200_000)
    );
    let report = Manada::run(&text, &[]).go().measured();
    assert_eq!(count(&report, "calls.timeout"), 1, "{report}");
    assert_eq!(count(&report, "attempts.sent"), 0, "{report}");
    assert!(count(&report, "bytes.sent") < 70_000, "{report}");
}

/// A frame of HTTP/2.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Reads the preface and frames up to a request's head; returns its stream.
pub(crate) fn request(peer: &mut Peer) -> Option<u32> {
    let mut preface = [0; 24];
    peer.stream.read_exact(&mut preface).ok()?;
    peer.send(&frame(4, 0, 0, &[]));
    next_request(peer)
}

/// Reads frames up to the next request's head; returns its stream.
pub(crate) fn next_request(peer: &mut Peer) -> Option<u32> {
    loop {
        let mut head = [0; 9];
        peer.stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        peer.stream.read_exact(&mut payload).ok()?;
        if head[3] == 1 {
            return Some(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

/// Shuts down its side. A close would reset what the client still sends.
pub(crate) fn end(peer: &mut Peer) {
    peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
    peer.hold();
}

/// `:status 200` from HPACK's static table.
pub(crate) const STATUS_200: &[u8] = &[0x88];

/// A peer's behaviour after a request, and the name of the resulting error.
type Case = (&'static str, &'static str, Box<dyn Fn(&mut Peer, u32) + Send + Sync>);

/// Peers that end the exchange.
fn endings() -> Vec<Case> {
    vec![
        ("closed", "closed", Box::new(|peer, _| end(peer))),
        (
            "rst",
            "reset",
            Box::new(|peer, id| {
                peer.send(&frame(3, 0, id, &8u32.to_be_bytes()));
                peer.hold();
            }),
        ),
        (
            "cut body",
            "closed",
            Box::new(|peer, id| {
                peer.send(&frame(1, 4, id, STATUS_200));
                peer.send(&frame(0, 0, id, b"half"));
                end(peer);
            }),
        ),
        ("silence", "timeout", Box::new(|peer, _| peer.hold())),
    ]
}

/// Peers that violate the protocol, or our limits.
fn nonsense() -> Vec<Case> {
    vec![
        (
            "interim answers",
            "too_many_interim",
            Box::new(|peer, id| {
                let early = frame(1, 4, id, b"\x08\x03103");
                while peer.send(&early) {}
            }),
        ),
        (
            "no status",
            "malformed",
            Box::new(|peer, id| {
                peer.send(&frame(1, 5, id, &[]));
                peer.hold();
            }),
        ),
        (
            "bad hpack",
            "malformed",
            Box::new(|peer, id| {
                peer.send(&frame(1, 5, id, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
                peer.hold();
            }),
        ),
        (
            "data before head",
            "malformed",
            Box::new(|peer, id| {
                peer.send(&frame(0, 1, id, b"x"));
                peer.hold();
            }),
        ),
        (
            "http/1.1",
            "malformed",
            Box::new(|peer, _| {
                peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                peer.hold();
            }),
        ),
        (
            "too large",
            "body_too_large",
            Box::new(|peer, id| {
                peer.send(&frame(1, 4, id, STATUS_200));
                for _ in 0..4 {
                    peer.send(&frame(0, 0, id, &[b'x'; 1_000]));
                }
                peer.hold();
            }),
        ),
    ]
}

#[test]
fn errors_of_broken_peers_are_named() {
    for (name, kind, script) in endings().into_iter().chain(nonsense()) {
        let server = Server::start(move |peer| {
            if let Some(id) = request(peer) {
                script(peer, id);
            }
        });
        let text = format!(
            "services: {{ it: {{ url: \"http://{}\", timeout: 700ms, http: {{ version: 2 }} }} }}\n\
             workloads: {{ w: {{ users: 1, iterations: 1, \
             flow: [ {{ get: /a, max_body: 2KiB }} ] }} }}\n",
            server.address()
        );
        let report = Manada::run(&text, &[]).go().measured();
        assert_eq!(count(&report, "calls.ok"), 0, "{name}: {report}");
        assert_eq!(report["errors"][0]["kind"], kind, "{name}: {report}");
        assert_eq!(count(&report, "attempts.sent"), 1, "{name}: {report}");
    }
}

#[test]
fn target_without_http2_is_reported() {
    let server = crate::tls::over_tls(crate::tls::leaf(None, "127.0.0.1", (2020, 2100)));
    let url = format!("https://{}", server.address());
    let flow = "[ { get: /a } ]";
    let report = run(&url, "http: { version: 2 }", flow, &[]);
    assert_eq!(report["errors"][0]["phase"], "tls", "{report}");
    assert_eq!(report["errors"][0]["kind"], "no_http2", "{report}");
    let report = run(&url, "http: { version: auto }", flow, &[]);
    assert_eq!(count(&report, "calls.ok"), 40, "{report}");
    assert_eq!(count(&report, "phases_us.tls.count"), 4, "{report}");
}

#[test]
fn resilient_client_uses_http2() {
    let nginx = Nginx::start();
    for strategy in ["shared", "per_user", "per_request"] {
        let text = format!(
            "client: resilient\nseed: 1\n\
             pools: {{ all: {{ match: \"*\", strategy: {strategy} }} }}\n\
             breakers: {{ endpoint: {{ failures: 12, open: 60s }} }}\n\
             degradation: {{ enabled: false }}\nretries: {{ backoff: {{ base: 1ms }}, budget: none \
             }}\nhedging: {{ after: 3s }}\nlimits: {{ global: 10000/s }}\n\
             services: {{ it: {{ url: \"http://{}\", timeout: 5s, http: {{ version: 2 }} }} }}\n\
             workloads: {{ w: {{ users: 4, iterations: 40, flow: [ {{ get: /page }}, {{ get: \
             /fail }} ] }} }}\n",
            nginx.two
        );
        let report = Manada::run(&text, &["--shards", "1"]).go().report(0);
        assert_eq!(count(&report, "status.200"), 40, "{strategy} {report}");
        // The breaker of /fail opens after its twelfth failure; attempts in progress then end
        // normally.
        let failed = count(&report, "calls.failed");
        assert!((1..=15).contains(&failed), "{strategy} {report}");
        assert_eq!(count(&report, "calls.suppressed"), 40 - failed, "{strategy} {report}");
        assert!(count(&report, "attempts.retries") > 0, "{strategy} {report}");
        let (opened, sent) =
            (count(&report, "connections.opened"), count(&report, "attempts.sent"));
        match strategy {
            "per_request" => assert_eq!(opened, sent, "{report}"),
            _ => assert!(opened <= 4, "{strategy} {report}"),
        }
    }
}
