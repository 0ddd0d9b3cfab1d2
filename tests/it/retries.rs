//! Tests of retries: retry storms and the budget against them; when calls are retried, and when
//! not.
//!
//! Invariant: the target's count is decisive, not the client's own.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Manada, count};
use crate::peer::{Peer, Server, refusing_address};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// One server can do 100 calls a second and gets 60; it stalls for a second, and more queue up
/// than their timeouts allow. Returns the report, and the number of requests at the target.
fn storm(budget: &str) -> (Value, u64) {
    let target = Builtin::start(&["--servers=1", "--latency=10ms", "--stall=1s@1s"]);
    let scenario = format!(
        "services: {{ it: {{ url: \"{}\", timeout: 300ms }} }}\nsafety: {{ stop_on: false }}\n\
         retries: {{ max: 3, backoff: {{ base: 1ms, jitter: none }}, budget: {budget} }}\n\
         workloads:\n  w:\n    arrivals: {{ rate: 60/s, max_users: 2000 }}\n    duration: 9s\n    \
         flow: [ {{ get: / }} ]\n",
        target.url("")
    );
    let report = Manada::run(&scenario, &["--seed", "1", "--shards", "1"]).go().report(0);
    (report, count(&target.stats(), "requests"))
}

#[test]
fn retry_storm_sustains_itself_and_a_budget_ends_it() {
    let made = 540;
    let ((wild, wild_seen), (tame, tame_seen)) = std::thread::scope(|scope| {
        let wild = scope.spawn(|| storm("none"));
        let tame = storm("10%");
        (wild.join().unwrap(), tame)
    });
    let context = format!("{wild}\n{tame}");
    for (report, seen) in [(&wild, wild_seen), (&tame, tame_seen)] {
        assert_eq!(count(report, "calls.made"), made, "{context}");
        assert!(seen <= count(report, "attempts.sent"), "{context}");
    }
    // The target's count is decisive: half as many again, and never well any more; or a fifth at
    // most, and it is over soon after the stall.
    assert!(wild_seen * 2 > made * 3, "{wild_seen} of {made}: {context}");
    assert!(tame_seen * 5 <= made * 6, "{tame_seen} of {made}: {context}");
    let lost = |report: &Value| count(report, "calls.timeout");
    assert!(lost(&wild) * 10 > made * 8, "{context}");
    assert!(lost(&tame) * 2 < made, "{context}");
}

/// Makes one call with retries.
fn once(url: &str, call: &str, retries: &str) -> Value {
    let scenario = format!(
        "services: {{ it: {{ url: \"{url}\", timeout: 5s }} }}\nretries: {retries}\n\
         workloads: {{ w: {{ users: 1, iterations: 1, flow: [ {call} ] }} }}\n"
    );
    Manada::run(&scenario, &["--seed", "1"]).go().measured()
}

/// Starts a server that gives this response to the first request and 200 afterwards.
fn first(answer: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Server {
    let come = AtomicU64::new(0);
    Server::start(move |peer: &mut Peer| {
        while peer.request() {
            match (come.fetch_add(1, SeqCst), answer()) {
                (0, nothing) if nothing.is_empty() => peer.hold(),
                (0, answer) => assert!(peer.send(&answer)),
                _ => assert!(peer.send(OK)),
            }
        }
    })
}

fn too_many(retry_after: &str) -> Vec<u8> {
    let head = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n";
    format!("{head}Retry-After: {retry_after}\r\n\r\n").into_bytes()
}

#[test]
fn retry_after_is_respected() {
    // A date has no fractions: two seconds from now means one to two.
    let date = || httpdate::fmt_http_date(manada::clock::wall() + Duration::from_secs(2));
    for server in [first(|| too_many("1")), first(move || too_many(&date()))] {
        // Also a POST, because a rejected request had no effect.
        let report = once(&server.url(), "{ post: / }", "{ backoff: { base: 1ms } }");
        assert_eq!(count(&report, "calls.ok"), 1, "{report}");
        assert_eq!(count(&report, "attempts.retries"), 1, "{report}");
        assert!(count(&report, "blocked_us.min") >= 990_000, "{report}");
        assert!(count(&report, "service_us.max") < 990_000, "the wait is not its: {report}");
        assert_eq!(server.seen(), (1, 2));
    }
}

#[test]
fn retry_after_beyond_maximum_is_not_retried() {
    let server = first(|| too_many("3600"));
    let report = once(&server.url(), "{ get: / }", "2");
    assert_eq!(count(&report, "status.429"), 1, "{report}");
    assert_eq!(server.seen(), (1, 1));
    let server = first(|| too_many("3600"));
    let report =
        once(&server.url(), "{ get: / }", "{ retry_after: false, backoff: { base: 1ms } }");
    assert_eq!(count(&report, "calls.ok"), 1, "{report}");
    assert_eq!(server.seen().1, 2);
}

#[test]
fn non_idempotent_request_is_not_retried() {
    let brief = |method: &str| format!("{{ {method}: /, timeout: 300ms }}");
    for (method, keys, requests) in [
        ("post", "", 1),
        ("patch", "", 1),
        ("post", "unsafe_methods: true, ", 2),
        ("get", "", 2),
        ("put", "", 2),
    ] {
        let server = first(Vec::new);
        let retries = format!("{{ {keys}backoff: {{ base: 1ms }} }}");
        let report = once(&server.url(), &brief(method), &retries);
        let ends = (count(&report, "calls.timeout"), count(&report, "calls.ok"));
        assert_eq!(ends, (2 - requests, requests - 1), "{method} {report}");
        assert_eq!(server.seen().1, requests, "{method} {report}");
        assert_eq!(count(&report, "attempts.sent"), requests, "{method} {report}");
    }
}

#[test]
fn unsent_request_is_retried() {
    let (_bound, address) = refusing_address();
    for method in ["get", "post"] {
        let call = format!("{{ {method}: / }}");
        let retries = "{ max: 3, backoff: { base: 1ms } }";
        let report = once(&format!("http://{address}"), &call, retries);
        assert_eq!(count(&report, "attempts.started"), 4, "{method} {report}");
        assert_eq!(count(&report, "attempts.retries"), 3, "{method} {report}");
        assert_eq!(count(&report, "attempts.sent"), 0, "{method} {report}");
        assert_eq!(count(&report, "calls.failed"), 1, "{method} {report}");
        assert_eq!(count(&report, "connections.failed"), 4, "{method} {report}");
    }
}
