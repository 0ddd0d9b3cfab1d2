//! Tests of users with a slow emulated link: what it costs them, and that other users are not
//! affected.
//!
//! Lower bounds follow from the link alone; users without one are compared by counts.

use crate::harness::{Manada, count};
use crate::tls::{authority, leaf, over_tls};

/// 200,000 bytes at 1 Mbit/s (125,000 bytes a second) take 1.6 s, and a round trip 200 ms.
#[test]
fn slow_link_affects_only_its_users() {
    let report =
        Manada::new(&["run", "link.yaml", "--json", "--ui", "none", "--threshold", "calls > 0"])
            .file(
                "link.yaml",
                "services: { shop: { builtin: {} } }
archetypes:
  phone:
    network: { latency: 200ms, down: 1Mbit/s, up: 64kbit/s }
    flow: [ { get: /bytes/200000, name: slow } ]
  desk: { flow: [ { get: /bytes/200000, name: fast } ] }
workloads:
  phones: { archetypes: { phone: 1 }, users: 2, iterations: 2 }
  desks: { archetypes: { desk: 1 }, users: 2, duration: 2s }
",
            )
            .go()
            .report(0);
    let steps = report["steps"].as_array().unwrap();
    let of = |name: &str| steps.iter().find(|step| step["name"] == name).unwrap();
    assert_eq!(count(of("slow"), "calls.ok"), 2, "{report}");
    // The body, a round trip to connect and one for the call.
    assert!(count(of("slow"), "service_us.min") >= 1_600_000 + 2 * 200_000, "{report}");
    // Over the slow link they would complete none in this time.
    assert!(count(of("fast"), "calls.ok") > 10, "{report}");
    assert_eq!(count(&report, "calls.made"), count(&report, "calls.ok"), "{report}");
}

/// Bytes beyond a deadline are not counted as read.
#[test]
fn link_limits_read_bytes() {
    let report =
        Manada::new(&["run", "link.yaml", "--json", "--ui", "none", "--threshold", "calls > 0"])
            .file(
                "link.yaml",
                "services: { shop: builtin }
workloads:
  w:
    network: { down: 1Mbit/s }
    flow: [ { get: /bytes/10000000, timeout: 1s } ]
    users: 1
    iterations: 1
",
            )
            .go()
            .measured();
    assert_eq!(count(&report, "calls.timeout"), 1, "{report}");
    assert_eq!(report["errors"][0]["phase"], "body", "{report}");
    let received = count(&report, "bytes.received");
    assert!((1..250_000).contains(&received), "{report}");
}

#[test]
fn handshake_takes_another_round_trip() {
    let authority = authority();
    let server = over_tls(leaf(Some(&authority), "127.0.0.1", (2020, 2100)));
    // A link to a service that would negotiate HTTP/2: HTTP/1.1 is requested.
    let scenario = format!(
        "services: {{ shop: {{ url: 'https://{}', http: {{ version: auto }} }} }}
workloads:
  w: {{ network: {{ latency: 150ms }}, flow: [ {{ get: / }} ], users: 2, iterations: 4 }}
",
        server.address()
    );
    let report = Manada::run(&scenario, &[])
        .file("ca.pem", authority.pem())
        .env("SSL_CERT_FILE", "ca.pem")
        .go()
        .report(0);
    assert_eq!(count(&report, "calls.ok"), 4, "{report}");
    for (phase, calls) in [("connect", 2), ("tls", 2)] {
        let phase = &report["phases_us"][phase];
        assert_eq!(count(phase, "count"), calls, "{report}");
        assert!(count(phase, "min") >= 150_000, "{report}");
    }
    assert!(count(&report, "service_us.min") >= 150_000, "{report}");
    assert!(count(&report, "service_us.max") >= 450_000, "{report}");
}

/// Arrivals reuse connections of users that finished, but only with the same link.
#[test]
fn connections_are_reused_only_with_the_same_link() {
    let scenario = |desk: &str| {
        format!(
            "seed: 7
services: {{ shop: builtin }}
archetypes:
  phone: {{ network: {{ down: 10Mbit/s }}, flow: [ {{ get: / }} ] }}
  desk: {{ {desk} flow: [ {{ get: / }} ] }}
workloads:
  w:
    archetypes: {{ phone: 1, desk: 1 }}
    arrivals: {{ rate: 40/s, max_users: 1 }}
    iterations: 20
"
        )
    };
    let opened = |desk: &str| {
        let report = Manada::run(&scenario(desk), &["--shards", "1"]).go().report(0);
        let made = count(&report, "calls.ok");
        (count(&report, "connections.opened"), made)
    };
    let (apart, made) = opened("");
    // Both archetypes occur among twenty arrivals, and one twice in a row.
    assert!(apart > 1 && apart < made, "{apart} of {made}");
    let (alike, made) = opened("network: { down: 10Mbit/s },");
    assert!(alike == 1 && made > 1, "{alike} of {made}");
}
