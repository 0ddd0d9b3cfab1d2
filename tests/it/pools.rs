//! Tests of pools as the target sees them: number, use and age of connections; and users that
//! connect before they are due.
//!
//! Invariant: the server counts the connections.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};

use serde_json::Value;

use crate::builtin::Builtin;
use crate::harness::{Manada, count};
use crate::peer::{Peer, Server};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Runs against a server with this pool configuration.
fn run(server: &Server, law: &str, workloads: &str) -> Value {
    let scenario = format!(
        "services: {{ it: {{ url: \"http://{}\", timeout: 30s }} }}\n\
         pools: {{ all: {{ match: \"*\", {law} }} }}\nworkloads:\n{workloads}\n",
        server.address()
    );
    Manada::run(&scenario, &["--seed", "1"]).go().report(0)
}

#[test]
fn no_more_connections_than_it_has() {
    for shards in [1, 2] {
        let (now, most) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let seen = Arc::clone(&most);
        let server = Server::start(move |peer| {
            seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            while peer.request() && peer.send(OK) {}
            now.fetch_sub(1, SeqCst);
        });
        let scenario = format!(
            "services: {{ it: {{ url: \"http://{}\", timeout: 30s }} }}\npools: {{ all: {{ match: \
             \"*\", connections: 5 }} }}\nworkloads: {{ w: {{ users: 50, iterations: 1000, \
             flow: [ {{ get: / }} ] }} }}\n",
            server.address()
        );
        let words = ["--seed", "1", "--shards", &shards.to_string()];
        let report = Manada::run(&scenario, &words).go().report(0);
        assert_eq!(count(&report, "calls.ok"), 1_000, "{report}");
        assert_eq!(most.load(SeqCst), 5, "{report}");
        assert_eq!(server.seen(), (5, 1_000), "{report}");
        assert_eq!(count(&report, "connections.opened"), 5, "{report}");
        // Calls that wait for a connection are not late: the pool holds them back.
        assert!(count(&report, "blocked_us.max") > 0, "{report}");
    }
}

#[test]
fn a_connection_for_each_request() {
    let flow = "  w: { users: 5, iterations: 50, flow: [ { get: / }, { delete: / } \
                ] }";
    let closing = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&closing);
    let server = Server::start(move |peer: &mut Peer| {
        // Even if the target does not close it.
        while let Some(head) = peer.head() {
            heard.fetch_add(u64::from(head.contains("\r\nConnection: close\r\n")), SeqCst);
            assert!(peer.send(OK));
        }
    });
    let report = run(&server, "keep_alive: false", flow);
    assert_eq!(count(&report, "calls.ok"), 100, "{report}");
    assert_eq!(server.seen(), (100, 100), "{report}");
    assert_eq!(count(&report, "connections.opened"), 100, "{report}");
    assert_eq!(closing.load(SeqCst), 100, "each says so: {report}");
}

#[test]
fn a_pool_leaves_users_their_own_connections() {
    for load in
        ["users: 1, iterations: 50", "arrivals: { rate: 100/s, max_users: 1 }, duration: 500ms"]
    {
        let server = Server::start(|peer| while peer.request() && peer.send(OK) {});
        let scenario = format!(
            "services: {{ it: {{ url: \"http://{}\", timeout: 30s }} }}\n\
             pools: {{ cart: {{ match: /cart, connections: 5 }} }}\n\
             thresholds: [ 'calls > 0' ]\nworkloads: {{ w: {{ {load}, \
             flow: [ {{ get: / }}, {{ get: /cart }}, {{ get: /end }} ] }} }}\n",
            server.address()
        );
        let report = Manada::run(&scenario, &["--seed", "1", "--shards", "1"]).go().measured();
        assert!(count(&report, "calls.ok") > 3, "{report}");
        // One of the user, and one of the pool.
        assert_eq!(count(&report, "connections.opened"), 2, "{report}");
        assert_eq!(server.seen().0, 2, "{report}");
    }
}

