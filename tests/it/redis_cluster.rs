//! Clusters of real Redis nodes: requests go where their keys are, redirects are followed, slots
//! move in mid-run, and nodes that lead in circles or to forbidden hosts.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::harness::{Manada, count};
use crate::instances::{Redis, wait_until};

/// Three nodes that share the slots.
struct Cluster {
    nodes: Vec<Redis>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Cluster {
    fn start() -> Self {
        let buses: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let start = |bus: &u16| {
            let bus = bus.to_string();
            Redis::with(&[
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus,
                "--cluster-node-timeout",
                "2000",
                "--cluster-config-file",
                "nodes.conf",
            ])
        };
        let nodes: Vec<Redis> = buses.iter().map(start).collect();
        let cluster = Self { nodes };
        for (node, range) in
            [["0", "5460"], ["5461", "10922"], ["10923", "16383"]].iter().enumerate()
        {
            cluster.ask(node, &["CLUSTER", "ADDSLOTSRANGE", range[0], range[1]]);
        }
        for (node, bus) in cluster.nodes.iter().zip(&buses).skip(1) {
            let (port, bus) = (node.address.port().to_string(), bus.to_string());
            cluster.ask(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        for node in 0..3 {
            wait_until("the cluster is whole", || {
                let info = cluster.ask(node, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            });
        }
        cluster
    }

    /// What a node answers to a command.
    fn ask(&self, node: usize, words: &[&str]) -> String {
        let port = self.nodes[node].address.port().to_string();
        let done = Command::new("redis-cli").args(["-p", &port]).args(words).output().unwrap();
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn keys(&self) -> Vec<u64> {
        (0..3).map(|node| self.ask(node, &["DBSIZE"]).parse().unwrap()).collect()
    }
}

fn scenario(address: SocketAddr, load: &str, steps: &str) -> String {
    format!(
        "
scenario: cluster
services: {{ store: {{ url: 'redis://{address}', cluster: true }} }}
workloads: {{ w: {{ {load}, archetypes: {{ a: 1 }} }} }}
archetypes:
  a:
    flow:
      {}
thresholds: [ 'errors < 100%' ]
",
        steps.trim().replace('\n', "\n      "),
    )
}

const STEPS: &str = r#"
- { redis: [SET, "k:{{ user.number }}:{{ user.iteration }}", "{{ user.iteration }}"], name: set }
- redis: GET k:{{ user.number }}:{{ user.iteration }}
  name: get
  check: { body: { matches: "^[0-9]+$" } }
- { redis: { transaction: [ [INCR, "{t}n"], [INCR, "{t}m"] ] }, name: both, check: { status: OK } }
"#;

#[test]
fn each_request_goes_to_the_node_of_its_key() {
    let cluster = Cluster::start();
    let text = scenario(cluster.nodes[0].address, "users: 5, iterations: 500", STEPS);
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    assert_eq!(report["status"]["redis OK"], 1_500, "{done}");
    // Only users that begin while a shard still asks for all slots are sent on.
    let moved = report["status"].get("redis MOVED").map_or(0, |count| count.as_u64().unwrap());
    assert!(moved <= 5, "{done}");
    assert_eq!(count(&report, "attempts.redirects"), moved, "{done}");
    assert_eq!(count(&report, "calls.failed"), 0, "{done}");
    let opened = count(&report, "connections.opened");
    assert!((5..=15).contains(&opened), "one to each node of each user: {done}");
    let keys = cluster.keys();
    assert_eq!(keys.iter().sum::<u64>(), 502, "{keys:?}");
    assert!(keys.iter().all(|keys| *keys > 100), "{keys:?}");

    // Without the key of the service a redirect is an error by its name.
    let plain = text.replace(", cluster: true", "");
    let done = Manada::run(&plain, &[]).go();
    let report = done.measured();
    assert!(count(&report["status"], "redis MOVED") > 300, "{done}");
    assert_eq!(count(&report, "attempts.redirects"), 0, "{done}");
}

#[test]
fn a_slot_on_its_way_is_asked_for_and_one_that_moved_is_followed() {
    let cluster = Cluster::start();
    let slot = cluster.ask(0, &["CLUSTER", "KEYSLOT", "foo"]);
    assert_eq!(slot, "12182");
    let ids: Vec<String> = (0..3).map(|node| cluster.ask(node, &["CLUSTER", "MYID"])).collect();
    cluster.ask(0, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[2]]);
    cluster.ask(2, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[0]]);
    let steps = "- { redis: [INCR, foo], check: { status: OK } }";
    let text = scenario(cluster.nodes[1].address, "users: 2, iterations: 50", steps);
    let done = Manada::run(&text, &[]).go();
    let report = done.measured();
    assert_eq!(report["status"]["redis OK"], 50, "{done}");
    assert_eq!(report["status"]["redis ASK"], 50, "each is asked for again: {done}");
    let moved = report["status"].get("redis MOVED").map_or(0, |count| count.as_u64().unwrap());
    assert!(moved <= 2, "{done}");
    assert_eq!(count(&report, "attempts.redirects"), 50 + moved, "{done}");
    assert_eq!(count(&report, "calls.ok"), 50, "{done}");
    assert_eq!(cluster.ask(0, &["DBSIZE"]), "1");
    // The slot moves in mid-run.
    let text = scenario(
        cluster.nodes[1].address,
        "users: 2, duration: 2s",
        &format!("{steps}\n- pause: 5ms"),
    );
    let running = Manada::telling(&text, &[]).start();
    running.hear_second(1);
    for node in 0..3 {
        cluster.ask(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &ids[0]]);
    }
    let report = running.wait().measured();
    assert_eq!(count(&report, "calls.failed"), 0, "{report}");
    let moved = count(&report["status"], "redis MOVED");
    assert!((1..=4).contains(&moved), "once per connection at most: {report}");
    let asked = report["status"]["redis ASK"].as_u64().unwrap();
    assert_eq!(count(&report, "attempts.redirects"), moved + asked, "{report}");
}

/// A node that answers each command with this text, and counts the commands but CLUSTER.
fn node(listener: TcpListener, answer: String) -> Arc<AtomicU64> {
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, answer, count) = (stream.unwrap(), answer.clone(), Arc::clone(&count));
            thread::spawn(move || {
                let (mut writer, mut lines) =
                    (stream.try_clone().unwrap(), BufReader::new(stream).lines());
                while let Some(Ok(head)) = lines.next() {
                    let words: usize = head[1..].parse().unwrap();
                    let words: Vec<String> =
                        (0..words).filter_map(|_| lines.by_ref().nth(1)?.ok()).collect();
                    let is_slots = words[0] == "CLUSTER";
                    count.fetch_add(u64::from(!is_slots), Ordering::Relaxed);
                    let answer = if is_slots { "-ERR no" } else { &answer };
                    if write!(writer, "{answer}\r\n").is_err() {
                        break;
                    }
                }
            });
        }
    });
    counted
}

