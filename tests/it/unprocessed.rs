//! Tests of HTTP/2 streams that the target has not processed: they are sent again on a new
//! connection, whatever their method (RFC 9113 §6.8, §8.7); streams that it aborted have an error
//! by its reason (§7).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use serde_json::Value;

use crate::harness::{Manada, count};
use crate::http2::{STATUS_200, end, frame, next_request, request};
use crate::peer::{Peer, Server};

const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;

/// The payload of a GOAWAY.
fn last_and_code(last: u32, code: u32) -> Vec<u8> {
    [last.to_be_bytes(), code.to_be_bytes()].concat()
}

/// A complete response of status 200.
fn answer(peer: &mut Peer, id: u32) {
    peer.send(&frame(1, 5, id, STATUS_200));
}

/// Runs over HTTP/2 with these users and iterations, and keys of the scenario and of its step.
fn run(server: &Server, (users, iterations): (u32, u32), keys: &str, step: &str) -> Value {
    let text = format!(
        "seed: 1\n{keys}services: {{ it: {{ url: \"http://{}\", timeout: 5s, http: {{ version: 2 \
         }} }} }}\nworkloads: {{ w: {{ users: {users}, iterations: {iterations}, \
         flow: [ {step} ] }} }}\n",
        server.address()
    );
    Manada::run(&text, &["--shards", "1"]).go().measured()
}

const POST: &str = "{ post: /a, body: hello }";

#[test]
fn requests_that_cross_a_goaway_are_sent_again() {
    for code in [0, 11] {
        // It responds to the first request, and has sent GOAWAY when the second one arrives.
        let server = Server::start(move |peer| {
            let Some(id) = request(peer) else { return };
            answer(peer, id);
            if next_request(peer).is_some() {
                peer.send(&frame(GOAWAY, 0, 0, &last_and_code(id, code)));
                peer.hold();
            }
        });
        let report = run(&server, (3, 150), "", POST);
        assert_eq!(count(&report, "calls.ok"), 150, "{report}");
        // All but the first request of each user.
        assert_eq!(count(&report, "attempts.stale_resends"), 147, "{report}");
        assert_eq!(count(&report, "attempts.sent"), 297, "{report}");
        assert_eq!(count(&report, "connections.opened"), 150, "{report}");
        assert!(report["errors"].as_array().unwrap().is_empty(), "{report}");
    }
}

/// Starts a server that refuses every request whose number is not a multiple of `every`, from 1.
fn refusing_unless(every: u64) -> Server {
    let requests = Arc::new(AtomicU64::new(0));
    Server::start(move |peer| {
        let mut next = request(peer);
        while let Some(id) = next {
            if (requests.fetch_add(1, SeqCst) + 1).is_multiple_of(every) {
                answer(peer, id);
            } else {
                peer.send(&frame(RST_STREAM, 0, id, &7u32.to_be_bytes()));
            }
            next = next_request(peer);
        }
    })
}

#[test]
fn refused_streams_are_sent_again_three_times_at_most() {
    let report = run(&refusing_unless(2), (1, 40), "", POST);
    assert_eq!(count(&report, "calls.ok"), 40, "{report}");
    assert_eq!(count(&report, "attempts.stale_resends"), 40, "{report}");
    assert_eq!(count(&report, "connections.opened"), 41, "{report}");
    assert!(report["errors"].as_array().unwrap().is_empty(), "{report}");

    let report = run(&refusing_unless(u64::MAX), (1, 2), "", POST);
    assert_eq!(count(&report, "calls.failed"), 2, "{report}");
    assert_eq!(count(&report, "attempts.stale_resends"), 6, "{report}");
    let error = &report["errors"][0];
    assert_eq!((&error["phase"], &error["kind"]), (&"first_byte".into(), &"refused_stream".into()));
    assert_eq!(count(error, "count"), 2, "of the last attempts alone: {report}");
}

#[test]
fn refused_requests_may_be_retried_whatever_their_method() {
    let retries = "retries: { max: 1, backoff: { base: 1ms }, budget: none, when: [broken] }\n";
    let report = run(&refusing_unless(5), (1, 3), retries, POST);
    assert_eq!(count(&report, "calls.ok"), 3, "{report}");
    assert_eq!(count(&report, "attempts.retries"), 3, "{report}");
    assert_eq!(count(&report, "attempts.stale_resends"), 9, "{report}");
}