#[test]
fn connection_is_used_max_requests_times() {
    for strategy in ["shared", "per_user"] {
        let carried = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&carried);
        let server = Server::start(move |peer| {
            let mut requests = 0;
            while peer.request() {
                requests += 1;
                // Recorded before the response, which may end the run.
                let mut told = told.lock().unwrap();
                if requests > 1 {
                    let before = told.iter().position(|known| *known == requests - 1).unwrap();
                    told.swap_remove(before);
                }
                told.push(requests);
                drop(told);
                assert!(peer.send(OK));
            }
        });
        let law = format!("strategy: {strategy}, max_requests: 3");
        let flow = "  w: { users: 4, iterations: 60, flow: [ { get: / } ] }";
        let report = run(&server, &law, flow);
        assert_eq!(count(&report, "calls.ok"), 60, "{report}");
        let carried = carried.lock().unwrap();
        assert_eq!(carried.iter().sum::<u64>(), 60, "{carried:?}");
        assert!(carried.iter().all(|requests| *requests <= 3), "{strategy} {carried:?}");
        assert!(carried.contains(&3), "{strategy} {carried:?}");
    }
}

#[test]
fn idle_connections_above_minimum_are_closed() {
    // Five concurrent requests, answered when all have arrived; then a pause, and one more.
    let (all, log) = (Barrier::new(5), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&log);
    let server = Server::start(move |peer| {
        while let Some(head) = peer.head() {
            if head.starts_with("GET /last ") {
                told.lock().unwrap().push("last");
            } else {
                all.wait();
            }
            assert!(peer.send(OK));
        }
        told.lock().unwrap().push("closed");
    });
    let workloads = "  many: { users: 5, iterations: 5, flow: [ { get: / } ] }\n  \
                     one: { users: 1, start: 4s, iterations: 1, flow: [ { get: /last } ] }";
    let report = run(&server, "connections: 5, min: 2, idle: 1s", workloads);
    assert_eq!(count(&report, "calls.ok"), 6, "{report}");
    let log = log.lock().unwrap();
    let before = log.iter().take_while(|event| **event == "closed").count();
    assert_eq!(before, 3, "{log:?}");
    assert_eq!(server.seen(), (5, 6), "the last one goes over a connection that stayed open");
}

#[test]
fn users_are_connected_before_they_are_due() {
    let users = 1_000;
    for (keys, early) in [("prewarm: 4s", true), ("", false)] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let target = Builtin::start(&["--log", log.path().to_str().unwrap()]);
        let scenario = format!(
            "services: {{ it: {{ url: \"{}\", timeout: 30s }} }}\n{keys}\nworkloads: {{ w: {{ \
             users: [ {{ step: {users} }}, {{ hold: 4s }} ], think: 2s, flow: [ {{ get: / }} ] \
             }} }}\n",
            target.url("")
        );
        let running = Manada::telling(&scenario, &["--seed", "1"]).start();
        if early {
            // A probe is a connection as well.
            let looks = (1..100_000).find_map(|looks| {
                std::thread::yield_now();
                let stats = target.stats();
                let opened = count(&stats, "connections.opened") - looks;
                (opened == users || count(&stats, "requests") > 0).then_some((opened, stats))
            });
            let (opened, stats) = looks.expect("they come");
            assert_eq!((opened, count(&stats, "requests")), (users, 0), "{stats}");
        }
        let done = running.wait();
        let report = done.report(0);
        assert_eq!(count(&report, "connections.opened"), users, "{report}");
        assert_eq!(count(&report, "calls.ok"), count(&target.stats(), "requests"), "{report}");
        assert_eq!(count(&report, "calls.ok"), count(&report, "calls.made"), "{report}");
        assert_eq!(count(&report, "phases_us.connect.count"), users, "{report}");
        assert_eq!(count(&report, "attempts.sent"), count(&report, "calls.ok"), "{report}");
    }
}
