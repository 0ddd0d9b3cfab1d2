//! Steps at a real broker of Kafka's protocol and at a mock cluster of librdkafka: what another
//! client reads and writes, errors, a restart in mid-run.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Done, Manada, count};
use crate::instances::wait_until;
use crate::mosquitto::Mosquitto;
use crate::otlp_receivers::PythonServer;
use crate::real_servers::free;
use crate::tansu::{Tansu, peer};

/// The row of a step.
pub(crate) fn row<'r>(report: &'r Value, step: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    let row = steps.iter().find(|row| row["name"] == step);
    row.unwrap_or_else(|| panic!("no step {step}"))
}

/// The counts of a step's messages.
pub(crate) fn counts<'r>(report: &'r Value, step: &str) -> &'r Value {
    &row(report, step)["messages"]["counts"]
}

/// One user that does these steps once, after a session was opened.
fn once(url: &str, settings: &str, steps: &str) -> String {
    format!(
        "
scenario: once
services: {{ log: {{ url: '{url}', kafka: {{ {settings} }} }} }}
workloads: {{ w: {{ users: 1, iterations: 1, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    on_start: [ {{ open: true, timeout: 10s }} ]
    flow:
      {}
thresholds: [ 'errors <= 100%' ]
",
        steps.trim().replace('\n', "\n      ")
    )
}

/// Creates a topic.
pub(crate) fn create(url: &str, topic: &str, partitions: u32) {
    let step = format!(
        "- {{ kafka: {{ create_topic: {topic}, partitions: {partitions} }}, \
         expect: {{ status: OK }} }}"
    );
    let done = Manada::run(&once(url, "", &step), &[]).go();
    assert_eq!(count(&done.report(0), "calls.failed"), 0, "{done}");
}

/// Four users that send 250 numbered messages each.
fn producers(url: &str, settings: &str, topic: &str) -> Done {
    let text = format!(
        "
scenario: producers
services: {{ log: {{ url: '{url}', kafka: {{ {settings} }} }} }}
workloads: {{ w: {{ users: 4, iterations: 4, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    on_start: [ {{ open: true, timeout: 10s }} ]
    flow:
      - set: {{ index: 0 }}
      - repeat:
          times: 250
          do:
            - set: {{ index: '{{{{ index + 1 }}}}' }}
            - send: {topic}
              key: 'user {{{{ user.number }}}}'
              headers: {{ x-user: '{{{{ user.number }}}}', x-empty: '' }}
              body: '{{{{ index }}}} {}'
              in_flight: 100
              name: it
thresholds: [ errors == 0% ]
",
        "é".repeat(60)
    );
    Manada::run(&text, &[]).go()
}

/// Checks that another client reads what four producers have sent: each message once, in order.
fn are_the_messages(read: &[Value]) {
    let mut by_key: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in read {
        by_key.entry(record["key"].as_str().unwrap()).or_default().push(record);
    }
    assert_eq!(by_key.len(), 4, "one key for each user");
    for (key, records) in by_key {
        assert_eq!(records.len(), 250, "{key}");
        for (at, record) in records.iter().enumerate() {
            assert_eq!(record["partition"], records[0]["partition"], "{key}");
            let value = record["value"].as_str().unwrap();
            assert!(value.starts_with(&format!("{} ", at + 1)), "message {at} of {key}: {value}");
            let user = key.strip_prefix("user ").unwrap();
            assert_eq!(record["headers"]["x-user"], user);
            assert_eq!(record["headers"]["x-empty"], "");
        }
    }
}

#[test]
fn another_client_reads_each_message_once_and_in_order() {
    let broker = Tansu::start();
    for (at, settings) in [
        "",
        "linger: 20ms, batch: 4KiB, compression: gzip",
        "linger: 20ms, compression: snappy, idempotent: false",
        "linger: 20ms, compression: lz4, acks: 1",
        "linger: 20ms, compression: zstd",
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("made-{at}");
        create(&broker.url(), &topic, 3);
        let done = producers(&broker.url(), settings, &topic);
        let report = done.report(0);
        let sent = counts(&report, "it");
        assert_eq!((count(sent, "sent"), count(sent, "confirmed")), (1_000, 1_000), "{done}");
        are_the_messages(&broker.peer(&["read", &topic]));
        let times = &row(&report, "it")["messages"];
        assert_eq!(count(times, "linger_us.count"), 1_000, "{done}");
        assert_eq!(count(times, "confirm_us.count"), 1_000, "{done}");
    }
}

#[test]
fn a_cluster_of_three_brokers_gets_each_message_at_its_leader() {
    let cluster = PythonServer::start("kafka_peer.py", &["mock", "3", "spread"]);
    let done = producers(&format!("kafka://{}", cluster.address), "", "spread");
    let report = done.report(0);
    assert_eq!(count(counts(&report, "it"), "confirmed"), 1_000, "{done}");
    let read = peer(&cluster.address, &["read", "spread"]).wait();
    let own: Vec<Value> = read.into_iter().filter(|record| record["value"] != "first").collect();
    are_the_messages(&own);
    let (opened, peak) = (count(&report, "connections.opened"), count(&report, "connections.peak"));
    assert!(opened >= peak && peak >= 3, "the leaders are several brokers: {done}");
}

#[test]
fn messages_of_another_client_are_read_whatever_their_codec() {
    let broker = Tansu::start();
    create(&broker.url(), "foreign", 2);
    broker.peer(&["write", "foreign", "100"]);
    let steps = "
- { listen: foreign, from: earliest, name: heard, keep: true }
- { await: log, match: { json: { '$.codec': none } }, timeout: 10s, name: none }
- { await: log, match: { json: { '$.codec': gzip } }, timeout: 10s, name: gzip }
- { await: log, match: { json: { '$.codec': snappy } }, timeout: 10s, name: snappy }
- { await: log, match: { json: { '$.codec': lz4 } }, timeout: 10s, name: lz4 }
- await: log
  match: { json: { '$.codec': zstd, '$.number': 4 } }
  timeout: 10s
  name: zstd
  capture:
    key: { header: kafka-key }
    codec: { header: codec }
    offset: { header: kafka-offset }
    topic: { header: topic }
- { send: foreign, body: '{{ key }} {{ codec }} {{ topic }}', partition: 1, name: summary }
";
    let done = Manada::run(&once(&broker.url(), "fetch_wait: 10ms", steps), &[]).go();
    assert_eq!(count(&done.report(0), "calls.failed"), 0, "{done}");
    let read = broker.peer(&["read", "foreign"]);
    assert_eq!(read.len(), 101);
    let summary = read.iter().find(|record| record["key"].is_null()).unwrap();
    assert_eq!((&summary["value"], &summary["partition"]), (&"4 zstd foreign".into(), &1.into()));
}

#[test]
fn a_dead_address_of_a_cluster_costs_no_error() {
    let broker = Tansu::start();
    create(&broker.url(), "there", 1);
    let further = format!("bootstrap: [ '{}', '{}' ]", free(), broker.address);
    let steps = "- { send: there, body: x, name: sent }\n- { kafka: { delete_topic: there } }";
    let done = Manada::run(&once(&format!("kafka://{}", free()), &further, steps), &[]).go();
    assert_eq!(counts(&done.report(0), "sent")["confirmed"], 1, "{done}");
    assert_eq!(count(&done.report(0), "calls.failed"), 0, "{done}");
}

#[test]
fn errors_have_their_words() {
    let broker = Tansu::start();
    let url = broker.url();
    create(&url, "there", 1);
    for (settings, steps, status) in [
        ("", "- { send: nowhere, body: x }", "kafka UNKNOWN_TOPIC_OR_PARTITION"),
        ("", "- { listen: nowhere }", "kafka UNKNOWN_TOPIC_OR_PARTITION"),
        ("", "- { send: there, partition: 7, body: x }", "kafka UNKNOWN_TOPIC_OR_PARTITION"),
        ("", "- { kafka: { create_topic: there } }", "kafka TOPIC_ALREADY_EXISTS"),
        ("", "- { kafka: { delete_topic: nowhere } }", "kafka UNKNOWN_TOPIC_OR_PARTITION"),
    ] {
        let done = Manada::run(&once(&url, settings, steps), &[]).go();
        assert_eq!(done.measured()["status"][status], 1, "{steps}: {done}");
    }
    let step = "- { send: there, partition: '{{ \"x\" }}', body: x, name: it }";
    let done = Manada::run(&once(&url, "", step), &[]).go();
    assert!(done.stdout.contains("is no number of a partition"), "{done}");
    // A topic that a safety limit denies.
    let step = "- { kafka: { delete_topic: '{{ \"there\" }}' } }";
    let text = once(&url, "", step) + "safety: { deny: { destinations: [ 'the*' ] } }\n";
    let report = Manada::run(&text, &[]).go().report(6);
    assert_eq!(report["stopped"], "safety: the scenario denies the*", "{report}");
    // No broker of Kafka.
    let other = Mosquitto::start();
    let text = once(&format!("kafka://{}", other.address), "", "- { send: a, body: x }");
    let done = Manada::run(&text, &[]).go();
    let first = &done.report(4)["errors"][0]["kind"];
    assert!(["reset", "closed", "bad_reply"].contains(&first.as_str().unwrap()), "{done}");
}

#[test]
fn connections_are_encrypted_also_those_to_brokers_that_the_cluster_names() {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let pem = format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem());
    let (broker, _proxy, address) = Tansu::with_tls(&pem);
    create(&broker.url(), "sealed", 1);
    let steps = "
- { listen: sealed, from: earliest, keep: true }
- { send: sealed, body: over TLS, name: it }
- { await: log, timeout: 10s, match: { text: TLS } }
";
    let url = format!("kafkas://{address}");
    let text = once(&url, "fetch_wait: 10ms", steps)
        .replace(" kafka: {", " tls: { ca: ca.pem }, kafka: {");
    let done = Manada::run(&text, &[]).file("ca.pem", made.cert.pem()).go();
    let report = done.report(0);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    assert_eq!(count(counts(&report, "it"), "confirmed"), 1, "{done}");
    let done = Manada::run(&once(&url, "", steps), &[]).go();
    assert!(done.measured()["errors"].to_string().contains("certificate"), "{done}");
}

#[test]
fn a_restart_ends_sessions_and_they_begin_again() {
    let mut broker = Tansu::start();
    let text = format!(
        "
scenario: restart
services: {{ log: '{}' }}
workloads: {{ w: {{ users: 2, duration: 12s, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      - kafka: {{ create_topic: t, partitions: 2 }}
        expect: {{ status: [ OK, TOPIC_ALREADY_EXISTS ] }}
        on_fail: count
      - {{ open: true, timeout: 2s }}
      - repeat:
          times: 5
          do: [ {{ send: t, body: x, timeout: 2s, think: 5ms, name: it }} ]
thresholds: [ 'errors < 100%' ]
",
        broker.url()
    );
    let running = Manada::telling(&text, &[]).start();
    running.hear_second(4);
    broker.kill();
    broker.start_again();
    let done = running.wait();
    let report = done.measured();
    let sent = counts(&report, "it");
    let answered = count(sent, "confirmed") + count(sent, "refused") + count(sent, "unconfirmed");
    assert_eq!(count(sent, "sent"), answered, "{done}");
    // It keeps its topics in memory: what it has now came after the restart.
    wait_until("the broker has the topic again", || !broker.peer(&["read", "t"]).is_empty());
    let after = broker.peer(&["read", "t"]).len() as u64;
    assert!(after > 0 && after < count(sent, "confirmed"), "{after}: {done}");
}

#[test]
fn the_shipped_scenario() {
    let broker = Tansu::start();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/kafka-clicks.yaml");
    let log = format!("services.log.url={}", broker.url());
    let words = ["run", file, "--set", &log, "--json", "--ui", "none", "--out", "out"];
    let quick = ["--set", "services.log.kafka.session_timeout=6s"];
    let done = Manada::new(&words).words(&quick).go();
    let code = done.code.unwrap();
    // On a busy machine times may not hold, or not be trusted.
    assert!([0, 4, 5].contains(&code), "{done}");
    let report = done.report(code);
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    let (click, counted) = (counts(&report, "click"), counts(&report, "counted"));
    assert!(count(click, "confirmed") > 100, "{done}");
    assert_eq!(count(click, "confirmed"), count(click, "sent"), "{done}");
    // On a busy machine the last ones may come after the wait for them.
    assert!(count(counted, "delivered") * 10 >= count(click, "sent") * 9, "{done}");
    assert_eq!(count(counted, "duplicated"), 0, "{done}");
}
