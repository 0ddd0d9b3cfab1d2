//! Pools whose connections of HTTP/2 carry calls of several users at a time, at a real server of
//! gRPC, grpcio: calls at the same time, its limit of streams, ages, deadlines.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::grpc_steps::{Echo, expected, run, statuses};
use crate::harness::count;

/// A scenario of 8 users that do this step 20 times each, after a call of each.
fn scenario(echo: &Echo, pool: &str, step: &str) -> String {
    format!(
        "
scenario: pools
services: {{ echo: {{ url: 'grpc://{}', grpc: {{ proto: [grpc_echo.proto] }} }} }}
pools: {{ backend: {{ match: '*', {pool} }} }}
workloads: {{ w: {{ users: 8, iterations: 160, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    on_start: [ {{ grpc: echo.v1.Echo/Say, name: first, json: {{ text: hello }} }} ]
    flow: [ {{ grpc: echo.v1.Echo/Say, name: said, {step} }} ]
thresholds: [ 'errors < 100%' ]
",
        echo.server.address,
    )
}

/// The calls that the server counted, by connection.
fn by_connection(echo: &Echo) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for call in echo.calls() {
        *counts.entry(call["peer"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[track_caller]
fn pool(report: &Value) -> &Value {
    &report["pools"][0]
}

#[test]
fn calls_of_several_users_are_on_a_connection_at_the_same_time() {
    let echo = Echo::start();
    // The server answers when the calls of all users are there.
    let done = run(&scenario(&echo, "connections: 1, streams: 100", "json: { together: 8 }"));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 168)]), "{done}");
    assert_eq!(count(&report, "connections.opened"), 1, "{done}");
    assert_eq!(by_connection(&echo).into_values().collect::<Vec<_>>(), [168], "{done}");
    assert_eq!(count(pool(&report), "leases"), 168, "{done}");
    assert_eq!((count(pool(&report), "size"), count(pool(&report), "lent")), (1, 0), "{done}");
}

#[test]
fn a_connection_has_no_more_calls_than_its_server_allows() {
    let echo = Echo::with(&["streams-4"]);
    // While each further connection has its first call alone, 8 calls need 4 + 1 + 1 + 1 + 1.
    let done = run(&scenario(&echo, "connections: 5, streams: 100", "json: { together: 8 }"));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 168)]), "{done}");
    let peers = by_connection(&echo);
    assert!((2..=5).contains(&peers.len()), "{peers:?} {done}");
    assert_eq!(count(&report, "connections.opened"), peers.len() as u64, "{done}");
}

#[test]
fn a_shared_connection_carries_no_more_requests_than_the_pool_allows() {
    let echo = Echo::start();
    let settings = "connections: 2, streams: 4, max_requests: 10";
    let done = run(&scenario(&echo, settings, "json: { sleep_ms: 5 }"));
    let report = done.measured();
    assert_eq!(statuses(&report), expected([("grpc OK", 168)]), "{done}");
    let peers = by_connection(&echo);
    assert!(peers.values().all(|calls| *calls <= 10), "{peers:?} {done}");
    assert!(peers.len() >= 17, "{peers:?} {done}");
    assert_eq!(count(&report, "connections.opened"), peers.len() as u64, "{done}");
}

#[test]
fn a_call_that_times_out_leaves_the_calls_beside_it() {
    let echo = Echo::start();
    // Each eighth call gets no response in time; the others go on on the same connection.
    let step = "json: { text: x, sleep_ms: '{{ 3000 if user.iteration % 8 == 0 else 1 }}' }, \
                timeout: 500ms";
    let done = run(&scenario(&echo, "connections: 1, streams: 16", step));
    let report = done.measured();
    // The server, too, ends calls at their deadline.
    let calls = &report["steps"][1]["calls"];
    let late = count(calls, "timeout") + count(calls, "failed");
    assert!(late > 0 && count(calls, "ok") > 0, "{done}");
    assert_eq!(count(calls, "ok") + late, 160, "{done}");
    // A connection is given up if nothing at all arrives while a call waits.
    let opened = count(&report, "connections.opened");
    assert!(opened <= late / 2, "{opened} connections for {late} late calls: {done}");
}