#[test]
fn a_refused_hop_of_a_redirect_is_sent_again() {
    let requests = Arc::new(AtomicU64::new(0));
    let server = Server::start(move |peer| {
        let mut next = request(peer);
        while let Some(id) = next {
            match requests.fetch_add(1, SeqCst) % 3 {
                0 => peer.send(&frame(1, 5, id, b"\x08\x03302\x00\x08location\x02/b")),
                1 => peer.send(&frame(RST_STREAM, 0, id, &7u32.to_be_bytes())),
                _ => peer.send(&frame(1, 5, id, STATUS_200)),
            };
            next = next_request(peer);
        }
    });
    let report = run(&server, (1, 5), "", "{ get: /a, redirects: 1 }");
    assert_eq!(count(&report, "calls.ok"), 5, "{report}");
    assert_eq!(count(&report, "attempts.redirects"), 5, "{report}");
    assert_eq!(count(&report, "attempts.stale_resends"), 5, "{report}");
}

#[test]
fn reasons_of_the_target_have_kinds() {
    // RFC 9113 §7: the code, its error here if one stream is reset, and its error if the
    // connection ends after a request that may have been processed.
    for (code, reset, ended) in [
        (0x0, "reset", "closed"),
        (0x1, "http2_protocol", "http2_protocol"),
        (0x2, "http2_internal", "http2_internal"),
        (0x3, "http2_protocol", "http2_protocol"),
        (0x4, "http2_protocol", "http2_protocol"),
        (0x5, "http2_protocol", "http2_protocol"),
        (0x6, "http2_protocol", "http2_protocol"),
        (0x8, "reset", "closed"),
        (0x9, "http2_protocol", "http2_protocol"),
        (0xb, "enhance_your_calm", "enhance_your_calm"),
        (0xc, "http2_protocol", "http2_protocol"),
        (0xd, "http_1_1_required", "http_1_1_required"),
        (0xfafa, "reset", "closed"),
    ] {
        let resets = Server::start(move |peer| {
            if let Some(id) = request(peer) {
                peer.send(&frame(RST_STREAM, 0, id, &u32::to_be_bytes(code)));
                peer.hold();
            }
        });
        let ends = Server::start(move |peer| {
            if let Some(id) = request(peer) {
                peer.send(&frame(GOAWAY, 0, 0, &last_and_code(id, code)));
                end(peer);
            }
        });
        for (server, kind) in [(resets, reset), (ends, ended)] {
            let report = run(&server, (1, 1), "", "{ get: /a }");
            let error = &report["errors"][0];
            assert_eq!(error["kind"], kind, "{code:#x}: {report}");
            assert_eq!(error["phase"], "first_byte", "{code:#x}: {report}");
            assert_eq!(count(&report, "attempts.sent"), 1, "{code:#x}: {report}");
        }
    }
}

#[test]
fn error_on_new_connection_is_not_resent() {
    for (code, kind, sent) in [(0, "going_away", 4), (11, "enhance_your_calm", 1)] {
        let server = Server::start(move |peer| {
            if request(peer).is_some() {
                peer.send(&frame(GOAWAY, 0, 0, &last_and_code(0, code)));
                peer.hold();
            }
        });
        let report = run(&server, (1, 1), "", "{ get: /a }");
        assert_eq!(report["errors"][0]["kind"], kind, "{report}");
        assert_eq!(count(&report, "attempts.sent"), sent, "{report}");
    }
}

#[test]
fn a_head_over_its_limit_is_named() {
    // A field of 4,000 bytes, in HPACK's form without an index: 127 + 0x21 + 0x1e × 128.
    let field = [b"\x00\x01x\x7f\xa1\x1e".as_slice(), &[b'v'; 4_000]].concat();
    for (fields, fits) in [(16, true), (17, false), (80, false), (2_000, false)] {
        let field = field.clone();
        let server = Server::start(move |peer| {
            let Some(id) = request(peer) else { return };
            peer.send(&frame(1, 1, id, STATUS_200));
            for _ in 0..fields {
                peer.send(&frame(9, 0, id, &field));
            }
            peer.send(&frame(9, 4, id, &[]));
            peer.hold();
        });
        let report = run(&server, (1, 1), "", "{ get: /a }");
        if fits {
            assert_eq!(count(&report, "calls.ok"), 1, "{fields}: {report}");
        } else {
            assert_eq!(report["errors"][0]["kind"], "head_too_large", "{fields}: {report}");
        }
    }
}