#[test]
fn redirects_in_a_circle_end_and_forbidden_hosts_are_not_contacted() {
    let [a, b, forbidden] = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = [&a, &b].map(|listener| listener.local_addr().unwrap());
    let port = forbidden.local_addr().unwrap().port();
    let counts = [
        node(a, format!("-MOVED 12182 {}", addresses[1])),
        node(b, format!("-MOVED 12182 {}", addresses[0])),
    ];
    let text = scenario(addresses[0], "users: 1, iterations: 2", "- redis: [GET, foo]");
    let done = Manada::run(&text, &[]).go();
    let report = done.report(4);
    assert_eq!(count(&report, "calls.failed"), 2, "{done}");
    assert_eq!(report["status"]["redis MOVED"], 2 * 6, "{done}");
    assert_eq!(count(&report, "attempts.redirects"), 2 * 5, "{done}");
    let seen: u64 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(seen, 12, "{done}");

    let leads = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = leads.local_addr().unwrap();
    node(leads, format!("-MOVED 12182 127.0.0.2:{port}"));
    let seen = node(forbidden, "+OK".to_owned());
    let text = scenario(address, "users: 1, iterations: 2", "- redis: [GET, foo]")
        + "safety: { hosts: [ 127.0.0.1 ] }\n";
    let done = Manada::run(&text, &[]).go();
    assert_ne!(done.code, Some(0), "{done}");
    assert!(done.stderr.contains("127.0.0.2") || done.stdout.contains("127.0.0.2"), "{done}");
    assert_eq!(seen.load(Ordering::Relaxed), 0, "{done}");
}
