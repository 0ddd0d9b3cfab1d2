//! Tests of hedging: a second attempt next to a slow first one; the loser is cancelled and
//! counted.
//!
//! Invariant: the server's count of requests equals the client's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::harness::{Manada, count};
use crate::peer::Server;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn winning_hedge_cancels_the_first_attempt() {
    for keys in ["", "pools: { all: { match: \"*\", connections: 12 } }"] {
        // One of ten requests gets no response, so its client has to disconnect.
        let (come, left) = (AtomicU64::new(1), Arc::new(AtomicU64::new(0)));
        let told = Arc::clone(&left);
        let server = Server::start(move |peer| {
            while peer.request() {
                if come.fetch_add(1, SeqCst).is_multiple_of(10) {
                    peer.hold();
                    told.fetch_add(1, SeqCst);
                    return;
                }
                assert!(peer.send(OK));
            }
        });
        let scenario = format!(
            "services: {{ it: {{ url: \"http://{}\", timeout: 30s }} }}\n{keys}\n\
             hedging: {{ after: 200ms, budget: 50% }}\nworkloads: {{ w: {{ users: 1, \
             iterations: 60, flow: [ {{ get: / }} ] }} }}\n",
            server.address()
        );
        let report = Manada::run(&scenario, &["--seed", "1", "--shards", "1"]).go().report(0);
        let (connections, requests) = server.seen();
        assert_eq!(count(&report, "calls.ok"), 60, "{report}");
        // One user: next to an unanswered request there is only its hedge.
        let held = requests / 10;
        assert!(held >= 6, "{held} {report}");
        assert!(count(&report, "attempts.hedges") >= held, "{report}");
        assert_eq!(count(&report, "attempts.sent"), requests, "{keys} {report}");
        assert_eq!(count(&report, "connections.opened"), connections, "{keys} {report}");
        assert_eq!(left.load(SeqCst), held, "losers are hung up on: {keys} {report}");
        assert!(count(&report, "service_us.max") < 30_000_000, "{report}");
    }
}

#[test]
fn non_idempotent_request_is_not_hedged() {
    let server = Server::start(|peer| {
        if peer.request() {
            peer.hold();
        }
    });
    let scenario = format!(
        "services: {{ it: {{ url: \"http://{}\", timeout: 500ms }} }}\nhedging: {{ after: 100ms \
         }}\nworkloads: {{ w: {{ users: 1, iterations: 1, flow: [ {{ post: / }} ] }} }}\n",
        server.address()
    );
    let report = Manada::run(&scenario, &["--seed", "1"]).go().measured();
    assert_eq!(count(&report, "calls.timeout"), 1, "{report}");
    assert_eq!(count(&report, "attempts.hedges"), 0, "{report}");
    assert_eq!(server.seen(), (1, 1));
}
