//! Transactions at real peers: what another client and a listener read of them, and a mock cluster
//! that refuses records of partitions outside of one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::{Done, Manada, count};
use crate::kafka_steps::{counts, create, row};
use crate::otlp_receivers::PythonServer;
use crate::tansu::Tansu;

/// A scenario of users that make these transactions.
fn orders(url: &str, users: u64, id: &str, topic: &str) -> String {
    format!(
        "
scenario: orders
services: {{ log: {{ url: '{url}' }} }}
workloads: {{ w: {{ users: {users}, iterations: 20, archetypes: {{ shop: 1 }} }} }}
archetypes:
  shop:
    on_start: [ {{ open: true, timeout: 20s }} ]
    flow:
      - transaction:
          name: order
          transactional_id: '{id}'
          do:
            - repeat:
                times: 10
                do:
                  - send: {topic}
                    name: item
                    in_flight: 5
                    json: {{ of: '{{{{ user.number }}}}' }}
thresholds: [ 'errors < 100%' ]
"
    )
}

/// All transactions were committed, with all of their messages.
#[track_caller]
fn all_committed(done: &Done, report: &Value) {
    for step in ["order begin", "order commit"] {
        assert_eq!(count(row(report, step), "calls.ok"), 20, "{step}: {done}");
        assert_eq!(count(row(report, step), "calls.failed"), 0, "{step}: {done}");
    }
    let item = counts(report, "item");
    assert_eq!((count(item, "confirmed"), count(item, "refused")), (200, 0), "{done}");
    let groups = report["groups"].as_array().unwrap();
    assert_eq!((&groups[0]["name"], count(&groups[0], "duration_us.count")), (&"order".into(), 20));
    assert!(report["errors"].as_array().unwrap().is_empty(), "{done}");
}

#[test]
fn another_client_reads_what_was_committed() {
    let broker = Tansu::start();
    create(&broker.url(), "orders", 1);
    let done = Manada::run(&orders(&broker.url(), 1, "shop", "orders"), &[]).go();
    all_committed(&done, &done.measured());
    let records = broker.peer(&["read", "orders"]);
    let offsets: BTreeSet<u64> =
        records.iter().map(|record| record["offset"].as_u64().unwrap()).collect();
    assert_eq!(offsets.len(), 200, "{done}");
    // Each transaction but the last has its mark before the last record.
    assert_eq!(offsets.last(), Some(&(200 + 19 - 1)), "{done}");
    assert!((0..20_u64).all(|number| !offsets.contains(&(11 * number + 10))), "{offsets:?}");
}

#[test]
fn committed_messages_reach_listeners_of_committed_ones() {
    let broker = Tansu::start();
    create(&broker.url(), "orders", 2);
    let text = orders(&broker.url(), 2, "shop-{{ user.number }}", "orders");
    let text = text
        .replace("in_flight: 5", "in_flight: 5\n                    stamp: true")
        .replace("' } }", "', kafka: { isolation: read_committed, fetch_wait: 20ms } } }")
        .replace(
            "timeout: 20s } ]",
            "timeout: 20s }, { listen: orders, from: earliest, stamp: true, name: taken } ]",
        );
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    all_committed(&done, &report);
    let taken = counts(&report, "taken");
    assert_eq!(count(taken, "due"), count(taken, "delivered") + count(taken, "open"), "{done}");
    assert_eq!(count(taken, "unstamped") + count(taken, "foreign"), 0, "marks are none: {done}");
    assert!(count(taken, "delivered") >= 200, "{done}");
}

#[test]
fn a_cluster_that_checks_partitions_takes_transactions_of_several_users() {
    let cluster = PythonServer::start("kafka_peer.py", &["mock", "3", "orders"]);
    let url = format!("kafka://{}", cluster.address);
    let done = Manada::run(&orders(&url, 4, "shop-{{ user.number }}", "orders"), &[]).go();
    all_committed(&done, &done.measured());
}
