//! Consumer groups at a real broker of Kafka's protocol and at a mock cluster of librdkafka:
//! rebalances, stored offsets, lag.

use crate::harness::{Manada, count};
use crate::kafka_steps::{counts, create, row};
use crate::otlp_receivers::PythonServer;
use crate::tansu::Tansu;

#[test]
fn a_group_shares_partitions_and_stores_its_offsets() {
    let broker = Tansu::start();
    // One session sends all: of two that append at the same time, Tansu at times shows the later
    // batch first, and a consumer passes over the other.
    create(&broker.url(), "orders", 4);
    let text = format!(
        "
scenario: group
services:
  log:
    url: '{}'
    kafka: {{ fetch_wait: 10ms, session_timeout: 6s, heartbeat: 500ms }}
archetypes:
  maker:
    on_start: [ {{ open: true }} ]
    flow:
      - send: orders
        key: '{{{{ uuid() }}}}'
        json: {{ id: 1 }}
        stamp: true
        in_flight: 50
        name: order
        think: 10ms
  member:
    on_start:
      - open: true
      - listen: orders
        consumer_group: shop
        from: earliest
        ack: {{ every: 5 }}
        stamp: true
        name: taken
        timeout: 30s
    flow: [ {{ pause: 100ms }} ]
workloads:
  first: {{ archetypes: {{ member: 1 }}, users: 1, duration: 24s }}
  second: {{ archetypes: {{ member: 1 }}, users: 1, start: 5s, duration: 10s }}
  maker: {{ archetypes: {{ maker: 1 }}, users: 1, start: 4s, duration: 17s }}
thresholds: [ errors == 0% ]
",
        broker.url()
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    let steps = report["steps"].as_array().unwrap();
    let taken = |workload: &str, name: &str| {
        let mut rows = steps.iter().filter(|row| row["name"] == "taken");
        let row = rows.find(|row| row["workload"] == workload).unwrap();
        count(&row["messages"]["counts"], name)
    };
    let sent = count(counts(&report, "order"), "sent");
    assert!(sent > 500, "{done}");
    assert_eq!(count(counts(&report, "order"), "confirmed"), sent, "{done}");
    // One channel: what is due is counted at its first listener.
    assert_eq!(taken("first", "due") + taken("second", "due"), sent, "{done}");
    assert_eq!(taken("first", "delivered") + taken("second", "delivered"), sent, "{done}");
    assert_eq!(taken("first", "lost") + taken("second", "lost"), 0, "{done}");
    assert!(taken("second", "received") > 50, "two of four partitions: {done}");
    // The second came and went.
    assert_eq!(taken("first", "rebalances"), 2, "{done}");
    // What a member had received and not stored came again; what came to a member that had left
    // was another's.
    let sum = |name: &str| taken("first", name) + taken("second", name);
    let again = sum("duplicated") + sum("unexpected");
    assert_eq!(again, sum("received") - sent, "{done}");
    // All that was sent is stored as read.
    let stored = &broker.peer(&["committed", "orders", "shop"])[0];
    let stored = stored.as_object().unwrap().values().map(|offset| offset.as_u64().unwrap_or(0));
    assert_eq!(stored.sum::<u64>(), sent, "{done}");
}

#[test]
fn a_slow_consumer_falls_behind() {
    let cluster = PythonServer::start("kafka_peer.py", &["mock", "1", "slow"]);
    let text = format!(
        "
scenario: behind
services:
  log:
    url: 'kafka://{}'
    kafka: {{ fetch_wait: 10ms, session_timeout: 6s, heartbeat: 500ms }}
archetypes:
  maker:
    on_start: [ {{ open: true }} ]
    flow: [ {{ send: slow, body: x, in_flight: 100, think: 1ms }} ]
  member:
    on_start:
      - open: true
      - listen: slow
        consumer_group: g
        ack: each
        work: 20ms
        prefetch: 10
        timeout: 30s
        name: taken
    flow: [ {{ pause: 100ms }} ]
workloads:
  members: {{ archetypes: {{ member: 1 }}, users: 1, duration: 14s }}
  makers: {{ archetypes: {{ maker: 1 }}, users: 1, start: 8s, duration: 5s }}
",
        cluster.address
    );
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    let messages = &row(&report, "taken")["messages"];
    let behind = messages["behind"]["mean"].as_f64().unwrap();
    assert!(behind > 100.0, "50 messages a second of some hundreds: {done}");
    let acknowledged = count(&messages["counts"], "acknowledged");
    assert!((10..=400).contains(&acknowledged), "one in 20 ms: {done}");
}
